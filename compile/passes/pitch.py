"""Tell the operators that look at several frames of a clip how far apart the frames lie.

Kernels load whole vectors from where a tensor begins, so every frame begins at a multiple of the family's alignment.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from ..ir.graph import Graph
from ..ir.ops import (
    Attention,
    FrameGather,
    FrameJoin,
    FrameMax,
    FrameShift,
    GlobalPool,
    LayerNorm,
    OverlapMean,
    Panels,
    RegionMax,
    VolumeConv,
)
from ..ir.plan import aligned

#: operators that read frames and write frames
BOTH = (
    *(FrameShift, FrameMax, VolumeConv, FrameGather, FrameJoin, Attention),
    *(RegionMax, OverlapMean, LayerNorm),
)


def run(graph: Graph, align: int) -> None:
    """Set the pitches; align: bytes."""
    graph.align = align
    for node in graph.nodes:
        op = node.op
        if isinstance(op, BOTH):
            here, there = (elements(graph, name) for name in (node.inputs[0], node.output))
            node.op = replace(op, pitch=here, out_pitch=there)
        elif isinstance(op, Panels) or (isinstance(op, GlobalPool) and op.frames > 1):
            node.op = replace(op, pitch=elements(graph, node.inputs[0]))


def elements(graph: Graph, value: str) -> int:
    """Elements from one frame of a value to the next."""
    return pitch_of(graph, value) // graph.dtype(value).bytes


def pitch_of(graph: Graph, value: str) -> int:
    """Bytes from one frame of a value to the next; 0 for a value without frames.

    A state is the caller's to read and to set, so its frames lie without gaps.
    """
    if graph.frames(value) == 1:
        return 0
    size = prod(graph.shape(value)[1:]) * graph.dtype(value).bytes
    return size if value in graph.states or value in graph.state_outputs.values() else aligned(size, graph.align)
