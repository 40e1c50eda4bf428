"""Quantised ONNX files (QDQ form): the float32 network in them, and the scales that it comes with.

Where the file rounds a value to bytes (QuantizeLinear, DequantizeLinear), a clamp to the range of these bytes takes
the place of the pair: quantisers remove a ReLU whose work that range does. No clamp is left where nothing is computed
(inputs, slices, pools, concats), nor between a convolution and the sum that its kernel adds: there the kernels do not
round. Weights are dequantised by constant folding; their integers are kept beside.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...quantize.given import Given
from .qdq_file import File, Linear
from .qdq_weights import dequantised, weights_of
from .values import label, refusal

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

Range = tuple[float, float]
#: operators whose results are among the numbers of their inputs, or between them
MOVES = {
    "Concat", "Flatten", "GlobalAveragePool", "GlobalMaxPool", "Identity", "MaxPool", "ReduceMean", "Reshape",
    "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze",
}  # fmt: skip
#: operators behind which a quantiser may have removed a ReLU
LINEAR = {"Add", "BatchNormalization", "Conv", "Gemm", "MatMul", "Mul", "Sub"}
STATIC = (
    "quantise it statically in QDQ form (onnxruntime.quantization.quantize_static with "
    "quant_format=QuantFormat.QDQ), or export in float32"
)
#: operators that compute their scales while they run
DYNAMIC = {"ConvInteger", "DynamicQuantizeLinear", "DynamicQuantizeMatMul", "MatMulInteger", "MatMulIntegerToFloat"}


@dataclass
class Pair:
    """A QuantizeLinear and its readers, all of them DequantizeLinear with the same scale."""

    first: NodeProto
    readers: list[NodeProto]
    bounds: Range

    @property
    def source(self) -> str:
        """The value that is rounded."""
        return str(self.first.input[0])

    @property
    def results(self) -> list[str]:
        """The rounded values."""
        return [str(node.output[0]) for node in self.readers]

    @property
    def is_open(self) -> bool:
        """Whether its range ends on neither side at zero, so that it does not do the work of a ReLU."""
        return self.bounds[0] < 0 < self.bounds[1]


def read(model: ModelProto) -> tuple[ModelProto, Given | None]:
    """The network in float32, and what the file says of its bytes; None where it rounds nothing that is computed.

    Raises ImportFailed: dynamic quantisation, other types than 8 bits, blocks, and scales that are none.
    """
    for node in model.graph.node:
        if node.op_type in DYNAMIC:
            raise refusal(node, "computes scales while it runs", node.op_type, "scales in the file", STATIC)
    file = File(model)
    pairs, constants = found_pairs(file), dequantised(file)
    if not pairs and not constants:
        return model, None
    given = None
    if pairs:
        integers, plain, wrong = weights_of(file)
        given = Given({p.source: p.bounds for p in pairs if p.source in file.inputs}, integers, plain, wrong)
    return with_floats(replaced(model, file, pairs), constants), given


def found_pairs(file: File) -> list[Pair]:
    """The pairs around computed values, in the file's order; ImportFailed for one whose scales are none."""
    found: list[Pair] = []
    for node in file.nodes:
        if not file.is_linear(node):
            continue
        linear = file.linear(node)
        if node.op_type == "DequantizeLinear" or file.array(node.input[0]) is not None:
            continue
        readers = file.readers(node.output[0])
        if not readers or not all(file.is_linear(reader, "DequantizeLinear") for reader in readers):
            continue
        whole = activation(node, linear)
        if all(same(reader, whole, file.linear(reader)) for reader in readers):
            found.append(Pair(node, readers, whole.range))
    return found


def activation(node: NodeProto, linear: Linear | None) -> Linear:
    """The one scale of a computed value; ImportFailed for several, or for one that is computed."""
    if linear is None:
        raise refusal(node, "has a scale that is no constant", node.input[1], "a scale in the file", STATIC)
    if linear.scale.size != 1:
        found = f"{linear.scale.size} scales"
        raise refusal(node, "rounds a computed value by channel", found, "one scale for the tensor", STATIC)
    return linear


def same(node: NodeProto, first: Linear, second: Linear | None) -> bool:
    """Whether a reader reads by the scale that was rounded by; ImportFailed where it takes bytes of another type."""
    if second is not None and second.low != first.low:
        names = {0: "uint8", -128: "int8", None: "int32"}
        raise refusal(
            node,
            "reads bytes of another type than its QuantizeLinear gives",
            f"{names[second.low]} of {names[first.low]}",
            "zero points of one type",
            "quantise the network again",
        )
    return second is not None and first.scale == second.scale and first.zero == second.zero


def replaced(model: ModelProto, file: File, pairs: Iterable[Pair]) -> ModelProto:
    """The model with a clamp, or nothing, in the place of each pair."""
    import onnx
    from onnx import helper, numpy_helper

    summed = sums(file, list(pairs))
    firsts = {pair.first.output[0]: pair for pair in pairs}
    nodes: list[NodeProto] = []
    constants: list[onnx.TensorProto] = []
    known: dict[str, Range | None] = {}  # a value's range, where bytes gave it one
    for node in file.nodes:
        pair = firsts.get(node.output[0]) if node.op_type == "QuantizeLinear" else None
        if pair is None:
            if not (node.op_type == "DequantizeLinear" and node.input[0] in firsts):
                nodes.append(node)
                moved = spread(node, known)
                known.update((name, moved) for name in node.output if name)
            continue
        value = pair.source
        if clamps(file, pair, known.get(value)) and pair.first.output[0] not in summed:
            bounds = [file.fresh(f"{label(node)}.{side}") for side in ("low", "high")]
            constants += [
                numpy_helper.from_array(np.array(bound, np.float32), name)
                for name, bound in zip(bounds, pair.bounds, strict=True)
            ]
            clamped = file.fresh(f"{label(node)}.clamped")
            nodes.append(helper.make_node("Clip", [value, *bounds], [clamped], label(node)))
            value = clamped
        for name in pair.results:
            nodes.append(helper.make_node("Identity", [value], [name], f"{name}.same"))
            known[name] = pair.bounds
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    copy.graph.initializer.extend(constants)
    return copy


def with_floats(model: ModelProto, constants: dict[str, NDArray[np.float32]]) -> ModelProto:
    """The model with constants in the place of the nodes that compute them, and of what only these read."""
    from onnx import numpy_helper

    kept = [node for node in model.graph.node if node.output[0] not in constants]
    read = {name for node in kept for name in node.input} | {value.name for value in model.graph.output}
    kept = [node for node in kept if node.op_type != "QuantizeLinear" or node.output[0] in read]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
    return model


def spread(node: NodeProto, known: dict[str, Range | None]) -> Range | None:
    """The range of what an operator only moves; None where it computes, or an input's is not known."""
    if node.op_type not in MOVES:
        return None
    parts = [known.get(name) for name in (node.input if node.op_type == "Concat" else node.input[:1])]
    ranges = [part for part in parts if part is not None]
    if not ranges or len(ranges) < len(parts):
        return None
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def clamps(file: File, pair: Pair, known: Range | None) -> bool:
    """Whether a clamp stays in the place of a pair: where something was computed, or for the work of a ReLU."""
    maker = file.makers.get(pair.source)
    if maker is None:
        return False
    if maker.op_type in MOVES:
        low, high = known or (-np.inf, np.inf)
        return pair.bounds[0] == 0 > low or pair.bounds[1] == 0 < high
    if all(file.only_result(name) for name in pair.results):
        return maker.op_type in LINEAR and not pair.is_open
    return True


def sums(file: File, pairs: list[Pair]) -> set[str]:
    """QuantizeLinear results between a convolution and a sum that its kernel adds: one term of each sum."""
    results = {name: pair for pair in pairs for name in pair.results}
    found: set[str] = set()
    for node in file.nodes:
        for name in node.input if node.op_type == "Add" else ():
            pair = results.get(name)
            if pair is None or not pair.is_open or len(pair.readers) > 1:
                continue
            alone = len(file.readers(name)) == len(file.readers(pair.source)) == 1
            maker = file.makers.get(pair.source)
            if alone and maker is not None and maker.op_type in ("Conv", "BatchNormalization"):
                found.add(pair.first.output[0])
                break
    return found
