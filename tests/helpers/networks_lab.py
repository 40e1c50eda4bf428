"""Small step networks for compiler tests: each with states, each exercising one corner of the passes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tsm_edge import target
from tsm_edge.bundle.manifest import ModelInfo, WeightsInfo
from tsm_edge.compile import pipeline
from tsm_edge.compile.frontend import importer
from tsm_edge.compile.ir.graph import Graph
from tsm_edge.signature import Signature, StatePair, TensorSpec


class Net(nn.Module):
    """Layers by name and a rule over them: `rule(net, frame, *states) -> (scores, *next states)`."""

    def __init__(self, rule: Callable[..., tuple[torch.Tensor, ...]], **layers: nn.Module) -> None:
        super().__init__()
        self.rule = rule
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, *values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.rule(self, *values)


class Foreign(nn.Module):
    """Operators without a schedule: grouped convolution, gates, reshapes that mind the layout, a running mean."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 8, 3, 1, 1)
        self.grouped = nn.Conv2d(8, 8, 3, 1, 1, groups=2)
        self.dilated = nn.Conv2d(8, 8, 3, 1, 2, dilation=2)
        self.fc = nn.Linear(8 * 6 * 5, 4)

    def forward(
        self, frame: torch.Tensor, mean: torch.Tensor, last: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        x = torch.sigmoid(self.grouped(self.a(frame))) * self.a(frame)
        x = torch.nn.functional.avg_pool2d(x, 3, 1, 1) + self.dilated(x)
        mean = 0.9 * mean + 0.1 * x
        y = torch.softmax(self.fc((x - mean).flatten(1)), dim=1)
        return y + last, mean, y


def signature_of(step: nn.Module, frame: tuple[int, ...], states: list[tuple[int, ...]]) -> Signature:
    """The signature of a step module, from one run."""
    with torch.no_grad():
        logits = step(torch.zeros(frame), *map(torch.zeros, states))[0]
    pairs = tuple(StatePair(TensorSpec(f"s{i}", shape), f"s{i}_out") for i, shape in enumerate(states))
    return Signature((TensorSpec("frame", frame),), pairs, (TensorSpec("logits", tuple(logits.shape)),))


def loader(step: nn.Module, signature: Signature) -> Callable[[], Graph]:
    """Import a step module."""
    examples = [
        torch.zeros(signature.inputs[0].shape),
        *(torch.zeros(pair.input.shape) for pair in signature.states),
    ]
    return lambda: importer.from_torch(step.eval(), examples, signature)


def compile_local(step: nn.Module, signature: Signature, folder: Path) -> pipeline.Compiled:
    """Compile a step module for this machine."""
    info = ModelInfo("lab", {}, WeightsInfo("onnx", "random", ""), "onnx")
    labels = tuple(f"class {i}" for i in range(signature.outputs[0].shape[-1]))
    network = pipeline.Network(info, loader(step, signature), labels, None)
    return pipeline.compile(network, target.load("local"), folder)


def anywhere(frame: np.ndarray) -> np.ndarray:
    """A copy where no vector would be aligned, as a caller's frame may be."""
    room = np.empty(frame.size + 1, np.float32)
    place = room[1:] if room.ctypes.data % 8 == 0 else room[:-1]
    place[:] = frame.ravel()
    return place.reshape(frame.shape)


def worst_difference(
    step: nn.Module, folder: Path, signature: Signature, frames: int = 5, threads: int = 2
) -> float:
    """Largest relative difference of scores and states between a bundle and its module over a sequence."""
    import tsm_edge

    rng = np.random.default_rng(3)
    model = tsm_edge.open(folder, threads=threads)
    stream = model.stream()
    states = [torch.zeros(pair.input.shape) for pair in signature.states]
    worst = 0.0
    with torch.no_grad():
        for _ in range(frames):
            frame = rng.standard_normal(signature.inputs[0].shape).astype(np.float32)
            logits, *states = step(torch.from_numpy(frame), *states)
            got = [stream.step_tensor(anywhere(frame)).reshape(logits.shape), *stream.states().values()]
            for mine, wanted in zip(got, [logits, *states], strict=True):
                worst = max(
                    worst, float(np.abs(mine - wanted.numpy()).max() / max(1e-30, float(wanted.abs().max())))
                )
    return worst
