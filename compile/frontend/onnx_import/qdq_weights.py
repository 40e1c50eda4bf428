"""The integers of a quantised file's convolutions, as the 8-bit kernels take them: int8, zero point 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tsm_edge.errors import ImportFailed

from ...quantize.given import ANOTHER
from .qdq_file import File, Linear
from .values import label, refusal

if TYPE_CHECKING:
    from onnx import NodeProto

Found = tuple[dict[str, NDArray[np.int8]], frozenset[str], "ImportFailed | None"]


def weights_of(file: File) -> Found:
    """The integers by layer, the layers whose weights are in float32, and the first that no 8-bit kernel takes."""
    integers: dict[str, NDArray[np.int8]] = {}
    plain: set[str] = set()
    wrong: ImportFailed | None = None
    for node in file.nodes:
        if node.op_type != "Conv":
            continue
        maker = file.makers.get(node.input[1])
        linear = file.linear(maker) if maker is not None and file.is_linear(maker, "DequantizeLinear") else None
        whole = None if maker is None or linear is None else whole_of(file, maker, linear)
        if linear is None or whole is None:
            plain.add(label(node))
            continue
        wrong = wrong or refused(node, linear)
        integers[label(node)] = (whole.astype(np.int64) - 128 * (linear.low == 0)).astype(np.int8)
    return integers, frozenset(plain), wrong


def whole_of(file: File, node: NodeProto, linear: Linear) -> NDArray[np.generic] | None:
    """The integers that a DequantizeLinear reads: a constant, or one that QuantizeLinear makes of a constant."""
    array = file.array(node.input[0])
    maker = file.makers.get(node.input[0])
    if array is not None or maker is None or not file.is_linear(maker, "QuantizeLinear"):
        return array
    floats, first = file.array(maker.input[0]), file.linear(maker)
    if floats is None or first is None or linear.low is None:
        return None
    scale, zero = first.along(floats.ndim)
    steps = np.rint(np.asarray(floats, np.float64) / scale) + zero
    return np.asarray(np.clip(steps, linear.low, linear.low + 255), np.int64)


def dequantised(file: File) -> dict[str, NDArray[np.float32]]:
    """The constants that a file holds as integers, in float32 by the names of their DequantizeLinear's results."""
    found: dict[str, NDArray[np.float32]] = {}
    for node in file.nodes:
        linear = file.linear(node) if file.is_linear(node, "DequantizeLinear") else None
        whole = None if linear is None else whole_of(file, node, linear)
        if linear is not None and whole is not None and node.output[0] not in file.results:
            scale, zero = linear.along(whole.ndim)
            found[node.output[0]] = (whole.astype(np.int64) - zero).astype(np.float32) * scale.astype(np.float32)
    return found


def refused(node: NodeProto, linear: Linear) -> ImportFailed | None:
    """Why no 8-bit kernel takes the weights of a convolution; None where one does."""
    if linear.low is None:
        return refusal(node, "has weights of 32 bits", "int32", "int8, uint8", ANOTHER)
    if linear.scale.size > 1 and linear.axis != 0:
        found = f"axis {linear.axis}"
        return refusal(node, "has scales of its weights along another axis", found, "output channels, axis 0", ANOTHER)
    middle = linear.low + 128
    if (linear.zero != middle).any():
        found = f"zero point {linear.zero[linear.zero != middle].flat[0]} of {'uint8' if linear.low == 0 else 'int8'}"
        return refusal(
            node,
            "has weights around another number than zero",
            found,
            "zero point 0 of int8, 128 of uint8",
            f"quantise with weight_type=QuantType.QInt8, or {ANOTHER}",
        )
    return None
