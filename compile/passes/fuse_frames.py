"""Fuse the temporal shift of a clip into its convolutions, so that only the shifted channels are copied.

concat(next[:, :f], past[:, f:f + p], x[:, f + p:]), where next and past are x with its frames moved by one, becomes a
frame shift of f + p channels, from which the convolutions after it read their first channels, as from the state of a
stream. They read the other channels from x. A shifted tensor that a residual sum reads as well (in-place shift) is
copied as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from ..ir.dtype import FLOAT32
from ..ir.graph import Graph, Node, Value
from ..ir.ops import Concat, Conv, FrameMax, FrameShift, MaxPool, Role, Slice
from .fuse_shift import reads_once

RESHAPE = "relax.reshape"


@dataclass(frozen=True)
class Moved:
    """Channels [begin, begin + count) of a clip, each frame's from the frame `by` further; padding as in FrameShift."""

    value: str
    begin: int
    count: int
    by: int = 0
    padding: str = ""


def run(graph: Graph) -> None:
    """Rewrite every concat along the channels that is a shift; others stay as they are."""
    if not graph.clip:
        return
    for node in list(graph.nodes):
        if isinstance(node.op, Concat) and node.op.axis == 1:
            shift(graph, node)
        elif isinstance(node.op, MaxPool):
            pool(graph, node, node.op)
    graph.drop_dead()


def pool(graph: Graph, node: Node, op: MaxPool) -> None:
    """A maximum over rows that are the frames of a clip: x as [1, 1, frames, rest of x], and back."""
    before, after = graph.producer(node.inputs[0]), graph.sole_user(node.output)
    if before is None or after is None or before.operator != RESHAPE or after.operator != RESHAPE:
        return
    source = before.inputs[0]
    shape, pooled = graph.shape(source), graph.shape(after.output)
    over_frames = FrameMax(shape[0], prod(shape[1:]), op.kernel[0], op.stride[0], op.pad[0])
    rows = (op.channels, op.height, op.width, op.kernel[1], op.stride[1])
    if rows != (1, shape[0], over_frames.size, 1, 1) or op.pad != (op.pad[0], 0, op.pad[0], 0):
        return
    if pooled == (over_frames.out_frames, *shape[1:]):
        graph.nodes[graph.nodes.index(node)] = Node(over_frames, [source], [after.output], layer=node.layer)
        graph.nodes.remove(after)


def shift(graph: Graph, concat: Node) -> None:
    """One concat."""
    parts = [part for part in (moved(graph, value) for value in concat.inputs) if part is not None]
    found = shift_of(graph, parts) if len(parts) == len(concat.inputs) else None
    if found is None:
        return
    source, op = found
    users = graph.users(concat.output)
    fits = bool(users) and all(reads_once(user, concat.output) for user in users)
    if not fits or concat.output in graph.results() or op.width == op.channels:  # of which nothing is left to read
        op = replace(op, whole=True)
    name = f"{concat.output}_shift"
    _, _, height, width = graph.shape(source)
    graph.values[name] = Value.of((op.frames, op.width, height, width), clip=True)
    layer = f"{users[0].layer if users else concat.layer}.shift"
    graph.nodes[graph.nodes.index(concat)] = Node(op, [source], [name], layer=layer)
    if op.whole:
        graph.replace_value(concat.output, name)
        return
    for user in users:
        assert isinstance(user.op, Conv)
        user.inputs = [source, *user.inputs[1:], name]
        user.op, user.roles[Role.STATE] = replace(user.op, fold_in=op.width), name


def shift_of(graph: Graph, parts: Sequence[Moved]) -> tuple[str, FrameShift] | None:
    """The clip and its shift, where the parts are the future, the past and the rest of one clip, in this order."""
    ahead = [part for part in parts if part.by]
    source, begin = parts[0].value, 0
    order = [part.by for part in parts]
    if (
        order not in ([1], [-1], [1, -1], [1, 0], [-1, 0], [1, -1, 0])
        or len({part.padding for part in ahead}) > 1
    ):
        return None
    for part in parts:
        if part.value != source or part.begin != begin:
            return None
        begin += part.count
    frames, channels, height, width = graph.shape(source)
    if begin != channels or graph.dtype(source) is not FLOAT32:
        return None
    counts = {part.by: part.count for part in ahead}
    op = FrameShift(frames, height * width, channels, counts.get(1, 0), counts.get(-1, 0), ahead[0].padding)
    return source, op


def moved(graph: Graph, value: str) -> Moved | None:
    """A value as channels of a clip whose frames are moved by one or not at all; None for anything else."""
    node = graph.producer(value)
    if node is None or not isinstance(node.op, Concat):
        return channels(graph, value)
    if node.op.axis != 0 or len(node.inputs) != 2:
        return None
    frames = graph.shape(value)[0]
    for by, (kept, edge) in ((1, node.inputs), (-1, node.inputs[::-1])):
        cut = frames_of(graph, kept)
        if cut is None or cut[1:] != ((1, frames) if by == 1 else (0, frames - 1)):
            continue
        padding = padding_of(graph, edge, cut[0], by, frames)
        inside = channels(graph, cut[0])
        if padding is not None and inside is not None and graph.shape(cut[0])[0] == frames:
            return replace(inside, by=by, padding=padding)
    return None


def padding_of(graph: Graph, edge: str, source: str, by: int, frames: int) -> str | None:
    """What stands in the frame at the end of a clip for which there is no neighbour."""
    constant = graph.constants.get(edge)
    if constant is not None:
        return "zero" if not constant.any() else None
    cut = frames_of(graph, edge)
    if cut is None or cut[0] != source or cut[2] - cut[1] != 1:
        return None
    at = frames - 1 if by == 1 else 0
    return {at: "hold", frames - 1 - at: "circulant"}.get(cut[1])


def frames_of(graph: Graph, value: str) -> tuple[str, int, int] | None:
    """The clip, and the first and the last frame, that a slice along the frames takes."""
    node = graph.producer(value)
    if node is None or not isinstance(node.op, Slice) or node.op.axis != 0:
        return None
    return node.inputs[0], node.op.begin, node.op.end


def channels(graph: Graph, value: str) -> Moved | None:
    """A value as channels of another, or as all of its own."""
    if value in graph.constants:
        return None
    node = graph.producer(value)
    if node is not None and isinstance(node.op, Slice) and node.op.axis == 1:
        return Moved(node.inputs[0], node.op.begin, node.op.end - node.op.begin)
    return Moved(value, 0, graph.shape(value)[1])
