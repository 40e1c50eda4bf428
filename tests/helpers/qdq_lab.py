"""Quantised ONNX files for tests, made by ONNX Runtime's quantiser, and both programs' values of their layers."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from tsm_edge import models
from tsm_edge.bench.peers.onnxruntime import EXACT_BYTES
from tsm_edge.compile import passes, quantize
from tsm_edge.compile.frontend import networks
from tsm_edge.compile.ir.graph import Graph, Node
from tsm_edge.compile.ir.ops import Role
from tsm_edge.compile.quantize import float_step, integer
from tsm_edge.compile.verification.reference import moving_frames
from tsm_edge.onnx.file import onnx_model, write
from tsm_edge.onnx.meta import OnnxMeta
from tsm_edge.signature import TensorSpec
from tsm_edge.weights.checkpoints import prepare

SIZE = 32
STATES = [("past", "keep")]  # of `cnn`
FRAME = TensorSpec("frame", (1, 3, SIZE, SIZE))


def frames(count: int = 6) -> list[np.ndarray]:
    """Frames of a moving texture."""
    return list(moving_frames(FRAME, count))


def stream(path: Path, name: str, **parameters: Any) -> Path:
    """This project's own export of a network with states, with seeded weights."""
    model = models.load(name, size=SIZE, classes=5, **parameters)
    net, source = prepare(model)
    arrays = {key: tensor.numpy() for key, tensor in net.state_dict().items()}
    write(path, onnx_model(model, arrays, OnnxMeta.of(model, source)))
    return path


def cnn(path: Path) -> Path:
    """PyTorch's export of a network with every form of layer that has 8-bit kernels, and a shift: `past`, `keep`."""
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, 9, 3, 2, 1), nn.ReLU())
            self.expand = nn.Sequential(nn.Conv2d(9, 20, 1), nn.ReLU6())
            self.depthwise = nn.Sequential(nn.Conv2d(20, 20, 3, 1, 1, groups=20), nn.ReLU6())
            self.project, self.skip = nn.Conv2d(20, 13, 1), nn.Conv2d(9, 13, 1)
            self.tail = nn.Sequential(
                nn.ReLU(), nn.MaxPool2d(3, 2, 1), nn.Conv2d(13, 17, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
            )
            self.head = nn.Linear(17, 5)

        def forward(self, x: torch.Tensor, past: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            x = self.stem(x)
            keep, rest = torch.split(x, [2, 7], 1)
            shifted = self.expand(torch.cat([past, rest], 1))
            return self.head(self.tail(self.project(self.depthwise(shifted)) + self.skip(x))), keep

    torch.manual_seed(0)
    examples = (torch.zeros(FRAME.shape), torch.zeros(1, 2, SIZE // 2, SIZE // 2))
    program = torch.onnx.export(
        Net().eval(), examples, input_names=["x", "past"], output_names=["scores", "keep"], dynamo=True, verbose=False
    )
    program.save(str(path))
    return path


def exact() -> onnxruntime.SessionOptions:
    """Options with which bytes are summed without overflow on a processor without VNNI, too."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(*EXACT_BYTES)
    return options


class Frames:
    """What ONNX Runtime's quantiser calibrates on: a sequence, with the states as they occur."""

    def __init__(self, path: Path) -> None:
        session = onnxruntime.InferenceSession(str(path))
        first, *states = session.get_inputs()
        held = [np.zeros(state.shape, np.float32) for state in states]
        self.rows: list[dict[str, np.ndarray]] = []
        for frame in frames():
            row = {first.name: frame, **{s.name: array for s, array in zip(states, held, strict=True)}}
            self.rows.append(row)
            held = session.run(None, row)[1:]
        self.left = iter(self.rows)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.left, None)


def quantised(source: Path, path: Path, activation: str, **options: Any) -> Path:
    """A file in QDQ form. activation: QInt8 or QUInt8; options: those of `quantize_static`."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    logging.getLogger().setLevel(logging.ERROR)  # it advises to optimise the file first
    given = {"quant_format": QuantFormat.QDQ, "weight_type": QuantType.QInt8, **options}
    quantize_static(str(source), str(path), Frames(source), activation_type=QuantType[activation], **given)
    return path


@dataclass(frozen=True)
class Layer:
    """An 8-bit layer of our graph in the file: where its output is rounded, by which scale and zero point (int8)."""

    node: Node
    rounded: str
    step: float
    zero: int


class File:
    """A quantised file as both programs run it."""

    def __init__(self, path: Path, states: Sequence[tuple[str, str]] = ()) -> None:
        self.path = path
        self.network = networks.onnx_file(path, states)
        self.graph: Graph = self.network.load()
        passes.run(self.graph)
        assert self.network.given is not None
        self.ranges = self.network.given(self.graph)
        self.integers = quantize.quantise(self.graph, self.ranges)
        self.model = onnx.load(str(path))
        self.constants = {t.name: numpy_helper.to_array(t) for t in self.model.graph.initializer}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in self.model.graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)

    def scale(self, result: str) -> float:
        """The scale of a DequantizeLinear's result."""
        maker = next(node for node in self.model.graph.node if result in node.output)
        return float(self.constants[maker.input[1]])

    def layers(self) -> Iterator[Layer]:
        """The 8-bit convolutions."""
        for node in self.graph.nodes:
            if node.output in self.integers.layers:
                last = self.rounding(node)
                zero = self.constants[last.input[2]]
                low = -128 if zero.dtype == np.uint8 else 0
                yield Layer(node, last.output[0], float(self.constants[last.input[1]]), int(zero) + low)

    def rounding(self, node: Node) -> onnx.NodeProto:
        """The last QuantizeLinear behind a convolution, its sum and its clamp."""
        value = next(n.output[0] for n in self.model.graph.node if n.op_type == "Conv" and n.name == node.layer)
        follow = {"Relu", "Clip", "Add"} if Role.RESIDUAL in node.roles else {"Relu", "Clip"}
        while True:
            rounds = next((each for each in self.readers[value] if each.op_type == "QuantizeLinear"), None)
            if rounds is not None:
                last, value = rounds, self.readers[rounds.output[0]][0].output[0]
            further = self.readers.get(value, [])
            if len(further) != 1 or further[0].op_type not in follow:
                return last
            follow -= {further[0].op_type} & {"Add"}
            value = further[0].output[0]

    def each_layer(self, frame: np.ndarray) -> dict[str, np.ndarray]:
        """By how many steps each layer differs from ONNX Runtime's, which also computes its inputs; a first frame."""
        layers = list(self.layers())
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        model.graph.output.extend(helper.make_empty_tensor_value_info(layer.rounded) for layer in layers)
        session = onnxruntime.InferenceSession(model.SerializeToString(), exact())
        given = {value.name: np.zeros(value.shape, np.float32) for value in session.get_inputs()}
        given[self.graph.signature.inputs[0].name] = frame
        found = session.run([layer.rounded for layer in layers], given)
        scales = self.integers.scales
        real = {}
        for layer, array in zip(layers, found, strict=True):
            whole = array.astype(np.int64) - (128 if array.dtype == np.uint8 else 0)
            real[layer.node.output] = (whole - layer.zero)[0].transpose(1, 2, 0) * layer.step
        values: dict[str, Any] = integer.zero_states(self.integers)
        values = {name: float_step.image_of(state) for name, state in values.items()}
        values[self.graph.frame] = scales[self.graph.frame].quantised(float_step.image_of(frame))
        differs, steps = {}, {layer.node.output: layer.step for layer in layers}
        for node in self.graph.nodes:
            if node.output in self.integers.floats:
                continue
            values |= integer.evaluate_integer(self.integers, node, values)
            if node.output in real:
                ours, name = scales[node.output], node.output
                differs[node.layer] = np.abs(ours.real(values[name]) - real[name]) / steps[name]
                values[name] = ours.quantised(real[name].astype(np.float32))
                if Role.NEXT in node.roles:
                    values[node.roles[Role.NEXT]] = values[name][..., : node.op.fold_out]
        return differs

    def over_time(self, sequence: Sequence[np.ndarray]) -> dict[str, float]:
        """The largest difference of the scores and of each next state from ONNX Runtime's, in steps of the file."""
        signature, session = self.graph.signature, onnxruntime.InferenceSession(str(self.path), exact())
        results = [signature.outputs[0].name, *(pair.output_name for pair in signature.states)]
        theirs = [np.zeros(pair.input.shape, np.float32) for pair in signature.states]
        ours = integer.zero_states(self.integers)
        worst = dict.fromkeys(results, 0.0)
        for frame in sequence:
            held = {pair.input.name: array for pair, array in zip(signature.states, theirs, strict=True)}
            scores, *theirs = session.run(results, {signature.inputs[0].name: frame, **held})
            found, ours = integer.step(self.integers, frame, ours)
            real = [self.integers.scales[name].real(ours[name]) for name in self.graph.states]
            for name, a, b in zip(results, (scores, *theirs), (found, *real), strict=True):
                worst[name] = max(worst[name], float(np.abs(a - b).max()) / self.scale(name))
        return worst
