"""Fuse what follows a layer norm into it: a ReLU, then a sum with another value of its shape."""

from __future__ import annotations

from dataclasses import replace

from ..ir.graph import Graph, Node
from ..ir.ops import Add, Clip, LayerNorm, Role
from .fuse_epilogue import absorb


def run(graph: Graph) -> None:
    """Rewrite every ReLU and every sum behind a layer norm."""
    for node in list(graph.nodes):
        if isinstance(node.op, Clip) and (node.op.low, node.op.high) == (0.0, None):
            found = norm_of(graph, node.inputs[0], node)
            if found is not None:
                norm, op = found
                norm.op = replace(op, relu=True)
                absorb(graph, node, norm)
        elif isinstance(node.op, Add):
            add(graph, node)


def add(graph: Graph, node: Node) -> None:
    """A sum becomes the residual of a norm that only it reads."""
    for value, other in (node.inputs, node.inputs[::-1]):
        found = norm_of(graph, value, node)
        if found is None or other in graph.constants or graph.shape(other) != graph.shape(value):
            continue
        norm, op = found
        norm.op = replace(op, residual=True)
        norm.inputs.append(other)
        norm.roles[Role.RESIDUAL] = other
        graph.nodes.remove(norm)  # the other value may be computed after it
        graph.nodes.insert(graph.nodes.index(node), norm)
        absorb(graph, node, norm)
        return


def norm_of(graph: Graph, value: str, user: Node) -> tuple[Node, LayerNorm] | None:
    """The layer norm that produces `value` for `user` alone and adds nothing yet, with its operator."""
    norm = graph.producer(value)
    if norm is None or not isinstance(norm.op, LayerNorm) or norm.op.residual:
        return None
    return (norm, norm.op) if graph.sole_user(value) is user else None
