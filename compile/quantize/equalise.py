"""Equalisation of channels: every channel of a value is scaled so that it uses the value's one 8-bit range.

A channel of a layer's output is multiplied by a factor, and the weights that read it are divided by the same; a clamp
at zero lets a positive factor through, so the network computes the same. A channel that takes a third of the range is
so rounded three times finer, and no kernel knows of it (Nagel et al., "Data-Free Quantization Through Weight
Equalization and Bias Correction", 2019; here the ranges are those of calibration, not of weights).

- Values of a residual sum share their factors.
- Channels that a state holds keep theirs at 1: a state is in the network's own numbers.
- Behind a ReLU6 a factor is at least 1: what saturates, at the largest number seen, is below the clamp.
- A factor stays 1 where a pool, a mean or a convolution in groups reads the value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..ir.graph import Graph, Node
from ..ir.ops import Conv, Role

LARGEST = 8.0  # factor: the weights that read the channel lose as much of their own range
Row = NDArray[np.float64]
Factors = Mapping[str, Row]  # by value, one a channel


def factors_of(graph: Graph, largest: Mapping[str, Row]) -> dict[str, Row]:
    """The factors of every value that has some. largest: magnitude of each channel of a layer's output."""
    found: dict[str, Row] = {}
    for nodes in joined(graph, set(largest)):
        if not all(scales(graph, node) for node in nodes):
            continue
        names = [node.output for node in nodes]
        pinned = max(pinned_channels(graph, name) for name in names)
        parts = [largest[name].max() / np.maximum(largest[name], 1e-6 * largest[name].max() + 1e-30) for name in names]
        row = np.minimum(np.min(parts, axis=0), LARGEST)
        row[:pinned] = 1.0
        found |= {name: row for name in names if (row != 1.0).any()}
    return found


def joined(graph: Graph, names: set[str]) -> list[list[Node]]:
    """The layers of these outputs, those together whose outputs residual sums join."""
    groups: dict[str, list[Node]] = {}
    for node in graph.nodes:
        if node.output not in names:
            continue
        other = groups.get(node.roles.get(Role.RESIDUAL, ""), [])
        other.append(node)
        groups[node.output] = other
    return list({id(group): group for group in groups.values()}.values())


def scales(graph: Graph, node: Node) -> bool:
    """Whether the channels of a layer's output can have factors."""
    op = node.op
    if not isinstance(op, Conv) or op.low not in (None, 0.0) or node.output in graph.results():
        return False
    residual = node.roles.get(Role.RESIDUAL)
    source = graph.producer(residual) if residual is not None else node
    within = source is not None and isinstance(source.op, Conv)
    bounded = residual is not None and op.high is not None
    return within and not bounded and all(reads(reader, node.output) for reader in graph.users(node.output))


def reads(node: Node, name: str) -> bool:
    """Whether a node's weights can take the factors of what it reads."""
    if not isinstance(node.op, Conv):
        return False
    return node.inputs[0] != name or node.op.groups == 1 or depthwise(node)


def depthwise(node: Node) -> bool:
    """Whether each channel is a convolution of its own."""
    weight = node.weights[0]
    return isinstance(node.op, Conv) and node.op.groups == weight.shape[0] and weight.shape[1] == 1


def pinned_channels(graph: Graph, name: str) -> int:
    """How many of a value's first channels a state holds, or takes the place of."""
    nodes = [node for node in graph.nodes if name == node.output or name == node.inputs[0]]
    ops = [(node, node.op) for node in nodes if isinstance(node.op, Conv)]
    return max((op.fold_out if name == node.output else op.fold_in for node, op in ops), default=0)


def equalised(graph: Graph, factors: Factors) -> Graph:
    """A copy of a fused graph with the factors in its weights; the constants of the graph stay as they are."""
    return replace(graph, nodes=[with_factors(node, factors) for node in graph.nodes], values=dict(graph.values))


def with_factors(node: Node, factors: Factors) -> Node:
    """A copy of a node with the factors of its input and its output in its weights."""
    copy = node.copy()
    x, y = factors.get(node.inputs[0]), factors.get(node.output)
    if not isinstance(node.op, Conv) or (x is None and y is None):
        return copy
    weight, bias = (array.astype(np.float64) for array in node.weights)
    if x is not None:
        weight /= x[:, None, None, None] if depthwise(node) else x[None, :, None, None]
    if y is not None:
        weight, bias = weight * y[:, None, None, None], bias * y
    copy.weights = (weight.astype(np.float32), bias.astype(np.float32))
    return copy
