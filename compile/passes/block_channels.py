"""Layout assignment: NCHWc (blocks of channels) for values between convolutions, on targets whose vectors gain.

In blocks, adjacent pixels are adjacent in memory, and NEON loads or stores two vectors with one instruction. A value
qualifies when every reader takes that layout: a pointwise or depthwise layer, or a residual added to a value in the
same layout. The next state is a tensor of its own and stays NHWC.
"""

from __future__ import annotations

from dataclasses import replace

from ..ir.graph import Graph, Node
from ..ir.ops import Conv, InvertedResidual, Role


def run(graph: Graph, lanes: int) -> None:
    """Mark producers and readers. lanes: elements of a vector."""
    blocked = {node.output for node in graph.nodes if makes(graph, node, lanes)}
    while True:
        broken = {value for value in blocked if not agrees(graph, value, blocked)}
        if not broken:
            break
        blocked -= broken
    for node in graph.nodes:
        if node.inputs:
            mark(node, node.inputs[0] in blocked, node.output in blocked)


def makes(graph: Graph, node: Node, lanes: int) -> bool:
    """Whether a schedule computes the node's output, its channels are whole vectors, and it has several pixels."""
    if not isinstance(node.op, (Conv, InvertedResidual)) or node.output in graph.results():
        return False
    last = ends(node.op)[1]
    return (last.groups == 1 or last.depthwise) and last.out_channels % lanes == 0 and last.pixels > 1


def agrees(graph: Graph, value: str, blocked: set[str]) -> bool:
    """Whether the producer and every reader of a value accept it in blocks."""
    producer = graph.producer(value)
    assert producer is not None
    if producer.roles.get(Role.RESIDUAL, value) not in (value, *blocked):
        return False
    for user in graph.users(value):
        if not isinstance(user.op, (Conv, InvertedResidual)) or user.roles.get(Role.STATE) == value:
            return False
        if user.roles.get(Role.RESIDUAL) == value and user.output not in blocked:
            return False
        if user.inputs[0] == value:
            first = ends(user.op)[0]
            if not (first.depthwise or first.pointwise):
                return False
    return True


def ends(op: Conv | InvertedResidual) -> tuple[Conv, Conv]:
    """The first and the last convolution."""
    return (op, op) if isinstance(op, Conv) else (op.convs[0], op.project)


def mark(node: Node, blocked_in: bool, blocked_out: bool) -> None:
    """Record the layouts of input and output in a convolution or block."""
    op = node.op
    if isinstance(op, Conv):
        node.op = replace(op, blocked_in=blocked_in, blocked_out=blocked_out)
    elif isinstance(op, InvertedResidual):
        first = replace(op.convs[0], blocked_in=blocked_in)
        expand, depthwise = (None, first) if op.expand is None else (first, op.depthwise)
        node.op = InvertedResidual(expand, depthwise, replace(op.project, blocked_out=blocked_out))
