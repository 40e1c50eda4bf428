"""Give every result storage of its own: the scores in the arena, each next state in the state blob.

A result that is an input, another result, or another value's bytes under a new shape is copied at the end of the step.
"""

from __future__ import annotations

from math import prod

from ..ir.graph import Graph, Node, Value
from ..ir.ops import Alias, Copy


def run(graph: Graph) -> None:
    """Insert the copies that are needed; the shipped models need none."""
    taken: set[str] = set()
    if not owned(graph, graph.output, taken):
        graph.output = copy(graph, graph.output, "scores")
    for state, value in graph.state_outputs.items():
        if not owned(graph, value, taken):
            graph.state_outputs[state] = copy(graph, value, state)


def owned(graph: Graph, value: str, taken: set[str]) -> bool:
    """Whether a kernel computes this value and no other result shares it; adds it to `taken`."""
    node = graph.producer(value)
    while node is not None and isinstance(node.op, Alias):
        value = node.inputs[0]
        node = graph.producer(value)
    free = node is not None and value not in taken
    taken.add(value)
    return free


def copy(graph: Graph, value: str, result: str) -> str:
    """Append a copy and return its name."""
    name = f"{value}_as_{result}"
    graph.values[name] = Value.of(graph.shape(value), graph.dtype(value))
    size = prod(graph.shape(value))
    if value in graph.constants and graph.nhwc(
        name
    ):  # the kernel copies bytes, and the result is stored NHWC
        value, array = f"{value}_nhwc", graph.constants[value]
        graph.constants[value] = array.transpose(0, 2, 3, 1)
        graph.values[value] = Value(graph.constants[value].shape, graph.dtype(name))
    graph.nodes.append(Node(Copy(1, size, size), [value], [name], layer=f"{result}.copy"))
    return name
