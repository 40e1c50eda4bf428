"""The nodes and constants of a clip model's ONNX graph: input "frame" [T, 3, H, W], output "logits" [1, classes].

A stream's "frame" is [1, 3, H, W], and "cache0" and on are [T - 1, ...].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ..models import OFFLINE, Model
from ..models.clips import ClipModel
from ..models.clips import records as ops
from ..models.description import EPSILON
from .graph import GraphWriter
from .regions import OVER_REGIONS, RegionWriter


class ClipWriter(GraphWriter):
    """Turns the operators of a clip network into nodes; a value is named after its number."""

    def __init__(self, weights: Mapping[str, np.ndarray]) -> None:
        super().__init__(weights, [])
        self.shapes: list[ops.Shape] = []
        self.volumes: set[str] = set()  # values [1, C, T, H, W]; others are [T, C, H, W] or vectors

    def write(self, model: Model | ClipModel) -> None:
        """Write all operators of a model."""
        assert isinstance(model, ClipModel)
        network = model.network
        regions = RegionWriter(self, network.boxes) if network.boxes else None
        self.shapes = network.shapes(model.clip)
        values = {0: "frame"}
        kept = model.stream.kept if model.stream else ()
        alone: frozenset[int] = model.stream.alone if model.stream else frozenset()
        joined: dict[int, str] = {}
        for number, node in enumerate(network.nodes, start=1):
            read = values if number in alone else {**values, **joined}
            inputs = [read[index] for index in node.inputs]
            name = "logits" if number == len(network.nodes) else f"v{number}"
            if regions and isinstance(node.op, ops.Boxes):
                values[number] = regions.given()
                continue
            if self.in_volume(node.op, inputs):
                self.volumes.add(name)
            shape = self.shapes[node.inputs[0]]
            values[number] = (
                regions.operator(node.op, name, inputs, shape)
                if regions and isinstance(node.op, OVER_REGIONS)
                else self.operator(node.op, name, inputs, shape)
            )
            if number in kept:
                joined[number] = self.joined(f"cache{kept.index(number)}", values[number], model.frames)

    def joined(self, state: str, value: str, frames: int) -> str:
        """The frames of a state and the newest one; the newest T - 1 are the next state."""
        together = self.node("Concat", f"{value}.seen", state, value, axis=0)
        bounds = (
            self.numbers(f"{state}.{part}", at) for part, at in (("begin", 1), ("end", frames), ("axis", 0))
        )
        self.node("Slice", f"{state}_out", together, *bounds)
        return together

    def in_volume(self, op: ops.Operator, inputs: list[str]) -> bool:
        """Whether the result has five axes."""
        if isinstance(op, ops.Recast):
            return op.volume
        return inputs[0] in self.volumes and not isinstance(op, (ops.Mean, ops.SpaceMean))

    def operator(self, op: ops.Operator, name: str, inputs: list[str], shape: ops.Shape) -> str:
        """One operator; shape: of its first input for one clip."""
        x = inputs[0]
        if isinstance(op, ops.Conv):
            return self.convolution(op, name, x)
        if isinstance(op, ops.Linear):
            weights = [self.tensor(f"{op.key}.{part}") for part in ("weight", "bias")]
            return self.end(op.activation, name, lambda out: self.node("Gemm", out, x, *weights, transB=1))
        if isinstance(op, ops.Norm):
            parts = [self.tensor(f"{op.key}.{p}") for p in ("weight", "bias", "running_mean", "running_var")]
            return self.end(
                op.activation,
                name,
                lambda out: self.node("BatchNormalization", out, x, *parts, epsilon=EPSILON),
            )
        if isinstance(op, ops.Add):
            return self.end(op.activation, name, lambda out: self.node("Add", out, *inputs))
        if isinstance(op, ops.Pool):
            return self.pool(op, name, x, volume=x in self.volumes)
        if isinstance(op, ops.Concat):
            return self.node("Concat", name, *inputs, axis=1)
        if isinstance(op, (ops.Average, ops.Total)):
            return self.added(op, name, inputs)
        if isinstance(op, ops.Attend):
            return self.attend(op, name, inputs, shape)
        return self.rearranged(op, name, x, shape)

    def tensor(self, key: str) -> str:
        """A weight of the network as a constant, once."""
        if all(constant.name != key for constant in self.constants):
            self.constant(key, self.weights[key])
        return key

    def numbers(self, name: str, *values: int) -> str:
        """Integers as a constant."""
        return self.constant(name, np.array(values, np.int64))

    def end(self, activation: str, name: str, emit: Callable[[str], str]) -> str:
        """A node, and a ReLU behind it where there is one."""
        if activation != "relu":
            return emit(name)
        return self.node("Relu", name, emit(f"{name}.sum"))

    def convolution(self, op: ops.Conv, name: str, x: str) -> str:
        """A convolution with its batch norm folded in."""
        weight = self.weights[f"{op.key}.weight"].astype(np.float64)
        bias = self.weights[f"{op.key}.bias"].astype(np.float64) if op.bias else np.zeros(op.outputs)
        if op.norm:
            scale, shift, mean, var = (
                self.weights[f"{op.norm}.{part}"].astype(np.float64)
                for part in ("weight", "bias", "running_mean", "running_var")
            )
            factor = scale / np.sqrt(var + EPSILON)
            weight = weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
            bias = bias * factor + shift - mean * factor
        first = 0 if op.volume else 1
        window = op.window
        names = [
            self.constant(f"{op.key}.folded.{part}", array.astype(np.float32))
            for part, array in (("weight", weight), ("bias", bias))
        ]
        return self.end(
            op.activation,
            name,
            lambda out: self.node(
                "Conv",
                out,
                x,
                *names,
                kernel_shape=window.kernel[first:],
                strides=window.stride[first:],
                pads=[*window.pad[first:], *window.pad[first:]],
            ),
        )

    def pool(self, op: ops.Pool, name: str, x: str, *, volume: bool) -> str:
        """A pooling window over frames or a volume."""
        first = 0 if volume else 1
        window = op.window
        kernel, strides, side = window.kernel[first:], window.stride[first:], window.pad[first:]
        pads, ceil = [*side, *side], int(window.ceil and max(window.stride) > 1)
        if op.kind == "max":
            return self.node(
                "MaxPool", name, x, kernel_shape=kernel, strides=strides, pads=pads, ceil_mode=ceil
            )
        return self.node(
            *("AveragePool", name, x),
            kernel_shape=kernel,
            strides=strides,
            pads=pads,
            ceil_mode=ceil,
            count_include_pad=1,
        )

    def added(self, op: ops.Operator, name: str, inputs: list[str]) -> str:
        """A sum of several values, or their mean."""
        if isinstance(op, ops.Average):
            share = self.constant(f"{name}.share", np.float32(1 / len(inputs)))
            inputs = [self.node("Mul", f"{name}.part{i}", value, share) for i, value in enumerate(inputs)]
        total = inputs[0]
        for index, value in enumerate(inputs[1:], start=2):
            total = self.node("Add", name if index == len(inputs) else f"{name}.{index}", total, value)
        return total

    def attend(self, op: ops.Attend, name: str, inputs: list[str], shape: ops.Shape) -> str:
        """softmax(theta^T phi * scale) g of volumes."""
        frames, channels, height, width = shape
        flat = self.numbers(f"{name}.flat", 1, channels, -1)
        theta, phi, g = (
            self.node("Reshape", f"{name}.{part}", value, flat)
            for part, value in zip(("theta", "phi", "g"), inputs, strict=True)
        )
        queries = self.node("Transpose", f"{name}.queries", theta, perm=[0, 2, 1])
        contents = self.node("Transpose", f"{name}.contents", g, perm=[0, 2, 1])
        scores = self.node("MatMul", f"{name}.scores", queries, phi)
        if op.scale != 1.0:
            scale = self.constant(f"{name}.scale", np.float32(op.scale))
            scores = self.node("Mul", f"{name}.scaled", scores, scale)
        weights = self.node("Softmax", f"{name}.weights", scores, axis=2)
        mixed = self.node("MatMul", f"{name}.mixed", weights, contents)
        back = self.node("Transpose", f"{name}.back", mixed, perm=[0, 2, 1])
        whole = self.numbers(f"{name}.whole", 1, channels, frames, height, width)
        return self.node("Reshape", f"{name}.attended", back, whole, outputs=(name,))

    def rearranged(self, op: ops.Operator, name: str, x: str, shape: ops.Shape) -> str:
        """The operators that only choose, reorder or average."""
        if isinstance(op, ops.Recast) and op.volume:
            first = self.node("Unsqueeze", f"{name}.clip", x, self.numbers(f"{name}.axis", 0))
            return self.node("Transpose", f"{name}.volume", first, outputs=(name,), perm=[0, 2, 1, 3, 4])
        if isinstance(op, ops.Recast):
            first = self.node("Transpose", f"{name}.clip", x, perm=[0, 2, 1, 3, 4])
            return self.node("Squeeze", name, first, self.numbers(f"{name}.axis", 0))
        if isinstance(op, ops.Frames):
            return self.cut(name, x, 0, op.begin, op.end)
        if isinstance(op, ops.SpaceMean):
            return self.node("ReduceMean", name, x, self.numbers(f"{name}.axes", 2, 3), keepdims=0)
        if isinstance(op, ops.Mean):
            axes = (2, 3, 4) if op.volume else (0,)
            return self.node(
                "ReduceMean", name, x, self.numbers(f"{name}.axes", *axes), keepdims=int(not op.volume)
            )
        if isinstance(op, ops.Gather):
            parts = [self.cut(f"{name}.{i}", x, 0, at, at + 1) for i, at in enumerate(op.frames)]
            return self.node("Concat", name, *parts, axis=1)
        assert isinstance(op, ops.Shift)
        return self.shifted(name, x, shape)

    def cut(self, name: str, x: str, axis: int, begin: int, end: int) -> str:
        """Elements [begin, end) along an axis."""
        bounds = [
            self.numbers(f"{name}.{part}", at)
            for part, at in (("begin", begin), ("end", end), ("axis", axis))
        ]
        return self.node("Slice", name, x, *bounds)

    def shifted(self, name: str, x: str, shape: ops.Shape) -> str:
        """The bi-directional shift of frames; zeros where there is no neighbour."""
        frames, channels, height, width = shape
        future, past = OFFLINE.folds(channels)
        parts = []
        for part, begin, count, at in (("future", 0, future, 1), ("past", future, past, 0)):
            some = self.cut(f"{name}.{part}", x, 1, begin, begin + count)
            kept = self.cut(f"{name}.{part}.kept", some, 0, at, at + frames - 1)
            edge = self.constant(f"{name}.{part}.edge", np.zeros((1, count, height, width), np.float32))
            pair = (kept, edge) if at else (edge, kept)
            parts.append(self.node("Concat", f"{name}.{part}.moved", *pair, axis=0))
        parts.append(self.cut(f"{name}.rest", x, 1, future + past, channels))
        return self.node("Concat", name, *parts, axis=1)
