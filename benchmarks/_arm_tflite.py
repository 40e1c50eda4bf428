"""A model of ours as a LiteRT file, float32 or int8, written from its description with the schema of LiteRT's wheel.

int8 is what LiteRT's own quantiser writes: weights symmetric per output channel, activations per tensor with a zero
point, biases in 32 bits. A state, the two parts that a shift cuts and what they are joined to have one scale, so that
slices and concatenations copy bytes.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tsm_edge.models import Model
from tsm_edge.models.description import Block, Conv, Head, Pool
from tsm_edge.onnx.graph import folded

#: value -> (smallest, largest) seen
Ranges = Mapping[str, tuple[float, float]]
ACTIVATIONS = {"": 0, "relu": 1, "relu6": 3}
SAME, VALID = 0, 1


def schema_of(site: Path) -> ModuleType:
    """The schema's classes of an unpacked wheel; they are plain Python, whatever the wheel was built for."""
    sys.path.append(str(site))  # for flatbuffers
    spec = importlib.util.spec_from_file_location("schema", site / "ai_edge_litert/schema_py_generated.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Writer:
    """Tensors, buffers and operators of one file."""

    def __init__(
        self,
        schema: ModuleType,
        model: Model,
        weights: Mapping[str, np.ndarray],
        ranges: Ranges | None,
        half: bool,
    ) -> None:
        self.schema, self.model, self.weights, self.ranges, self.half = schema, model, weights, ranges, half
        self.buffers: list[Any] = [schema.BufferT()]
        self.tensors: list[Any] = []
        self.index: dict[str, int] = {}
        self.codes: list[int] = []
        self.operators: list[Any] = []
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.states = [pair.input for pair in model.signature.states]
        self.scale: dict[str, tuple[float, int]] = {}

    # -- parts of the file

    def constant(self, name: str, array: np.ndarray, scales: np.ndarray | None = None, axis: int = 0) -> int:
        """A tensor with its data."""
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
        self.buffers.append(buffer)
        return self._tensor(name, array.shape, array.dtype, len(self.buffers) - 1, scales, 0, axis)

    def value(self, name: str, shape: tuple[int, ...], like: str = "", range_of: str = "") -> str:
        """An activation; of int8, with the scale of `like`, or for the range of `range_of`."""
        self.shapes[name] = shape
        if self.ranges is None:
            self._tensor(name, shape, np.dtype(np.float32), 0)
            return name
        if like:
            self.scale[name] = self.scale[like]
        else:
            low, high = self.ranges[range_of or name]
            low, high = min(low, 0.0), max(high, 1e-6)
            scale = (high - low) / 255
            self.scale[name] = scale, round(-128 - low / scale)
        scale, zero = self.scale[name]
        self._tensor(name, shape, np.dtype(np.int8), 0, np.array([scale]), zero)
        return name

    def _tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        buffer: int,
        scales: np.ndarray | None = None,
        zero: int = 0,
        axis: int = 0,
    ) -> int:
        kinds = {"float32": 0, "int32": 2, "int8": 9}
        tensor = self.schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, list(shape), kinds[dtype.name], buffer
        tensor.hasRank = True
        if scales is not None:
            tensor.quantization = self.schema.QuantizationParametersT()
            tensor.quantization.scale = [float(scale) for scale in scales]
            tensor.quantization.zeroPoint = [zero] * len(scales)
            tensor.quantization.quantizedDimension = axis
        self.tensors.append(tensor)
        self.index[name] = len(self.tensors) - 1
        return self.index[name]

    def operator(self, name: str, inputs: list[int], outputs: list[str], kind: str = "", **facts: Any) -> None:
        """An operator; kind: its options' name in the schema."""
        code = getattr(self.schema.BuiltinOperator, name)
        if code not in self.codes:
            self.codes.append(code)
        made = self.schema.OperatorT()
        made.opcodeIndex, made.inputs = self.codes.index(code), inputs
        made.outputs = [self.index[output] for output in outputs]
        if kind:
            made.builtinOptionsType = getattr(self.schema.BuiltinOptions, kind)
            made.builtinOptions = getattr(self.schema, kind + "T")()
            for key, value in facts.items():
                setattr(made.builtinOptions, key, value)
        self.operators.append(made)

    # -- layers

    def file(self) -> bytes:
        """Write all layers and return the file."""
        import flatbuffers

        inputs = [self.model.signature.inputs[0].name, *(state.name for state in self.states)]
        frame = self.model.signature.inputs[0].shape
        value = self.value("frame", (1, frame[2], frame[3], frame[1]))
        waiting = list(self.states)
        results: list[str] = []
        for layer in self.model.layers:
            if isinstance(layer, Conv):
                value = self.conv(layer, value)
            elif isinstance(layer, Pool):
                value = self.pool(value)
            elif isinstance(layer, Block):
                value = self.block(layer, value, waiting, results)
            elif isinstance(layer, Head):
                self.head(layer, value)
        graph = self.schema.SubGraphT()
        graph.tensors, graph.operators, graph.name = self.tensors, self.operators, "main"
        graph.inputs = [self.index[name] for name in inputs]
        graph.outputs = [self.index[name] for name in ["logits", *results]]
        made = self.schema.ModelT()
        made.version, made.subgraphs, made.buffers = 3, [graph], self.buffers
        made.operatorCodes = [self._code(code) for code in self.codes]
        if self.half:
            note = self.schema.MetadataT()
            data = self.schema.BufferT()
            data.data = np.frombuffer(b"fp16accfp16", np.uint8)
            self.buffers.append(data)
            note.name, note.buffer = "reduced_precision_support", len(self.buffers) - 1
            made.metadata = [note]
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(made.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _code(self, code: int) -> Any:
        made = self.schema.OperatorCodeT()
        made.builtinCode, made.deprecatedBuiltinCode, made.version = code, min(code, 127), 1
        if self.ranges is not None:
            # int8 came with these versions of the operators
            versions = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4}
            names = {getattr(self.schema.BuiltinOperator, name): number for name, number in versions.items()}
            made.version = names.get(code, 2)
        return made

    def pad(self, value: str, pad: int) -> str:
        """Zeros around an image."""
        _, height, width, channels = self.shapes[value]
        sides = self.constant(f"{value}.sides", np.array([[0, 0], [pad, pad], [pad, pad], [0, 0]], np.int32))
        padded = self.value(f"{value}.pad", (1, height + 2 * pad, width + 2 * pad, channels), like=value)
        self.operator("PAD", [self.index[value], sides], [padded], "PadOptions")
        return padded

    def conv(self, conv: Conv, value: str, to: str = "") -> str:
        """A convolution and its activation."""
        weight, bias = folded(conv, self.weights)
        depthwise = conv.groups > 1
        array = weight.transpose(1, 2, 3, 0) if depthwise else weight.transpose(0, 2, 3, 1)
        side = conv.side(self.shapes[value][1])
        if conv.kernel > 1 and conv.stride > 1:
            value = self.pad(value, conv.kernel // 2)
        axis = 3 if depthwise else 0
        name = to or conv.weight + (f".{conv.activation}" if conv.activation else "")
        output = self.value(name, (1, side, side, conv.outputs))
        operands = [self.index[value], *self.weight_and_bias(conv.weight, array, bias, value, axis)]
        facts = {"strideH": conv.stride, "strideW": conv.stride, "dilationHFactor": 1, "dilationWFactor": 1}
        facts["padding"] = VALID if conv.stride > 1 or conv.kernel == 1 else SAME
        facts["fusedActivationFunction"] = ACTIVATIONS[conv.activation]
        if depthwise:
            facts["depthMultiplier"] = 1
            self.operator("DEPTHWISE_CONV_2D", operands, [output], "DepthwiseConv2DOptions", **facts)
        else:
            self.operator("CONV_2D", operands, [output], "Conv2DOptions", **facts)
        return output

    def weight_and_bias(
        self, name: str, array: np.ndarray, bias: np.ndarray, value: str, axis: int
    ) -> list[int]:
        """The two constants of a layer."""
        if self.ranges is None:
            return [self.constant(f"{name}.w", array), self.constant(f"{name}.b", bias)]
        others = tuple(a for a in range(array.ndim) if a != axis)
        scales = np.maximum(np.abs(array).max(others), 1e-8) / 127
        shape = [-1 if a == axis else 1 for a in range(array.ndim)]
        whole = np.round(array / scales.reshape(shape)).astype(np.int8)
        steps = scales * self.scale[value][0]
        number = np.round(bias / steps).astype(np.int32)
        return [self.constant(f"{name}.w", whole, scales, axis), self.constant(f"{name}.b", number, steps)]

    def pool(self, value: str) -> str:
        """Max pooling over what is zero or more."""
        side = (self.shapes[value][1] - 1) // 2 + 1
        padded = self.pad(value, 1)
        output = self.value("pool", (1, side, side, self.shapes[value][3]), like=value)
        facts = {"strideH": 2, "strideW": 2, "filterHeight": 3, "filterWidth": 3, "padding": VALID}
        self.operator("MAX_POOL_2D", [self.index[padded]], [output], "Pool2DOptions", **facts)
        return output

    def block(self, block: Block, value: str, waiting: list[Any], results: list[str]) -> str:
        """The shift, the chain, the sum."""
        inside = self.shift(block, value, waiting.pop(0).name, results) if block.shifted else value
        for conv in block.chain:
            inside = self.conv(conv, inside)
        if block.residual:
            passed = self.conv(block.projection, value) if block.projection else value
            name = f"{block.name}.{block.activation}" if block.activation else f"{block.name}.add"
            output = self.value(name, self.shapes[inside])
            facts = {"fusedActivationFunction": ACTIVATIONS[block.activation]}
            self.operator("ADD", [self.index[inside], self.index[passed]], [output], "AddOptions", **facts)
            return output
        return inside

    def shift(self, block: Block, value: str, state: str, results: list[str]) -> str:
        """The first channels come from the state; what they were in this frame is the next state."""
        _, height, width, channels = self.shapes[value]
        fold = block.fold
        self.value(state, (1, height, width, fold), like=value)
        parts = {f"{state}_out": (0, fold), f"{block.name}.rest": (fold, channels - fold)}
        for name, (begin, size) in parts.items():
            output = self.value(name, (1, height, width, size), like=value)
            start = self.constant(f"{name}.begin", np.array([0, 0, 0, begin], np.int32))
            extent = self.constant(f"{name}.size", np.array([1, height, width, size], np.int32))
            self.operator("SLICE", [self.index[value], start, extent], [output], "SliceOptions")
        results.append(f"{state}_out")
        joined = self.value(f"{block.name}.shift", (1, height, width, channels), like=value)
        inputs = [self.index[state], self.index[f"{block.name}.rest"]]
        self.operator("CONCATENATION", inputs, [joined], "ConcatenationOptions", axis=3)
        return joined

    def head(self, head: Head, value: str) -> None:
        """Mean over space, then the classifier."""
        axes = self.constant("mean.axes", np.array([1, 2], np.int32))
        mean = self.value("mean", (1, head.inputs))
        self.operator("MEAN", [self.index[value], axes], [mean], "ReducerOptions", keepDims=False)
        weight, bias = (self.weights[f"{head.name}.{part}"] for part in ("weight", "bias"))
        logits = self.value("logits", (1, head.classes))
        operands = [self.index[mean], *self.weight_and_bias(head.name, weight, bias, mean, 0)]
        self.operator("FULLY_CONNECTED", operands, [logits], "FullyConnectedOptions")


def tflite(
    schema: ModuleType,
    model: Model,
    weights: Mapping[str, np.ndarray],
    precision: str,
    ranges: Ranges,
) -> bytes:
    """The file of a model in one of fp32, fp16 (which LiteRT takes as leave to compute so) and int8."""
    return Writer(schema, model, weights, ranges if precision == "int8" else None, precision == "fp16").file()
