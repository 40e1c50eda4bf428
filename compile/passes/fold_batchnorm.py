"""Fold a batch norm into the convolution before it: w' = w * scale, b' = b * scale + shift, in float64.

In a clip one that stands alone, behind a sum whose value others read too, is a depthwise convolution of one tap.
"""

from __future__ import annotations

import numpy as np

from ..ir.graph import Graph, Node
from ..ir.ops import BatchNorm, Conv, VolumeConv


def run(graph: Graph) -> None:
    """Rewrite every batch_norm that follows a convolution of its own."""
    for node in list(graph.nodes):
        norm, conv = node.op, graph.producer(node.inputs[0]) if node.inputs else None
        if not isinstance(norm, BatchNorm) or conv is None or not isinstance(conv.op, (Conv, VolumeConv)):
            continue
        if conv.op.residual or conv.op.clamped or graph.sole_user(conv.output) is not node:
            continue
        weight, bias = (array.astype(np.float64) for array in conv.weights)
        weight, bias = weight * norm.scale.reshape(-1, *[1] * (weight.ndim - 1)), bias * norm.scale + norm.shift
        conv.weights = weight.astype(np.float32), bias.astype(np.float32)
        graph.nodes.remove(node)
        graph.replace_value(node.outputs[0], conv.output)
    if graph.clip:
        for node in graph.nodes:
            if isinstance(node.op, BatchNorm) and len(graph.shape(node.inputs[0])) == 4:
                depthwise(graph, node, node.op)


def depthwise(graph: Graph, node: Node, norm: BatchNorm) -> None:
    """A batch norm as a convolution."""
    _, channels, height, width = graph.shape(node.inputs[0])
    node.op = Conv(height, width, channels, channels, groups=channels)
    weight = norm.scale.astype(np.float32).reshape(-1, 1, 1, 1)
    node.inputs, node.weights = node.inputs[:1], (weight, norm.shift.astype(np.float32))
    node.outputs = node.outputs[:1]
