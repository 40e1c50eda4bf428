"""One step of a quantised network in numpy, bit-exact in 8 bits: the reference of every 8-bit kernel.

Layers that are kept in floats compute in float32 here, whatever a target has for them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..ir.graph import Node
from ..ir.ops import RESIDUAL_BITS, Conv, Copy, MaxPool, Role
from .float_step import Floats, after, evaluate, image_of
from .scheme import Layer, Q, QuantisedGraph, Scale
from .windows import convolve, windows

Bytes = NDArray[np.int8]
Stored = NDArray[np.int8] | NDArray[np.float32]  # a state: 8 bits, or floats where its layers compute in them


def convolution(
    layer: Layer,
    x: Bytes,
    state: Bytes | None,
    residual: Bytes | None,
    stride: tuple[int, int],
    pad: tuple[int, int, int, int],
    groups: int,
) -> Bytes:
    """[H, W, C] -> [OH, OW, O]. state: its first channels in the last frame, in place of x's."""
    if state is not None:
        x = np.concatenate([state, x[..., state.shape[2] :]], axis=2)
    sums = convolve(x.astype(np.float64), layer.weight.astype(np.float64), stride, pad, groups, layer.x_zero)
    return requantise(layer, sums.astype(np.int64) + layer.bias, residual)


def requantise(layer: Layer, total: NDArray[np.int64], residual: Bytes | None = None) -> Bytes:
    """Requantise 32-bit sums to int8; `scheme.py` has the formula."""
    if total.size and np.abs(total).max() >= 2**31:
        raise AssertionError("a sum leaves 32 bits")
    value = (total * layer.multiplier + (1 << (Q - 1))) >> Q
    if residual is not None:
        value = value + (residual.astype(np.int64) - layer.r_zero) * layer.share
        value = (value + (1 << (RESIDUAL_BITS - 1))) >> RESIDUAL_BITS
    return np.asarray(np.clip(value, -128, 127), np.int8)


def mean(scale: Scale, image: Bytes) -> Floats:
    """The mean over the pixels of int8 [H, W, C], dequantised: float32 [C]."""
    pixels = image.shape[0] * image.shape[1]
    total = image.astype(np.int64).sum((0, 1)) - pixels * scale.zero
    return np.asarray(total.astype(np.float32) * (np.float32(scale.step) / np.float32(pixels)), np.float32)


def integer_step(
    network: QuantisedGraph, frame: Floats, states: Mapping[str, Stored]
) -> dict[str, NDArray[np.generic]]:
    """Every value of a step; 8-bit values as integers. states: as they are stored, logical NCHW."""
    graph = network.graph
    image = image_of(frame)
    values: dict[str, NDArray[np.generic]] = {graph.frame: network.scales[graph.frame].quantised(image)}
    values |= {name: image_of(state) for name, state in states.items()}  # type: ignore[arg-type]
    for node in graph.nodes:
        source, operands = node.inputs[0], [name for name in node.inputs if name in values]
        if node.output not in network.floats:
            values |= evaluate_integer(network, node, {name: as_bytes(network, name, values) for name in operands})
        elif node.kind == "global_pool" and source not in network.floats:
            found = mean(network.scales[source], values[source].astype(np.int8))
            values[node.output] = found.reshape(graph.shape(node.output))
        else:
            real = {name: image if name == graph.frame else as_floats(network, name, values) for name in operands}
            evaluate(graph, node, real)
            values |= {name: real[name] for name in node.outputs}
    return values


def as_bytes(network: QuantisedGraph, name: str, values: Mapping[str, NDArray[np.generic]]) -> Bytes:
    """A value in 8 bits, quantised where it is stored in floats."""
    value = values[name]
    return network.scales[name].quantised(value.astype(np.float32)) if name in network.floats else value.astype(np.int8)


def as_floats(network: QuantisedGraph, name: str, values: Mapping[str, NDArray[np.generic]]) -> Floats:
    """A value in float32, dequantised where it is stored in 8 bits."""
    value = values[name]
    return value.astype(np.float32) if name in network.floats else network.scales[name].real(value.astype(np.int8))


def evaluate_integer(
    network: QuantisedGraph, node: Node, values: Mapping[str, Bytes]
) -> dict[str, NDArray[np.generic]]:
    """The values that an 8-bit node writes, by name."""
    op, x = node.op, values[node.inputs[0]]
    if isinstance(op, Conv):
        layer = network.layers[node.output]
        state, residual = (
            values[node.roles[role]] if role in node.roles else None
            for role in (Role.STATE, Role.RESIDUAL)
        )
        y = convolution(layer, x, state, residual, op.stride, op.pad, op.groups)
    elif isinstance(op, MaxPool):
        y = windows(x, op.kernel, op.stride, op.pad, -128).max((3, 4))
    elif isinstance(op, Copy):
        y = x[..., : op.fold]
    else:
        y = x.reshape(network.graph.shape(node.output))
    written: dict[str, NDArray[np.generic]] = {node.output: y}
    if isinstance(op, (Conv, MaxPool)) and op.fold_out:
        written[node.roles[Role.NEXT]] = y[..., : op.fold_out]
    return written


def zero_states(network: QuantisedGraph) -> dict[str, Stored]:
    """The states at a stream's start: the zero point of each, or zeros."""
    graph = network.graph
    return {
        name: np.zeros(graph.shape(name), np.float32)
        if name in network.floats
        else np.full(graph.shape(name), network.scales[name].zero, np.int8)
        for name in graph.states
    }


def next_states(network: QuantisedGraph, values: Mapping[str, NDArray[np.generic]]) -> dict[str, Stored]:
    """The states after a step as they are stored, logical NCHW."""
    return {
        name: array.astype(np.float32) if name in network.floats else array.astype(np.int8)
        for name, array in after(network.graph, values).items()
    }


def step(
    network: QuantisedGraph, frame: Floats, states: Mapping[str, Stored]
) -> tuple[Floats, dict[str, Stored]]:
    """The scores of a frame and the next states."""
    values = integer_step(network, frame, states)
    scores = values[network.graph.output].astype(np.float32)
    return scores, next_states(network, values)
