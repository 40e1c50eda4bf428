"""Join expand, depthwise and project into one node where the target's caches make that pay.

The only pass that needs a target: the schedule that would compute the block says whether it is worthwhile.
"""

from __future__ import annotations

from collections.abc import Callable

from ..ir.graph import Graph, Node
from ..ir.ops import Conv, InvertedResidual


def run(
    graph: Graph, conv_of: Callable[[Graph, Node], Conv], worthwhile: Callable[[InvertedResidual], bool]
) -> None:
    """Fuse every [expand,] depthwise, project chain that is worthwhile.

    conv_of: the record of a convolution node.
    """
    for node in list(graph.nodes):
        if not (node.kind == "conv" and conv_of(graph, node).depthwise):
            continue
        project = graph.sole_user(node.output)
        if project is None or project.kind != "conv" or not conv_of(graph, project).pointwise:
            continue
        if project.attrs.get("residual") == node.output or "state" in project.attrs:
            continue
        if {"residual", "next", "state"}.intersection(node.attrs):
            continue
        chain = [*leading(graph, node, conv_of), node, project]
        records = [conv_of(graph, part) for part in chain]
        block = InvertedResidual(records[0] if len(chain) == 3 else None, records[-2], records[-1])
        if worthwhile(block):
            join(graph, chain, block)


def leading(graph: Graph, depthwise: Node, conv_of: Callable[[Graph, Node], Conv]) -> list[Node]:
    """The expand layer, when only the depthwise layer reads it."""
    expand = graph.producer(depthwise.inputs[0])
    if expand is None or expand.kind != "conv" or graph.sole_user(expand.output) is not depthwise:
        return []
    record = conv_of(graph, expand)
    plain = not {"residual", "next"}.intersection(expand.attrs) and (
        record.pointwise or "state" not in expand.attrs
    )
    return [expand] if plain and record.groups == 1 else []


def join(graph: Graph, chain: list[Node], block: InvertedResidual) -> None:
    """Replace the chain by one node at the place of its last."""
    first, last = chain[0], chain[-1]
    extra = [node.attrs[key] for node, key in ((first, "state"), (last, "residual")) if key in node.attrs]
    attrs = {"op": block, "weights": [node.attrs[key] for node in chain for key in ("weight", "bias")]}
    attrs |= {
        key: node.attrs[key]
        for node, key in ((first, "state"), (last, "residual"), (last, "next"))
        if key in node.attrs
    }
    node = Node("block", [first.inputs[0], *extra], list(last.outputs), attrs, f"{first.layer}…{last.layer}")
    graph.nodes[graph.nodes.index(last)] = node
    for part in chain[:-1]:
        graph.nodes.remove(part)
