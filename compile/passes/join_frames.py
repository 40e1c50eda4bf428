"""The frames that a stream keeps beside its newest one become copies with a schedule.

concat(state, x) along the frames, of which all but the oldest are the next state, is a join of frames for the readers
and another one from the state and x into the next state; of a state of one frame x itself is the next state.
"""

from __future__ import annotations

from math import prod

from ..ir.graph import Graph, Node
from ..ir.ops import Concat, FrameJoin, Role, Slice


def run(graph: Graph) -> None:
    """Rewrite every concat of a state and a frame."""
    if not graph.clip:
        return
    for node in list(graph.nodes):
        if isinstance(node.op, Concat) and node.op.axis == 0 and node.inputs[0] in graph.states:
            join(graph, node)
    graph.drop_dead()


def join(graph: Graph, node: Node) -> None:
    """One concat, and the slice of it that is kept."""
    state, newest = node.inputs
    kept, *frame = graph.shape(state)
    if graph.shape(newest) != (1, *frame):
        return
    node.op = FrameJoin(kept, prod(frame))
    node.roles[Role.RESIDUAL] = newest
    for cut in graph.users(node.output):
        if not isinstance(cut.op, Slice) or cut.op != Slice(0, 1, kept + 1):
            continue
        if kept == 1:
            graph.replace_value(cut.output, newest)
            continue
        cut.op = FrameJoin(kept, prod(frame), begin=1)
        cut.inputs, cut.roles[Role.RESIDUAL] = [state, newest], newest
