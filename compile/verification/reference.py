"""The reference of a bundle: the network it was compiled from, run by PyTorch, ONNX Runtime or ONNX's evaluator.

PyTorch runs a model of the zoo. An ONNX file is run by ONNX Runtime where that is installed, else by ONNX's own
evaluator, which is slow and not right in every form (it ignores MaxPool's SAME_LOWER, for one).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tsm_edge.bundle.manifest import Manifest
from tsm_edge.signature import TensorSpec
from tsm_edge.weights import checkpoints, origin

Step = Callable[[np.ndarray, "list[np.ndarray]"], "tuple[np.ndarray, list[np.ndarray]]"]


@dataclass(frozen=True)
class Reference:
    """A step, and the program that computes it."""

    judge: str
    step: Step

    def __call__(self, frame: np.ndarray, states: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
        return self.step(frame, states)


def step_of(manifest: Manifest, weights: Path | None, averaged: bool | None = None) -> Reference:
    """The reference step `(frame, states) -> (scores, next states)` of a bundle.

    weights: the checkpoint or ONNX file the bundle was compiled from; checked against the manifest's sha256.
    averaged: which of the weights in a checkpoint; by default those that the bundle was compiled from.
    """
    origin.check_file(manifest, weights, "verify")
    if manifest.model.source == "onnx":
        assert weights is not None
        return _onnx_step(manifest, weights)
    return Reference("PyTorch", _torch_step(manifest, weights, averaged))


def _torch_step(manifest: Manifest, weights: Path | None, averaged: bool | None) -> Step:
    import torch

    info = manifest.model.weights
    averaged = checkpoints.averaged_of(info) if averaged is None else averaged
    model, seed = origin.model_of(manifest), checkpoints.seed_of(info)
    net, _ = checkpoints.prepare(model, weights, seed, averaged, checkpoints.reordered(info))

    def step(frame: np.ndarray, states: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
        with torch.no_grad():
            logits, after = net.step(
                torch.from_numpy(frame), tuple(torch.from_numpy(state) for state in states)
            )
        return logits.numpy(), [state.numpy() for state in after]

    return step


def _onnx_step(manifest: Manifest, path: Path) -> Reference:
    signature = manifest.signature
    judge, run = _onnx_runner(path, manifest.precision == "int8")
    outputs = [signature.outputs[0].name, *(pair.output_name for pair in signature.states)]

    def step(frame: np.ndarray, states: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
        named = {pair.input.name: state for pair, state in zip(signature.states, states, strict=True)}
        scores, *after = run(outputs, {signature.inputs[0].name: frame, **named})
        return scores, after

    return Reference(judge, step)


Runner = Callable[[Sequence[str], "dict[str, np.ndarray]"], "list[np.ndarray]"]


def _onnx_runner(path: Path, rounds: bool) -> tuple[str, Runner]:
    """A program that runs an ONNX file, and its name. rounds: where the file is quantised, to bytes as it says."""
    import onnx

    from ..frontend import onnx_import

    file = onnx.load(str(path))
    floats = None if rounds else onnx_import.without_rounding(file)
    try:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # its log of optimisations is not the user's concern
        source = str(path) if floats is None else floats.SerializeToString()
        session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        return "ONNX Runtime", lambda outputs, inputs: list(session.run(list(outputs), inputs))
    except Exception:  # not installed, or a file that it does not read: its errors have no common base
        from onnx.reference import ReferenceEvaluator

        evaluator = ReferenceEvaluator(floats or file)
        return "ONNX's evaluator", lambda outputs, inputs: list(evaluator.run(list(outputs), inputs))


def moving_frames(spec: TensorSpec, count: int, seed: int = 0) -> Iterator[np.ndarray]:
    """`count` float32 inputs, frames or clips, of a texture that moves by a pixel or two: no two frames alike."""
    rng = np.random.default_rng(seed)
    if len(spec.shape) != 4:
        for _ in range(count):
            yield rng.standard_normal(spec.shape).astype(np.float32)
        return
    batch, channels, height, width = spec.shape
    if batch > 1:  # a clip: each next one a frame further
        frame = replace(spec, shape=(1, channels, height, width))
        clip = list(moving_frames(frame, count + batch - 1, seed))
        for t in range(count):
            yield np.concatenate(clip[t : t + batch])
        return
    texture = rng.standard_normal((batch, channels, height + 2 * count, width + count)).astype(np.float32)
    texture += np.roll(texture, 1, axis=3) + np.roll(texture, 1, axis=2)
    for t in range(count):
        yield np.ascontiguousarray(texture[:, :, 2 * t : 2 * t + height, t : t + width]) * np.float32(0.6)


def moving_pictures(size: tuple[int, int], count: int, seed: int = 0) -> Iterator[np.ndarray]:
    """`count` pictures, uint8 [height, width, 3]: smooth, with all values of a byte, each moved a little further."""
    height, width = size
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    waves = [(rng.uniform(0.02, 0.2, 2), rng.uniform(0, 6, 2)) for _ in range(3)]
    for t in range(count):
        channels = [np.sin(a * x + p + t) + np.cos(b * y + q - t) for (a, b), (p, q) in waves]
        noise = rng.integers(-20, 21, (height, width, 3))
        yield np.clip(np.stack(channels, 2) * 64 + 128 + noise, 0, 255).astype(np.uint8)
