"""Fuse the temporal shift (Lin, Gan and Han, "TSM", 2019) into its neighbours: no kernel and no copy of its own.

Reading side: conv(concat(state, x[:, fold:])) becomes a convolution that reads its first `fold` channels from the
state.
Writing side: the value x[:, :fold] that becomes the next state is written by the kernel that produces x.
"""

from __future__ import annotations

from dataclasses import replace

from ..ir.graph import Graph, Node
from ..ir.ops import Concat, Conv, Copy, MaxPool, Role, Slice


def run(graph: Graph) -> None:
    """Rewrite both sides; a shift that does not match is computed by generic operators."""
    for node in list(graph.nodes):
        if isinstance(node.op, Concat):
            read_side(graph, node, node.op.axis)
    for state, value in list(graph.state_outputs.items()):
        write_side(graph, state, value)
    graph.drop_dead()


def read_side(graph: Graph, concat: Node, axis: int) -> None:
    """Give every convolution after the concat the state and the unshifted x."""
    if axis != 1 or len(concat.inputs) != 2 or concat.output in graph.results():
        return
    state, rest = concat.inputs
    cut = graph.producer(rest)
    if state not in graph.states or cut is None or not isinstance(cut.op, Slice):
        return
    source, fold = cut.inputs[0], graph.shape(state)[1]
    users = graph.users(concat.output)
    if cut.op != Slice(1, fold, graph.shape(source)[1]) or not all(
        reads_once(user, concat.output) for user in users
    ):
        return
    for user in users:
        assert isinstance(user.op, Conv)
        user.inputs[0] = source
        user.inputs.append(state)
        user.roles[Role.STATE] = state
        user.op = replace(user.op, fold_in=fold)
    graph.nodes.remove(concat)


def reads_once(node: Node, value: str) -> bool:
    """Whether `node` is a dense convolution that reads `value` as its input only, not as residual."""
    dense = isinstance(node.op, Conv) and node.op.groups == 1 and Role.STATE not in node.roles
    return dense and node.inputs[0] == value and node.inputs.count(value) == 1


def write_side(graph: Graph, state: str, value: str) -> None:
    """Let the producer of x store the next state; otherwise a copy of the first channels does it."""
    cut = graph.producer(value)
    if cut is None or not isinstance(cut.op, Slice) or (cut.op.axis, cut.op.begin) != (1, 0):
        return
    source, fold = cut.inputs[0], cut.op.end
    writer = graph.producer(source)
    if graph.users(value):
        return
    if writer is not None and isinstance(writer.op, (Conv, MaxPool)) and Role.NEXT not in writer.roles:
        # their epilogues can also store the first channels to the next state
        writer.op = replace(writer.op, fold_out=fold)
        writer.roles[Role.NEXT] = value
        writer.outputs.append(value)
        graph.nodes.remove(cut)
    elif graph.nhwc(source):
        _, channels, height, width = graph.shape(source)
        cut.op = Copy(height * width, channels, fold)
