"""A concat along the channels of a clip's frames becomes copies of two values each, for which there is a schedule."""

from __future__ import annotations

from math import prod

from ..ir.graph import Graph, Node, Value
from ..ir.ops import Concat, Join, Role


def run(graph: Graph) -> None:
    """Rewrite every concat of values with the same pixels."""
    if not graph.clip:
        return
    for node in list(graph.nodes):
        rank = len(graph.shape(node.output))
        if isinstance(node.op, Concat) and node.op.axis == 1 and rank in (2, 4):
            join(graph, node)


def join(graph: Graph, node: Node) -> None:
    """Neighbours two by two, until one is left: every number is copied about log2 of their count times."""
    parts = list(node.inputs)
    at = graph.nodes.index(node)
    graph.nodes.remove(node)
    while len(parts) > 1:
        pairs = [parts[index : index + 2] for index in range(0, len(parts), 2)]
        parts = []
        for pair in pairs:
            if len(pair) == 1:
                parts += pair
                continue
            whole = len(pairs) == 1
            name = node.output if whole else f"{node.output}_{len(parts)}_{len(pairs)}"
            first, second = (graph.shape(value) for value in pair)
            shape = (first[0], first[1] + second[1], *first[2:])
            if not whole:
                graph.values[name] = Value.of(shape, graph.dtype(pair[0]), graph.clip)
            op = Join(prod(first[2:]), first[1], 0, first[1], second[1], 0, second[1])
            made = Node(op, pair, [name], {Role.RESIDUAL: pair[1]}, layer=node.layer)
            graph.nodes.insert(at, made)
            at += 1
            parts.append(name)
