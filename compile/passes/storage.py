"""Store what the network computes in another element type than float32, but for the frame and the scores.

The caller writes the one and reads the other, and both are float32 in any precision.
"""

from __future__ import annotations

from dataclasses import replace

from ..ir.dtype import FLOAT32, DType
from ..ir.graph import Graph


def run(graph: Graph, dtype: DType) -> None:
    """Give every float32 value that is computed, and every state, the type."""
    graph.storage = dtype
    kept = outside(graph)
    for name, value in graph.values.items():
        if value.dtype is FLOAT32 and name not in kept and name not in graph.constants:
            graph.values[name] = replace(value, dtype=dtype)


def outside(graph: Graph) -> set[str]:
    """The frame and the scores, under every name their storage has."""
    names = {graph.frame, graph.output}
    for node in reversed(graph.nodes):
        if node.kind == "alias" and node.output in names:
            names.add(node.inputs[0])
    for node in graph.nodes:
        if node.kind == "alias" and node.inputs[0] in names:
            names.add(node.output)
    return names
