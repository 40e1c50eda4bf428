"""Rewrite the graph of a quantised network with 8-bit operators and integer constants, for lowering.

Every 8-bit layer gets the record of its 8-bit form (`ir/ops/int8.py`) and integer constants. Nodes of their own
quantise the frame and convert what an 8-bit layer and one in floats share; the mean dequantises to float32. The other
values and states are stored in 8 bits; `Graph.scales` holds the scale of each such state.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from ..ir.dtype import FLOAT32, INT8
from ..ir.graph import Node
from ..ir.ops import Conv, Dequantise, GlobalPool, MaxPool, QConv, QMaxPool, QMean, QOp, Quantise
from .scheme import QuantisedGraph, crossing


def rewrite(network: QuantisedGraph) -> None:
    """Rewrite the network's graph in place."""
    graph = network.graph
    for node in graph.nodes:
        if node.output not in network.floats:
            rewrite_layer(network, node)
        elif isinstance(node.op, GlobalPool) and node.inputs[0] not in network.floats:
            scale = network.scales[node.inputs[0]]
            become(node, QMean(node.op.height * node.op.width, node.op.channels, scale.step, scale.zero))
    insert_conversions(network)
    in_bytes = set(network.scales) - network.floats - {graph.frame}
    for name in in_bytes:
        graph.values[name] = replace(graph.values[name], dtype=INT8)
    scales = {name: network.scales[name] for name in graph.states if name in in_bytes}
    graph.scales = {name: (scale.step, scale.zero) for name, scale in scales.items()}


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


def insert_conversions(network: QuantisedGraph) -> None:
    """Insert a conversion before the first reader of a value in the other form."""
    graph = network.graph
    nodes: list[Node] = []
    made: dict[tuple[str, bool], str] = {}
    for node in graph.nodes:
        wants = node.output in network.floats
        for name in crossing(graph, node, network.floats):
            if (name, wants) not in made:
                nodes.append(conversion(network, name, wants))
                made[name, wants] = nodes[-1].output
            node.inputs = [made[name, wants] if one == name else one for one in node.inputs]
            node.roles = {role: made[name, wants] if one == name else one for role, one in node.roles.items()}
        nodes.append(node)
    graph.nodes = nodes
    stored = made.get((graph.frame, False), graph.frame)
    graph.state_outputs = {
        state: stored if value == graph.frame else value for state, value in graph.state_outputs.items()
    }


def conversion(network: QuantisedGraph, name: str, floats: bool) -> Node:
    """The node that gives a value in the other form: in floats, or in 8 bits."""
    graph, scale = network.graph, network.scales[name]
    kind, dtype, suffix = (Dequantise, FLOAT32, "floats") if floats else (Quantise, INT8, "int8")
    output, producer = f"{name}_{suffix}", graph.producer(name)
    graph.values[output] = replace(graph.values[name], dtype=dtype)
    op = kind(prod(graph.shape(name)), scale.step, scale.zero)
    layer = "frame" if name == graph.frame else name if producer is None else producer.layer
    return Node(op, [name], [output], layer=layer)
