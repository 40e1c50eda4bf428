"""Rewrite the graph of a quantised network with 8-bit operators and integer constants, for lowering.

Every 8-bit layer gets the record of its 8-bit form (`ir/ops/int8.py`) and integer constants; a node of its own
quantises the frame, and the mean dequantises to float32. Values and states are stored in 8 bits; `Graph.scales` holds
the scale of each state.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from ..ir.dtype import INT8
from ..ir.graph import Node
from ..ir.ops import Conv, GlobalPool, MaxPool, QConv, QMaxPool, QMean, QOp, Quantise
from .scheme import QuantisedGraph


def rewrite(network: QuantisedGraph) -> None:
    """Rewrite the network's graph in place."""
    graph = network.graph
    for node in graph.nodes:
        if node.output not in network.floats:
            rewrite_layer(network, node)
        elif isinstance(node.op, GlobalPool):
            scale = network.scales[node.inputs[0]]
            become(node, QMean(node.op.height * node.op.width, node.op.channels, scale.step, scale.zero))
    quantise_frame(network)
    for name in network.scales:
        if name != graph.frame:
            graph.values[name] = replace(graph.values[name], dtype=INT8)
    graph.scales = {name: (network.scales[name].step, network.scales[name].zero) for name in graph.states}


def rewrite_layer(network: QuantisedGraph, node: Node) -> None:
    """A layer with 8-bit input and output; copies and views of bytes stay as they are."""
    if isinstance(node.op, Conv):
        layer = network.layers[node.output]
        plain = replace(node.op, low=None, high=None)
        weights = (layer.weight, layer.bias, layer.multiplier)
        become(node, QConv(plain, layer.x_zero, layer.share, layer.r_zero), weights)
    elif isinstance(node.op, MaxPool):
        become(node, QMaxPool(node.op))


def become(node: Node, op: QOp, weights: tuple[np.ndarray, ...] = ()) -> None:
    """Give a node its 8-bit record; its operands stay."""
    node.op, node.weights, node.call = op, weights, None


def quantise_frame(network: QuantisedGraph) -> None:
    """Insert the quantisation of the frame before its readers."""
    graph = network.graph
    scale, name = network.scales[graph.frame], f"{graph.frame}_int8"
    graph.replace_value(graph.frame, name)
    graph.values[name] = replace(graph.values[graph.frame], dtype=INT8)
    op = Quantise(prod(graph.shape(graph.frame)), scale.step, scale.zero)
    graph.nodes.insert(0, Node(op, [graph.frame], [name], layer="frame"))
