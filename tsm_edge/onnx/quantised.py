"""A float32 ONNX file in 8 bits by a bundle's scales, for other runtimes: QuantizeLinear and DequantizeLinear (QDQ).

Values are unsigned bytes (ours plus 128), which most runtimes have the fastest kernels for on x86; weights are signed,
with a scale per output channel. Every convolution of the scales reads dequantised bytes and is quantised after its sum;
its clamp is the saturation. Splits, concats and max pools move bytes. States come and go as bytes.

The bundle adds a convolution's 32-bit sums to the other operand of a residual sum. Others compute a convolution in 8
bits only between two quantised values, so here it is quantised before the sum as well, in the range that those of the
sum and of the other operand imply. ONNX Runtime 1.32 has 8-bit operators for all of such a file but the mean and the
classifier, and OpenVINO 2026.4 drops the additional step and fuses the sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..bundle.scales import Affine, LayerScale, Scales
from ..errors import UsageError

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto

UNSIGNED = 128  # what is added to a signed byte
BIAS = 2.0**30
#: operators that only move or compare numbers
MOVES = ("Concat", "Identity", "MaxPool", "Reshape", "Slice", "Split", "Transpose")
CLAMPS = ("Relu", "Clip")


def is_quantised(model: ModelProto) -> bool:
    """Whether a file has 8-bit operators of its own."""
    return any(node.op_type in ("QuantizeLinear", "QLinearConv") for node in model.graph.node)


def quantised(model: ModelProto, scales: Scales, states: Sequence[tuple[str, str]]) -> ModelProto:
    """Return the file in 8 bits. states: names of each input and of the output that becomes it.

    Raises:
        UsageError: the scales belong to another network, or it has operators between a convolution and its sum.
    """
    from onnx import checker, helper

    writer = _Writer(model, scales, states)
    for node in model.graph.node:
        writer.take(node)
    if writer.layers:
        raise UsageError(
            "The scales name a layer that the ONNX file has no convolution for.",
            found=next(iter(writer.layers)),
            hint="give the file that the bundle was compiled from",
        )
    graph = helper.make_graph(
        [*writer.nodes],
        model.graph.name,
        [writer.declared(one) for one in model.graph.input if one.name not in writer.arrays],
        [*map(writer.declared, model.graph.output)],
        writer.kept(),
    )
    found: ModelProto = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    checker.check_model(found, full_check=True)
    return found


@dataclass(frozen=True)
class _Bytes:
    """A tensor of bytes and its scale."""

    name: str
    scale: Affine


class _Writer:
    def __init__(self, model: ModelProto, scales: Scales, states: Sequence[tuple[str, str]]) -> None:
        from onnx import numpy_helper

        self.layers = {one.name: one for one in scales.layers}
        if len(self.layers) < len(scales.layers):
            raise UsageError("Two layers of the bundle have one name, so its scales do not tell them apart.")
        self.arrays = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
        self.outputs = {one.name for one in model.graph.output}
        self.readers = [name for node in model.graph.node for name in node.input] + [*self.outputs]
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}
        self.bytes: dict[str, _Bytes] = {}
        self.reals: dict[str, str] = {}  # value -> its float32 tensor, where it has bytes as well
        self.sums: dict[str, tuple[LayerScale, str]] = {}  # convolutions that wait for their sum
        self.clamped: set[str] = set()  # values whose clamp is their saturation
        for (name, _), scale in zip(states, scales.states, strict=True):
            if scale is not None:
                self.bytes[name] = _Bytes(name, scale)
        if scales.frame is not None:
            known = {*self.arrays, *dict(states)}
            frame = next(one.name for one in model.graph.input if one.name not in known)
            self.quantise(frame, frame, scales.frame)

    def take(self, node: NodeProto) -> None:
        """Write one operator in its 8-bit form, where it has one."""
        data = [name for name in node.input if name and name not in self.arrays]
        if node.op_type == "Conv" and node.name in self.layers:
            self.convolution(node, self.layers.pop(node.name))
        elif node.op_type == "Add" and (waiting := [name for name in data if name in self.sums]):
            self.sum(node, waiting[0])
        elif node.op_type in CLAMPS and node.input[0] in self.clamped:
            self.bytes[node.output[0]] = self.bytes[node.input[0]]
        elif wrong := [name for name in data if name in self.sums]:
            raise UsageError(
                "A convolution is not followed by its sum.",
                found=f"{node.op_type} '{node.name}' reads '{wrong[0]}'",
                allowed="Conv, Add, then Relu or Clip",
            )
        elif node.op_type in MOVES and all(name in self.bytes for name in data):
            self.move(node, data)
        else:
            self.copy(node, {name: self.real(name) for name in data})

    def convolution(self, node: NodeProto, layer: LayerScale) -> None:
        """A convolution between bytes; one with a sum waits for it."""
        value, output, name = node.input[0], node.output[0], node.name
        if value not in self.bytes:
            raise UsageError("A layer in 8 bits reads a value that is not.", found=f"'{name}' reads '{value}'")
        weight = self.arrays[node.input[1]]
        bias = self.arrays[node.input[2]] if len(node.input) > 2 else np.zeros(len(weight), np.float32)
        step = self.bytes[value].scale.step
        whole, start, steps = integers(weight, bias, step)
        zeros = self.constant(f"{name}.weight_zero", np.zeros(len(whole), np.int8))
        inputs = {value: self.real(value)}
        for part, array, scale, zero in (
            (1, whole, steps, [zeros]),
            (2, start, steps * step, []),
        ):
            tensor = f"{name}.{('weight', 'bias')[part - 1]}_bytes"
            operands = [self.constant(tensor, array), self.constant(f"{tensor}_scale", scale.astype(np.float32))]
            self.add("DequantizeLinear", [*operands, *zero], f"{tensor}_real", axis=0)
        inputs[node.input[1]] = f"{name}.weight_bytes_real"
        copied = self.copy(node, inputs, rename={output: f"{output}.sum"})
        copied.input[2:] = [f"{name}.bias_bytes_real"]
        if layer.residual:
            self.sums[output] = layer, f"{output}.sum"
        else:
            self.quantise(output, f"{output}.sum", layer.scale)
            self.end(output)

    def sum(self, node: NodeProto, waiting: str) -> None:
        """A convolution's output and another value."""
        layer, conv = self.sums.pop(waiting)
        (other,) = [name for name in node.input if name != waiting]
        if other not in self.bytes:
            raise UsageError("A sum in 8 bits has an operand that is not.", found=f"'{node.name}' reads '{other}'")
        y, r = layer.scale, self.bytes[other].scale
        self.quantise(f"{waiting}.part", conv, Affine.of(y.low - r.high, y.high - r.low))
        output = node.output[0]
        self.add("Add", [self.real(f"{waiting}.part"), self.real(other)], f"{output}.sum", node.name)
        self.quantise(output, f"{output}.sum", layer.scale)
        self.end(output)

    def end(self, output: str) -> None:
        """A value that nothing but its clamp reads, if it has one."""
        if self.readers.count(output) == 1:
            self.clamped.add(output)

    def move(self, node: NodeProto, data: list[str]) -> None:
        """An operator over bytes of one scale."""
        scales = {self.bytes[name].scale for name in data}
        if len(scales) > 1:
            raise UsageError("Values of different scales are joined.", found=f"{node.op_type} '{node.name}'")
        (scale,) = scales
        for output in node.output:
            self.bytes[output] = _Bytes(self.name_of(output), scale)
        renamed = {output: self.bytes[output].name for output in node.output}
        self.copy(node, {name: self.bytes[name].name for name in data}, rename=renamed)

    def copy(
        self, node: NodeProto, inputs: dict[str, str], rename: dict[str, str] | None = None
    ) -> NodeProto:
        """An operator with other names for its operands."""
        copied = type(node)()
        copied.CopyFrom(node)
        copied.input[:] = [inputs.get(name, name) for name in node.input]
        copied.output[:] = [(rename or {}).get(name, name) for name in node.output]
        self.nodes.append(copied)
        return copied

    def name_of(self, value: str) -> str:
        """What the bytes of a value are called: as it is, where it is an output."""
        return value if value in self.outputs else f"{value}.bytes"

    def quantise(self, value: str, real: str, scale: Affine) -> None:
        """Round a float32 tensor: the bytes of a value from here on."""
        self.bytes[value] = _Bytes(self.name_of(value), scale)
        self.add("QuantizeLinear", [real, *self.parameters(scale)], self.name_of(value))

    def real(self, value: str) -> str:
        """The float32 tensor of a value; dequantised, where it has bytes."""
        if value not in self.bytes:
            return value
        tensor = self.bytes[value]
        if tensor.name not in self.reals:
            self.reals[tensor.name] = f"{tensor.name}.real"
            self.add("DequantizeLinear", [tensor.name, *self.parameters(tensor.scale)], f"{tensor.name}.real")
        return self.reals[tensor.name]

    def parameters(self, scale: Affine) -> tuple[str, str]:
        """The constants of a scale."""
        key = f"{scale.step!r},{scale.zero}"
        return (
            self.constant(f"step {key}", np.float32(scale.step)),
            self.constant(f"zero {key}", np.uint8(scale.zero + UNSIGNED)),
        )

    def constant(self, name: str, array: np.ndarray | np.generic) -> str:
        """Keep a constant; its name."""
        self.constants[name] = np.asarray(array)
        return name

    def add(self, kind: str, inputs: Sequence[str], output: str, name: str = "", **attributes: int) -> None:
        """An operator of ours."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=name or output, **attributes))

    def declared(self, value: ValueInfoProto) -> ValueInfoProto:
        """An input or output in the type that it has now."""
        from onnx import TensorProto

        tensor = self.bytes.get(value.name)
        copied = type(value)()
        copied.CopyFrom(value)
        if tensor is not None and tensor.name == value.name:
            copied.type.tensor_type.elem_type = TensorProto.UINT8
        return copied

    def kept(self) -> list[TensorProto]:
        """The constants that are read."""
        from onnx import numpy_helper

        read = {name for node in self.nodes for name in node.input}
        arrays = {name: array for name, array in {**self.arrays, **self.constants}.items() if name in read}
        return [numpy_helper.from_array(np.asarray(array, order="C"), name) for name, array in arrays.items()]


def integers(
    weight: np.ndarray, bias: np.ndarray, step: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The bytes of a weight, the 32-bit integers of its bias, and the scale of each output channel.

    step: of what the layer reads. A scale is never so small that the bias would leave its 32 bits.
    """
    weight, bias = weight.astype(np.float64), bias.astype(np.float64)
    largest = np.abs(weight).max(tuple(range(1, weight.ndim)))
    steps = np.maximum(np.maximum(largest / 127, np.abs(bias) / (step * BIAS)), 1e-12)
    whole = np.clip(np.rint(weight / steps.reshape(-1, *[1] * (weight.ndim - 1))), -127, 127)
    return whole.astype(np.int8), np.rint(bias / (steps * step)).astype(np.int32), steps
