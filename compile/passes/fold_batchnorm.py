"""Fold a batch norm into the convolution before it: w' = w * scale, b' = b * scale + shift, in float64."""

from __future__ import annotations

import numpy as np

from ..ir.graph import Graph
from ..ir.ops import BatchNorm, Conv


def run(graph: Graph) -> None:
    """Rewrite every batch_norm that follows a convolution of its own."""
    for node in list(graph.nodes):
        norm, conv = node.op, graph.producer(node.inputs[0]) if node.inputs else None
        if not isinstance(norm, BatchNorm) or conv is None or not isinstance(conv.op, Conv):
            continue
        if conv.op.residual or conv.op.clamped or graph.sole_user(conv.output) is not node:
            continue
        weight, bias = (array.astype(np.float64) for array in conv.weights)
        weight, bias = weight * norm.scale[:, None, None, None], bias * norm.scale + norm.shift
        conv.weights = weight.astype(np.float32), bias.astype(np.float32)
        graph.nodes.remove(node)
        graph.replace_value(node.outputs[0], conv.output)
