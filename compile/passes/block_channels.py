"""Keep values in blocks of channels where only convolutions look at them and the target's vectors gain by it.

In blocks of channels neighbouring pixels are neighbours in memory, and NEON loads or stores two vectors with one
instruction. A value qualifies when every reader can take it so: a pointwise or depthwise layer, or a residual that is
added to a value in the same order. The next state is a tensor of its own and stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..ir.graph import Graph, Node
from ..ir.ops import Conv, InvertedResidual


def run(graph: Graph, conv_of: Callable[[Graph, Node], Conv], lanes: int) -> None:
    """Mark producers and readers. conv_of: the record of a convolution node; lanes: floats of a vector."""
    blocked = {node.output for node in graph.nodes if makes(graph, node, conv_of, lanes)}
    while True:
        broken = {value for value in blocked if not agrees(graph, value, blocked, conv_of)}
        if not broken:
            break
        blocked -= broken
    for node in graph.nodes:
        if node.kind in ("conv", "block"):
            mark(node, node.inputs[0] in blocked, node.output in blocked)


def makes(graph: Graph, node: Node, conv_of: Callable[[Graph, Node], Conv], lanes: int) -> bool:
    """Whether one of our kernels computes the value and whole vectors of pixels and channels come of it."""
    if node.kind not in ("conv", "block") or node.output in graph.results():
        return False
    last = ends(graph, node, conv_of)[1]
    return (last.groups == 1 or last.depthwise) and last.out_channels % lanes == 0 and last.pixels > 1


def agrees(graph: Graph, value: str, blocked: set[str], conv_of: Callable[[Graph, Node], Conv]) -> bool:
    """Whether the producer and every reader of a value can have it in blocks."""
    producer = graph.producer(value)
    assert producer is not None
    if producer.attrs.get("residual", value) not in (value, *blocked):
        return False
    for user in graph.users(value):
        if user.kind not in ("conv", "block") or user.attrs.get("state") == value:
            return False
        if user.attrs.get("residual") == value and user.output not in blocked:
            return False
        if user.inputs[0] == value:
            first = ends(graph, user, conv_of)[0]
            if not (first.depthwise or first.pointwise):
                return False
    return True


def ends(graph: Graph, node: Node, conv_of: Callable[[Graph, Node], Conv]) -> tuple[Conv, Conv]:
    """The first and the last convolution of a node."""
    if node.kind == "conv":
        return (conv_of(graph, node),) * 2
    block: InvertedResidual = node.attrs["op"]
    return block.convs[0], block.project


def mark(node: Node, blocked_in: bool, blocked_out: bool) -> None:
    """Tell a node how its input and its output lie."""
    if node.kind == "conv":
        node.attrs |= {"blocked_in": blocked_in, "blocked_out": blocked_out}
        return
    block: InvertedResidual = node.attrs["op"]
    first = replace(block.convs[0], blocked_in=blocked_in)
    expand, depthwise = (None, first) if block.expand is None else (first, block.depthwise)
    node.attrs["op"] = InvertedResidual(expand, depthwise, replace(block.project, blocked_out=blocked_out))
