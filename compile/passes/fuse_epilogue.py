"""Fuse operators after a convolution into its epilogue: bias, one residual add, one clamp, in this order."""

from __future__ import annotations

from math import inf

import numpy as np

from ..ir.graph import Graph, Node
from ..ir.ops import Add, Clip, Conv, Dense, Role, VolumeConv, with_epilogue

Bounds = tuple["float | None", "float | None"]


def run(graph: Graph) -> None:
    """Rewrite to a fixed point."""
    changed = True
    while changed:
        changed = any(fuse(graph, node) for node in list(graph.nodes) if isinstance(node.op, (Add, Clip)))


def fuse(graph: Graph, node: Node) -> bool:
    """Fuse one add or clip into the convolution that produces its input; both have one shape, or nothing is fused.

    An operand with more dimensions, or with longer ones, broadcasts the convolution's output: the result has then
    more values than the kernel writes.
    """
    if isinstance(node.op, Clip):
        conv, clip = epilogue_of(graph, node.inputs[0], node), node.op
        if conv is None or graph.shape(node.output) != graph.shape(node.inputs[0]):
            return False
        op = conv_of(conv)
        low, high = compose((op.low, op.high), (clip.low, clip.high))
        conv.op = with_epilogue(op, low=low, high=high)
        return absorb(graph, node, conv)
    for value, other in (node.inputs, node.inputs[::-1]):
        conv = epilogue_of(graph, value, node)
        if conv is None or graph.shape(node.output) != graph.shape(value):
            continue
        op, constant = conv_of(conv), graph.constants.get(other)
        if op.clamped:
            continue
        channels = op.out_channels
        if constant is not None:
            if constant.size not in (1, channels) or not per_channel(constant.shape, graph.shape(value)):
                continue
            weight, bias = conv.weights
            conv.weights = weight, bias + np.broadcast_to(constant.reshape(-1), (channels,))
            return absorb(graph, node, conv)
        if not op.residual and graph.shape(other) == graph.shape(value):
            conv.op = with_epilogue(op, residual=True)
            conv.roles[Role.RESIDUAL] = other
            conv.inputs.append(other)
            # The residual may be computed after the convolution: the add's place is late enough for both.
            graph.nodes.remove(conv)
            graph.nodes.insert(graph.nodes.index(node), conv)
            return absorb(graph, node, conv)
    return False


def epilogue_of(graph: Graph, value: str, user: Node) -> Node | None:
    """The convolution that produces `value` for `user` alone."""
    conv = graph.producer(value)
    dense = conv is not None and isinstance(conv.op, (Conv, VolumeConv))
    return conv if dense and graph.sole_user(value) is user else None


def conv_of(node: Node) -> Dense:
    """The convolution of a node that `epilogue_of` returned."""
    assert isinstance(node.op, (Conv, VolumeConv))
    return node.op


def compose(first: Bounds, second: Bounds) -> Bounds:
    """One clamp that equals `first`, then `second`; None is an open side."""
    (a, b), (c, d) = (
        (-inf if low is None else low, inf if high is None else high) for low, high in (first, second)
    )
    low, high = min(max(a, c), d), max(min(b, d), c)
    return (None if low == -inf else low), (None if high == inf else high)


def per_channel(shape: tuple[int, ...], value: tuple[int, ...]) -> bool:
    """Whether a constant of `shape` broadcasts along the channel axis (axis 1) of `value`."""
    padded = (1,) * (len(value) - len(shape)) + shape
    return all(extent == 1 for axis, extent in enumerate(padded) if axis != 1)


def absorb(graph: Graph, node: Node, conv: Node) -> bool:
    """Drop `node`; its readers read the convolution."""
    graph.nodes.remove(node)
    graph.replace_value(node.output, conv.output)
    return True
