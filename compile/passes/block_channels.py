"""Keep what lies between two convolutions in blocks of channels, where the target's vectors gain by it.

Between expand, depthwise and project nobody else looks: no state, no residual, no other reader. In blocks of channels
neighbouring pixels are neighbours in memory, and NEON loads or stores two vectors with one instruction.
"""

from __future__ import annotations

from collections.abc import Callable

from tsm_edge.compile.graph import Graph, Node
from tsm_edge.compile.ops import Conv


def run(graph: Graph, conv_of: Callable[[Graph, Node], Conv], lanes: int) -> None:
    """Mark producer and reader of every such value. conv_of: the record of a convolution node; lanes: of a vector."""
    for node in graph.nodes:
        if node.kind != "conv" or {"residual", "next"}.intersection(node.attrs):
            continue
        user = graph.sole_user(node.output)
        if user is None or user.kind != "conv" or "state" in user.attrs or user.inputs[0] != node.output:
            continue
        made, read = conv_of(graph, node), conv_of(graph, user)
        ours = made.groups == 1 or made.depthwise
        if ours and (read.depthwise or read.pointwise) and made.out_channels % lanes == 0 and made.pixels > 1:
            node.attrs["blocked_out"] = user.attrs["blocked_in"] = True
