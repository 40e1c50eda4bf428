"""Rewrites of single operator forms to equivalent ones that TVM's frontend reads, one function each (rewrites.py).

Each takes a node and what is known of its values, and returns the nodes in its place, or None to leave it.
"""

from __future__ import annotations

from math import ceil, prod
from typing import TYPE_CHECKING

import numpy as np

from . import limits
from .nodes import Builder, attributes
from .values import Values, refusal

if TYPE_CHECKING:
    from onnx import NodeProto


def dropout(node: NodeProto, values: Values) -> list[NodeProto] | None:
    """Dropout outside of training repeats its input; its mask keeps everything."""
    if drops(node, values):
        return None
    build = Builder(node, values)
    if len(node.output) > 1 and node.output[1]:
        mask = build.constant(np.ones(values.shape(node.input[0])), bool)
        build.add("Identity", mask, output=node.output[1])
    return build.end(node.input[0])


def drops(node: NodeProto, values: Values) -> bool:
    """Whether a Dropout is one: in training, or perhaps, with a ratio above 0."""
    if len(node.input) < 3 or not node.input[2]:
        return False
    mode, ratio = values.array(node.input[2]), values.array(node.input[1])
    trains = mode is None or bool(mode.reshape(()))
    return trains and (ratio is None or bool(ratio.reshape(()) != 0))


def float_remainder(node: NodeProto, values: Values) -> list[NodeProto] | None:
    """Mod of floats with the divisor's sign: the remainder with the dividend's sign, moved by one divisor."""
    if values.dtype(node.input[0]) != 1 or attributes(node).get("fmod", 0):
        return None
    x, y = node.input
    build = Builder(node, values)
    rest = build.add("Mod", x, y, fmod=1)
    zero = build.constant(0)
    signs = build.add("Xor", build.add("Less", rest, zero), build.add("Less", y, zero))
    moves = build.add("And", signs, build.add("Not", build.add("Equal", rest, zero)))
    build.add("Where", moves, build.add("Add", rest, y), rest, output=node.output[0])
    return build.nodes


def chosen(node: NodeProto, values: Values) -> list[NodeProto] | None:
    """Compress by a constant condition: Gather."""
    condition = values.array(node.input[1])
    if condition is None:
        return None
    axis, shape = attributes(node).get("axis"), values.shape(node.input[0])
    build = Builder(node, values)
    flat = axis is None
    source = build.reshape(node.input[0], (prod(shape),)) if flat else node.input[0]
    picks = build.constant(np.flatnonzero(condition), np.int64)
    build.add("Gather", source, picks, axis=0 if flat else axis, output=node.output[0])
    return build.nodes


def counted(node: NodeProto, values: Values) -> list[NodeProto] | None:
    """Range of constants: a constant, whose length is checked first."""
    parts = [values.array(name) for name in node.input]
    if any(part is None or part.size != 1 for part in parts):
        return None
    start, limit, step = (part.reshape(()) for part in parts if part is not None)
    if step == 0 or not np.isfinite([start, limit, step]).all():
        raise refusal(node, "counts without an end", f"step {step}", "a finite step other than 0")
    count = max(0, ceil((float(limit) - float(start)) / float(step)))
    limits.check_tensor(f"Node '{node.name}' (Range)", (count,), start.itemsize)
    values.add_constant(node.output[0], start + np.arange(count, dtype=start.dtype) * step)
    return []


def one_hot(node: NodeProto, values: Values) -> list[NodeProto] | None:
    """OneHot of a constant depth: the indices compared with 0..depth - 1."""
    indices, depth, pair = node.input
    count, integer = values.array(depth), values.dtype(indices) in (6, 7)
    if count is None or not integer:
        return None
    extent, shape = int(count.reshape(())), values.shape(indices)
    axis = attributes(node).get("axis", -1) % (len(shape) + 1)
    kind = np.int32 if values.dtype(indices) == 6 else np.int64
    build = Builder(node, values)
    wide = build.reshape(indices, (*shape[:axis], 1, *shape[axis:]))
    below = build.add("Less", wide, build.constant(0, kind))
    positive = build.add("Where", below, build.add("Add", wide, build.constant(extent, kind)), wide)
    places = build.constant(np.arange(extent).reshape(-1, *[1] * (len(shape) - axis)), kind)
    is_one = build.add("Equal", positive, places)
    off, on = (build.add("Gather", pair, build.constant(index, np.int64)) for index in (0, 1))
    build.add("Where", is_one, on, off, output=node.output[0])
    return build.nodes


def one_sign(node: NodeProto, values: Values) -> list[NodeProto] | None:
    """IsInf of one sign: equal to that infinity."""
    attrs = attributes(node)
    up, down = attrs.get("detect_positive", 1), attrs.get("detect_negative", 1)
    if up and down:
        return None
    build = Builder(node, values)
    infinity = build.constant(np.inf if up else -np.inf)
    if not up and not down:
        infinity = build.constant(np.nan)  # equal to nothing
    build.add("Equal", node.input[0], infinity, output=node.output[0])
    return build.nodes


def space_to_depth(node: NodeProto, values: Values) -> list[NodeProto] | None:
    """SpaceToDepth with the channels outside of the block (CRD)."""
    attrs = attributes(node)
    if attrs.get("mode", "DCR") != "CRD":
        return None
    batch, channels, height, width = values.shape(node.input[0])
    b = attrs["blocksize"]
    build = Builder(node, values)
    value = build.reshape(node.input[0], (batch, channels, height // b, b, width // b, b))
    value = build.add("Transpose", value, perm=[0, 1, 3, 5, 2, 4])
    shape = (batch, channels * b * b, height // b, width // b)
    return build.end(build.reshape(value, shape))


def float_exponent(node: NodeProto, values: Values) -> list[NodeProto] | None:
    """Pow whose exponent has another type than its base."""
    base, exponent = node.input
    if values.dtype(base) == values.dtype(exponent):
        return None
    build = Builder(node, values)
    same = build.add("Cast", exponent, to=values.dtype(base))
    build.add("Pow", base, same, output=node.output[0])
    return build.nodes


def lp_normalization(node: NodeProto, values: Values) -> list[NodeProto] | None:
    """LpNormalization: divided by the norm, 0 where that is 0."""
    attrs = attributes(node)
    p = attrs.get("p", 2)
    shape = values.shape(node.input[0])
    axis = attrs.get("axis", -1) % len(shape)
    build = Builder(node, values)
    x = node.input[0]
    powers = build.add("Abs", x) if p == 1 else build.add("Mul", x, x)
    total = build.add("ReduceSum", powers, build.constant([axis], np.int64), keepdims=1)
    norm = total if p == 1 else build.add("Sqrt", total)
    safe = build.add("Where", build.add("Equal", norm, build.constant(0)), build.constant(1), norm)
    build.add("Div", x, safe, output=node.output[0])
    return build.nodes


def axes_as_list(node: NodeProto, values: Values) -> list[NodeProto] | None:
    """Squeeze and Unsqueeze whose axes are one number without a dimension."""
    axes = values.array(node.input[1]) if len(node.input) > 1 and node.input[1] else None
    if axes is None or axes.ndim:
        return None
    build = Builder(node, values)
    build.add(node.op_type, node.input[0], build.constant([axes], np.int64), output=node.output[0])
    return build.nodes


def single(node: NodeProto, values: Values) -> list[NodeProto] | None:
    """Sum or Mean of one value."""
    return Builder(node, values).end(node.input[0]) if len(node.input) == 1 else None


def running_sum(node: NodeProto, values: Values) -> list[NodeProto] | None:
    """CumSum along one axis: a product with a triangle of ones."""
    axis_value = values.array(node.input[1])
    shape = values.shape(node.input[0])
    if axis_value is None or values.dtype(node.input[0]) != 1 or not shape:
        return None
    attrs, axis = attributes(node), int(axis_value.reshape(())) % len(shape)
    extent = shape[axis]
    if extent > 4096 or not prod(shape):
        return None
    ones = np.tril(np.ones((extent, extent), np.float32), -1 if attrs.get("exclusive") else 0)
    if attrs.get("reverse"):
        ones = ones[::-1, ::-1]
    build = Builder(node, values)
    flat = (prod(shape[:axis]), extent, prod(shape[axis + 1 :]))
    value = build.add("MatMul", build.constant(ones), build.reshape(node.input[0], flat))
    return build.end(build.reshape(value, shape))
