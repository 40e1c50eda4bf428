"""Frames of a clip that are taken out of it, alone or several as one vector, become copies with a schedule.

A slice along the frames is a copy of these; a concat of single frames of one value [T, C] (a temporal relation) is one
copy that puts them behind each other.
"""

from __future__ import annotations

from math import prod

from ..ir.graph import Graph, Node
from ..ir.ops import Concat, FrameGather, Slice


def run(graph: Graph) -> None:
    """Rewrite what the shifts (`fuse_frames.py`) have left."""
    if not graph.clip:
        return
    for node in list(graph.nodes):
        if isinstance(node.op, Concat) and node.op.axis == 1:
            together(graph, node)
    graph.drop_dead()
    for node in graph.nodes:
        if isinstance(node.op, Slice) and node.op.axis == 0 and node.inputs[0] not in graph.constants:
            node.op = gather(graph, node.inputs[0], tuple(range(node.op.begin, node.op.end)))


def together(graph: Graph, node: Node) -> None:
    """A concat of single frames of one value."""
    sources, chosen = set(), []
    for value in node.inputs:
        cut = graph.producer(value)
        if cut is None or not isinstance(cut.op, Slice) or cut.op.axis != 0 or cut.op.end - cut.op.begin != 1:
            return
        sources.add(cut.inputs[0])
        chosen.append(cut.op.begin)
    if len(sources) != 1 or len(graph.shape(node.output)) != 2:
        return
    node.inputs = list(sources)
    node.op = gather(graph, node.inputs[0], tuple(chosen))


def gather(graph: Graph, source: str, chosen: tuple[int, ...]) -> FrameGather:
    """The copy of some frames of a value."""
    frames, *frame = graph.shape(source)
    return FrameGather(frames, prod(frame), chosen)
