"""Clamps however they are written, as Clip with scalar bounds: the one form that fuses into a convolution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .nodes import Builder, attributes, inputs
from .values import Values

if TYPE_CHECKING:
    from onnx import NodeProto


def bound_of(name: str, values: Values) -> float | None:
    """The one number that a constant holds, whatever its shape; None for others and for NaN."""
    array = values.array(name)
    if array is None or array.size == 0 or array.dtype != np.float32:
        return None
    first = array.reshape(-1)[0]
    return float(first) if bool((array == first).all()) else None


def max_or_min(node: NodeProto, values: Values) -> list[NodeProto] | None:
    """Max or Min of one value and constants of one number each, which leave its shape as it is."""
    computed = [name for name in node.input if not values.is_constant(name)]
    if len(node.input) == 1:
        return Builder(node, values).end(node.input[0])
    if len(computed) != 1 or values.dtype(computed[0]) != 1:
        return None
    shape = values.shape(computed[0])
    constants = [name for name in node.input if name != computed[0]]
    found = [bound_of(name, values) for name in constants]
    bounds = [bound for bound in found if bound is not None]
    if len(bounds) < len(found) or any(widens(values.shape(name), shape) for name in constants):
        return None
    build = Builder(node, values)
    lower = node.op_type == "Max"
    bound = build.constant((max if lower else min)(bounds))
    names = [computed[0], bound] if lower else [computed[0], "", bound]
    build.add("Clip", *names, output=node.output[0])
    return build.nodes


def widens(constant: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether a constant gives the result another shape than the value's."""
    return np.broadcast_shapes(shape, constant) != shape


def clip(node: NodeProto, values: Values) -> list[NodeProto] | None:
    """Clip whose bounds are constants of another shape than a scalar."""
    names = inputs(node, 3)
    odd = [name for name in names[1:] if name and values.is_constant(name) and values.shape(name) != ()]
    if not odd or any(values.tensors[name].dims and np.prod(values.shape(name)) != 1 for name in odd):
        return None
    build = Builder(node, values)
    scalars = []
    for name in names[1:]:
        array = values.array(name) if name else None
        scalars.append(name if array is None else build.constant(array.reshape(()), array.dtype))
    build.add("Clip", names[0], *scalars, output=node.output[0])
    return build.nodes


def without_slope(node: NodeProto, values: Values) -> list[NodeProto] | None:
    """LeakyRelu of slope 0: Relu."""
    if attributes(node).get("alpha", 0.01) != 0:
        return None
    build = Builder(node, values)
    build.add("Relu", node.input[0], output=node.output[0])
    return build.nodes
