"""Fuse expand, depthwise and project into one inverted residual where the target's caches make that pay.

The schedule that would compute the block decides (`Schedule.worthwhile`).
"""

from __future__ import annotations

from collections.abc import Callable

from ..ir.graph import Graph, Node
from ..ir.ops import Conv, InvertedResidual, Role


def run(graph: Graph, worthwhile: Callable[[InvertedResidual], bool]) -> None:
    """Fuse every chain [expand,] depthwise, project for which `worthwhile` is true."""
    for node in list(graph.nodes):
        depthwise, project = node.op, graph.sole_user(node.output)
        if not isinstance(depthwise, Conv) or not depthwise.depthwise or node.roles:
            continue
        if project is None or not isinstance(project.op, Conv) or not project.op.pointwise:
            continue
        if project.roles.get(Role.RESIDUAL) == node.output or Role.STATE in project.roles:
            continue
        expand = leading(graph, node)
        first = expand.op if expand is not None and isinstance(expand.op, Conv) else None
        block = InvertedResidual(first, depthwise, project.op)
        if worthwhile(block):
            join(graph, [*([expand] if expand is not None else []), node, project], block)


def leading(graph: Graph, depthwise: Node) -> Node | None:
    """The expand layer, when only the depthwise layer reads it."""
    expand = graph.producer(depthwise.inputs[0])
    if expand is None or graph.sole_user(expand.output) is not depthwise:
        return None
    op = expand.op
    if not isinstance(op, Conv) or op.groups != 1 or {Role.RESIDUAL, Role.NEXT}.intersection(expand.roles):
        return None
    return expand if op.pointwise or Role.STATE not in expand.roles else None


def join(graph: Graph, chain: list[Node], block: InvertedResidual) -> None:
    """Replace the chain by one node at the place of its last."""
    first, last = chain[0], chain[-1]
    parts = ((first, Role.STATE), (last, Role.RESIDUAL), (last, Role.NEXT))
    roles = {role: node.roles[role] for node, role in parts if role in node.roles}
    extra = [value for role, value in roles.items() if role is not Role.NEXT]
    weights = tuple(array for node in chain for array in node.weights)
    inputs, layer = [first.inputs[0], *extra], f"{first.layer}…{last.layer}"
    graph.nodes[graph.nodes.index(last)] = Node(block, inputs, list(last.outputs), roles, weights, layer)
    for part in chain[:-1]:
        graph.nodes.remove(part)
