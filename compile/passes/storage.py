"""Element types: store values and states in another type than float32, except the frame and the scores.

Frame and scores belong to the caller and are float32 in every precision.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..ir.dtype import FLOAT32, DType, Types
from ..ir.graph import Graph, Node
from ..ir.ops import (
    Alias,
    Attention,
    Conv,
    Copy,
    Dequantise,
    FrameGather,
    FrameJoin,
    FrameMax,
    FrameShift,
    GlobalPool,
    Join,
    LayerNorm,
    MaxPool,
    OverlapMean,
    Panels,
    Quantise,
    RegionMax,
    Transpose,
    VolumeConv,
    with_types,
)

TYPED = (
    *(Conv, GlobalPool, MaxPool, Copy, Join, Transpose),
    *(FrameShift, FrameMax, FrameGather, FrameJoin, Panels, Attention),
    *(RegionMax, OverlapMean, LayerNorm, Quantise, Dequantise),
)


def run(graph: Graph, dtype: DType, biases: DType, plain: Iterable[str] = ()) -> None:
    """Set the type of every computed float32 value and state, and of the operators' operands. biases: their type.

    plain: values that stay float32, since their readers or writers know nothing else.
    """
    graph.storage, graph.biases = dtype, biases
    kept = outside(graph, plain)
    for name, value in graph.values.items():
        if value.dtype is FLOAT32 and name not in kept and name not in graph.constants:
            graph.values[name] = replace(value, dtype=dtype)
    for node in graph.nodes:
        if isinstance(node.op, TYPED):
            node.op = replace(node.op, types=types_of(graph, node))
        elif isinstance(node.op, VolumeConv):
            node.op = with_types(node.op, types_of(graph, node))


def types_of(graph: Graph, node: Node) -> Types:
    """The element types of a node's operands."""
    types = {role.value: graph.dtype(name) for role, name in node.roles.items()}
    x, y = graph.dtype(node.inputs[0]), graph.dtype(node.output)
    return Types(x=x, y=y, w=graph.storage, b=graph.biases, **types)


def outside(graph: Graph, plain: Iterable[str] = ()) -> set[str]:
    """The frame, the scores and `plain`, under every name their storage has.

    A state is stored as the value that becomes it.
    """
    names = {graph.frame, graph.output, *plain}
    shared = [(node.inputs[0], node.output) for node in graph.nodes if isinstance(node.op, Alias)]
    shared += graph.state_outputs.items()
    while found := {name for pair in shared if names.intersection(pair) for name in pair} - names:
        names |= found
    return names
