"""The nodes of a quantised ONNX file: who makes and reads a value, and the checked scales of its linear operators."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .nodes import attributes
from .values import refusal
from .walk import names_read

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

QUANTISERS = ("QuantizeLinear", "DequantizeLinear")
EIGHT = "quantise to 8 bits, or export in float32"
AGAIN = "quantise the network again; calibration data must reach every value"


@dataclass(frozen=True)
class Linear:
    """The constants of a QuantizeLinear or DequantizeLinear. low: the type's smallest integer; None: of a bias."""

    scale: NDArray[np.float64]
    zero: NDArray[np.int64]
    low: int | None
    axis: int

    @property
    def range(self) -> tuple[float, float]:
        """The numbers that the bytes reach, by the only scale."""
        scale, zero, low = float(self.scale.item()), int(self.zero.flat[0]), self.low or 0
        return (low - zero) * scale, (low + 255 - zero) * scale

    def along(self, dimensions: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Scale and zero point in a shape that broadcasts with a tensor of so many dimensions."""
        shape = [1] * dimensions
        if self.scale.size > 1:
            shape[self.axis % dimensions] = -1
        return self.scale.reshape(shape), self.zero.reshape(shape)


class File:
    """A model's nodes by what they make and read."""

    def __init__(self, model: ModelProto) -> None:
        graph = model.graph
        self.nodes = list(graph.node)
        self.tensors = {tensor.name: tensor for tensor in graph.initializer}
        self.arrays: dict[str, NDArray[np.generic]] = {}
        self.inputs = {value.name for value in graph.input if value.name not in self.tensors}
        self.results = {value.name for value in graph.output}
        self.makers = {name: node for node in self.nodes for name in node.output if name}
        self.taken = self.inputs | set(self.tensors) | set(self.makers)
        self.by_input: dict[str, list[NodeProto]] = {}
        for node in self.nodes:
            for name in node.input:
                self.by_input.setdefault(name, []).append(node)
        outside = Counter(names_read(graph))  # by branches, too
        self.hidden = {name for name, count in outside.items() if count > len(self.by_input.get(name, []))}

    def readers(self, name: str) -> list[NodeProto]:
        """The nodes that read a value; none where a branch reads it, which nobody follows here."""
        return [] if name in self.hidden or name in self.results else self.by_input.get(name, [])

    def only_result(self, name: str) -> bool:
        """Whether a value is a result of the network that no node reads."""
        return name in self.results and name not in self.by_input and name not in self.hidden

    def fresh(self, hint: str) -> str:
        """A name that is not taken."""
        name, count = hint, 0
        while name in self.taken:
            count += 1
            name = f"{hint}.{count}"
        self.taken.add(name)
        return name

    def array(self, name: str) -> NDArray[np.generic] | None:
        """The contents of a constant; None for other values."""
        from onnx import numpy_helper

        tensor, maker = self.tensors.get(name), self.makers.get(name)
        if tensor is None and maker is not None and maker.op_type == "Constant":
            tensor = attributes(maker).get("value")
        if tensor is not None and name not in self.arrays:
            self.arrays[name] = np.asarray(numpy_helper.to_array(tensor))
        return self.arrays.get(name)

    def is_linear(self, node: NodeProto, operator: str = "") -> bool:
        """Whether a node is ONNX's own QuantizeLinear or DequantizeLinear, or the one that is asked for."""
        known = (operator,) if operator else QUANTISERS
        return node.op_type in known and node.domain in ("", "ai.onnx")

    def linear(self, node: NodeProto) -> Linear | None:
        """The checked constants of a linear operator; None where they are computed.

        Raises ImportFailed: scales that are not above zero, blocks, zero points of another shape or type.
        """
        names = [*node.input, ""][:3]
        attrs = attributes(node)
        if attrs.get("block_size", 0):
            size = f"block_size {attrs['block_size']}"
            raise refusal(node, "cannot be had: scales for blocks", size, "a scale a tensor or a channel", EIGHT)
        found, zero = self.array(names[1]), self.array(names[2]) if names[2] else None
        if found is None or (names[2] and zero is None):
            return None
        scale = np.asarray(found, np.float64)
        if not (np.isfinite(scale).all() and (scale > 0).all()):
            worst = scale[~(np.isfinite(scale) & (scale > 0))].flat[0]
            raise refusal(node, "has a scale that is none", f"{worst:g}", "finite numbers above 0", AGAIN)
        low = least(node, self.type_of(node), None if zero is None else zero.dtype)
        zeros = np.zeros(scale.shape, np.int64) if zero is None else np.asarray(zero, np.int64)
        if zeros.size != scale.size:
            count = f"{zeros.size} for {scale.size} scales"
            raise refusal(node, "has another number of zero points", count, "one for each scale", AGAIN)
        axis, array = int(attrs.get("axis", 1)), self.array(node.input[0])
        if scale.size > 1 and array is not None and scale.size != (*array.shape, *[0] * 8)[axis]:
            count = f"{scale.size} for {list(array.shape)} along axis {axis}"
            raise refusal(node, "has another number of scales than channels", count, "one a channel", AGAIN)
        return Linear(scale, zeros, low, axis)

    def type_of(self, node: NodeProto) -> np.dtype[np.generic] | None:
        """The type of the integers that a DequantizeLinear reads, or that a QuantizeLinear names by its attribute."""
        from onnx import helper

        if node.op_type == "DequantizeLinear":
            array, maker = self.array(node.input[0]), self.makers.get(node.input[0])
            if array is not None or maker is None or not self.is_linear(maker, "QuantizeLinear"):
                return None if array is None else array.dtype
            node = maker
            zero = self.array(node.input[2]) if len(node.input) > 2 and node.input[2] else None
            if zero is not None:
                return zero.dtype
        kind = attributes(node).get("output_dtype", 0)
        return np.dtype(helper.tensor_dtype_to_np_dtype(kind)) if kind else None


def least(
    node: NodeProto, data: np.dtype[np.generic] | None, zero: np.dtype[np.generic] | None
) -> int | None:
    """The smallest integer of the type that a linear operator writes or reads; None: int32, of a bias."""
    if data is not None and zero is not None and data != zero:
        found = f"{zero} for {data}"
        raise refusal(node, "has a zero point of another type", found, "the type of the integers", AGAIN)
    kind = data or zero or np.dtype(np.uint8)
    allowed = {"int8": -128, "uint8": 0, "int32": None}
    if str(kind) not in allowed:
        raise refusal(node, "cannot be had: a storage type other than 8 bits", str(kind), "int8, uint8", EIGHT)
    return allowed[str(kind)]
