"""Fuse the shifts of a lagged stream into its convolutions, so that a quarter of the channels is copied, not all.

conv(concat(next[:, :f], past, here[:, f + p:])), with `next` the next frame's activation and `past` kept from the frame
before, becomes a convolution of `here` that reads its first f + p channels from join(next[:, :f], past), as from the
state of an online shift. A shifted tensor that a residual sum reads as well (in-place shift) is joined as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..ir.dtype import FLOAT32
from ..ir.graph import Graph, Node, Value
from ..ir.ops import Concat, Conv, Join, Role, Slice
from .fuse_shift import reads_once


@dataclass(frozen=True)
class Piece:
    """Channels [begin, begin + count) of a value."""

    value: str
    begin: int
    count: int


def run(graph: Graph) -> None:
    """Rewrite every concat that ends in the rest of another tensor, and slices that become states."""
    for node in list(graph.nodes):
        if isinstance(node.op, Concat):
            shift(graph, node, node.op.axis)
    for state, value in graph.state_outputs.items():
        cut = graph.producer(value)
        if cut is not None and isinstance(cut.op, Slice) and cut.op.axis == 1 and cut.op.begin:
            kept(graph, cut, state)
    graph.drop_dead()


def shift(graph: Graph, concat: Node, axis: int) -> None:
    """One concat of two or three parts along the channels; others stay as they are."""
    if axis != 1 or len(concat.inputs) not in (2, 3) or not by_pixel(graph, concat.output):
        return
    *parts, last = (piece(graph, value) for value in concat.inputs)
    whole = graph.shape(last.value)[1]
    begins = sum(part.count for part in parts)
    is_rest = last.begin == begins and last.begin + last.count == whole
    if not is_rest or not all(by_pixel(graph, each.value) for each in (*parts, last)):
        return
    users = graph.users(concat.output)
    fits = bool(users) and concat.output not in graph.results() and all(reads_once(u, concat.output) for u in users)
    if fits and len(parts) == 1 and parts[0].value in graph.states:
        return  # the online shift, whose state is read without a copy
    layer = f"{users[0].layer if users else concat.layer}.shift"
    head = joined(graph, concat, parts, layer)
    if not fits:
        graph.replace_value(concat.output, joined(graph, concat, [Piece(head, 0, begins), last], layer))
        graph.nodes.remove(concat)
        return
    for user in users:
        user.inputs[0] = last.value
        user.inputs.append(head)
        assert isinstance(user.op, Conv)
        user.op, user.roles[Role.STATE] = replace(user.op, fold_in=begins), head
    graph.nodes.remove(concat)


def piece(graph: Graph, value: str) -> Piece:
    """A value as a part of the tensor that it is cut from."""
    cut = graph.producer(value)
    if cut is not None and isinstance(cut.op, Slice) and cut.op.axis == 1 and by_pixel(graph, cut.inputs[0]):
        return Piece(cut.inputs[0], cut.op.begin, cut.op.end - cut.op.begin)
    return Piece(value, 0, graph.shape(value)[1])


def joined(graph: Graph, before: Node, parts: list[Piece], layer: str) -> str:
    """Insert the copy of one or two parts before a node; return its name."""
    one, *others = parts
    name = f"{before.output}_join{sum(part.count for part in parts)}"
    graph.values[name] = Value.of((1, sum(part.count for part in parts), *graph.shape(one.value)[2:]))
    op, roles = join_of(graph, one), {}
    for other in others:
        channels = graph.shape(other.value)[1]
        op = replace(op, r_channels=channels, r_begin=other.begin, r_count=other.count)
        roles = {Role.RESIDUAL: other.value}
    node = Node(op, [part.value for part in parts], [name], roles, layer=layer)
    graph.nodes.insert(graph.nodes.index(before), node)
    return name


def join_of(graph: Graph, part: Piece) -> Join:
    """The record of a join of one part."""
    _, channels, height, width = graph.shape(part.value)
    return Join(height * width, channels, part.begin, part.count)


def kept(graph: Graph, cut: Node, state: str) -> None:
    """A slice that begins behind the first channel and becomes a state."""
    if by_pixel(graph, cut.inputs[0]):
        cut.op, cut.layer = join_of(graph, piece(graph, cut.output)), f"{state}.copy"


def by_pixel(graph: Graph, value: str) -> bool:
    """Whether the channels of a pixel are contiguous: one frame of float32, stored NHWC."""
    shape = graph.shape(value)
    return len(shape) == 4 and shape[0] == 1 and value not in graph.constants and graph.dtype(value) is FLOAT32
