"""Fold a batch norm into the convolution before it: w' = w * scale, b' = b * scale + shift, in float64."""

from __future__ import annotations

import numpy as np

from ..ir.graph import Graph


def run(graph: Graph) -> None:
    """Rewrite every batch_norm that follows a convolution of its own."""
    for node in [node for node in graph.nodes if node.kind == "batch_norm"]:
        conv = graph.producer(node.inputs[0])
        if conv is None or conv.kind != "conv" or graph.sole_user(conv.output) is not node:
            continue
        if "residual" in conv.attrs or "clamp" in conv.attrs:
            continue
        scale, shift = node.attrs["scale"], node.attrs["shift"]
        weight = conv.attrs["weight"].astype(np.float64) * scale[:, None, None, None]
        bias = conv.attrs["bias"].astype(np.float64) * scale + shift
        conv.attrs.update(weight=weight.astype(np.float32), bias=bias.astype(np.float32))
        graph.nodes.remove(node)
        graph.replace_value(node.outputs[0], conv.output)
