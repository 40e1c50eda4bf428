"""The quantisation scheme: scales and zero points of values and weights, and the integer constants of every layer.

Activations are affine per tensor: v = (q - zero) * scale, q in [-128, 127]; zero is an integer, so 0.0 is exact. A
state has the scale of the value that it is a slice of. Weights are symmetric per output channel, in [-127, 127]
(Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", 2018).

A layer sums in 32 bits: total = sum(q_x * q_w) + bias, where bias holds the layer's own bias, -zero_x * sum(q_w) and
zero_y / multiplier. Padding is zero_x. Then, with multiplier = scale_x * scale_w / scale_y in Q31, rounding half up::

    y = saturate((total * multiplier + 2^30) >> 31)                                          without a residual
    y = saturate((((total * multiplier * 256 + 2^30) >> 31) + (q_r - zero_r) * share + 128) >> 8)    with one

share = round(256 * scale_r / scale_y): the residual is added with 8 fractional bits, before the only rounding.
The saturation is the clamp: the range of a clamped value ends at its clamp.

The mean and the classifier after it stay in float32: they are a hundredth of the arithmetic. Other convolutions may be
kept in floats, too; a pool or a copy follows what it reads, and a state what becomes it. Where an 8-bit layer and
one in floats meet, the value between them is converted by its scale.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tsm_edge.bundle.scales import Affine, LayerScale, Scales
from tsm_edge.errors import UsageError

from ..ir.graph import Graph, Node
from ..ir.ops import RESIDUAL_BITS, Conv, GlobalPool, QMean, Role
from . import float_step
from .equalise import equalised
from .ranges import Ranges, fingerprint

Q = 31
SMALLEST = 2.0**-20  # multiplier: keeps zero_y / multiplier inside the 32 bits of a bias
BIAS = 2.0**30


class Scale(Affine):
    """The scale of a value, with what it does to arrays."""

    def quantised(self, array: NDArray[np.floating]) -> NDArray[np.int8]:
        """Round, halves to even, and saturate."""
        steps = array * (np.float32(1) / np.float32(self.step))
        return np.asarray(np.clip(np.rint(steps) + self.zero, -128, 127), np.int8)

    def real(self, array: NDArray[np.integer]) -> NDArray[np.float32]:
        """Dequantised numbers, float32."""
        return np.asarray((array.astype(np.int32) - self.zero) * np.float32(self.step), np.float32)


@dataclass(frozen=True)
class Layer:
    """The constants of a convolution: weight [O, I / groups, KH, KW] int8, bias and multiplier [O] int32 (Q31).

    share: the residual's multiplier (8 fractional bits), 0 without one; with one, `multiplier` is 256 times as large.
    """

    weight: NDArray[np.int8]
    bias: NDArray[np.int32]
    multiplier: NDArray[np.int32]
    x_zero: int
    share: int = 0
    r_zero: int = 0


@dataclass(frozen=True)
class QuantisedGraph:
    """A graph with the scale of every value before the mean and the constants of every 8-bit layer, by its output.

    floats: the values that are stored in floats, those of `tail` among them: the outputs of the mean and what follows.
    """

    graph: Graph
    scales: dict[str, Scale]
    layers: dict[str, Layer]
    floats: frozenset[str] = field(default_factory=frozenset)
    tail: frozenset[str] = field(default_factory=frozenset)

    def weight_bytes(self) -> int:
        """Bytes of all constants of the 8-bit layers."""
        return sum(x.weight.nbytes + x.bias.nbytes + x.multiplier.nbytes for x in self.layers.values())

    def by_layer(self) -> Scales:
        """The scales in the words of the network, for other runtimes; the graph has not been rewritten."""
        layers = [
            LayerScale(node.layer, self.scales[node.output], Role.RESIDUAL in node.roles)
            for node in self.graph.nodes
            if node.output in self.layers
        ]
        states = (None if name in self.floats else self.scales.get(name) for name in self.graph.states)
        return Scales(self.scales.get(self.graph.frame), tuple(states), tuple(layers))


def float_nodes(graph: Graph) -> frozenset[str]:
    """Outputs of the global pool and of the nodes after it, which stay in float32."""
    found: set[str] = set()
    for node in graph.nodes:
        if node.kind == "global_pool" or found.intersection(node.inputs):
            found.add(node.output)
    return frozenset(found)


def named_layers(graph: Graph) -> dict[str, str]:
    """The layers that have an 8-bit form: name -> output."""
    tail = float_nodes(graph)
    return {n.layer: n.output for n in graph.nodes if isinstance(n.op, Conv) and n.output not in tail}


def check_layers(graph: Graph, names: Iterable[str]) -> None:
    """UsageError for a name that no 8-bit layer has."""
    known = named_layers(graph)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(
            "The network has no such layer to keep out of 8 bits.",
            found=", ".join(unknown),
            allowed=", ".join(known),
        )


def values_in_floats(graph: Graph, kept: Iterable[str]) -> frozenset[str]:
    """Every value that is stored in floats where the layers `kept` compute in them."""
    check_layers(graph, kept)
    layers = named_layers(graph)
    found = {*float_nodes(graph), *(layers[name] for name in kept)}
    size = -1
    while len(found) != size:
        size = len(found)
        for node in graph.nodes:
            follows = not isinstance(node.op, Conv) and node.inputs[0] in found
            if follows or node.output in found:
                found.update(node.outputs)
        found.update(state for state, value in graph.state_outputs.items() if value in found)
    return frozenset(found)


def crossing(graph: Graph, node: Node, floats: Collection[str]) -> list[str]:
    """The values that a node reads in the other form than they are stored in; the mean takes either."""
    if isinstance(node.op, (GlobalPool, QMean)):
        return []
    wants = node.output in floats
    values = [name for name in dict.fromkeys(node.inputs) if name not in graph.constants]
    return [name for name in values if (name in floats or name == graph.frame) != wants]


def stored_values(graph: Graph) -> list[str]:
    """The values that may be stored in 8 bits and need a range of their own: the frame and every layer's output.

    A pool and a copy keep the scale of what they read.
    """
    floats = float_nodes(graph)
    return [
        graph.frame,
        *(n.output for n in graph.nodes if isinstance(n.op, Conv) and n.output not in floats),
    ]


def identity(graph: Graph) -> str:
    """The fingerprint by which ranges belong to a network."""
    return fingerprint([array for node in graph.nodes for array in node.weights])


def quantise(graph: Graph, ranges: Ranges, kept: Iterable[str] = ()) -> QuantisedGraph:
    """The integers of a fused graph (`passes.run`), or of a copy with equalised channels where the ranges have factors.

    Raises UsageError for ranges of another network.

    kept: names of layers that compute in floats.
    """
    float_step.check(graph)
    if ranges.network != identity(graph) or set(stored_values(graph)) - set(ranges.values):
        raise UsageError(
            "The ranges belong to another network.",
            found=ranges.network[:16],
            allowed=identity(graph)[:16],
            hint="calibrate again with --calibrate DATA",
        )
    if ranges.factors:
        graph = equalised(graph, factors_for(graph, ranges))
    scales = {graph.frame: Scale.of(*ranges.values[graph.frame])}
    layers: dict[str, Layer] = {}
    tail, floats = float_nodes(graph), values_in_floats(graph, kept)
    for node in graph.nodes:
        if node.output in tail:
            continue
        x = scales[node.inputs[0]]
        roles = node.roles
        if not isinstance(node.op, Conv):
            scales[node.output] = x
        else:
            if Role.STATE in roles:
                scales[roles[Role.STATE]] = x
            residual = scales[roles[Role.RESIDUAL]] if Role.RESIDUAL in roles else None
            low, high = ranges.values[node.output]
            y = Scale.of(*clamped(node.op, low, high))
            if node.output not in floats:
                layers[node.output], y = layer_of(node, x, residual, y, given_steps(ranges, node, node.op))
            scales[node.output] = y
        if Role.NEXT in roles:
            scales[roles[Role.NEXT]] = scales[node.output]
    for state, source in graph.state_outputs.items():
        scales.setdefault(state, scales[source])
    return QuantisedGraph(graph, scales, layers, floats, tail)


def factors_for(graph: Graph, ranges: Ranges) -> dict[str, NDArray[np.float64]]:
    """The factors of a network's channels; UsageError where they are not one a channel."""
    for name, row in ranges.factors.items():
        channels = graph.shape(name)[1] if name in graph.values else 0
        if len(row) != channels:
            raise UsageError(
                "The ranges hold factors of other channels.", found=f"{len(row)} for '{name}'", allowed=str(channels)
            )
    return {name: np.array(row, np.float64) for name, row in ranges.factors.items()}


def clamped(op: Conv, low: float, high: float) -> tuple[float, float]:
    """A range within the layer's clamp, so that saturation is the clamp; zero stays inside."""
    low = low if op.low is None else max(low, op.low)
    high = high if op.high is None else min(high, op.high)
    return min(low, 0.0), max(high, 0.0)


def given_steps(ranges: Ranges, node: Node, op: Conv) -> NDArray[np.float64] | None:
    """The weights' scales that came with the ranges; UsageError where they are not one a channel."""
    row = ranges.steps.get(node.output)
    if row is not None and len(row) != op.out_channels:
        raise UsageError(
            "The ranges hold scales of other weights.",
            found=f"{len(row)} for layer '{node.layer}'",
            allowed=str(op.out_channels),
        )
    return None if row is None else np.array(row, np.float64)


def layer_of(
    node: Node, x: Scale, r: Scale | None, y: Scale, steps: NDArray[np.float64] | None = None
) -> tuple[Layer, Scale]:
    """A layer's constants and the scale of its output, which is widened where its multiplier would be 1 or more.

    Q31 holds multipliers below 1 only. steps: the weights' scales; by default those of each channel's largest weight.
    """
    weight, bias = (array.astype(np.float64) for array in node.weights)
    axes = (1, 2, 3)
    steps = np.abs(weight).max(axes) / 127 if steps is None else steps
    room = 2.0 ** (-RESIDUAL_BITS if r is not None else 0)
    widest = float(x.step * steps.max(initial=0.0)) / (room * (1 - 2.0**-20))
    if widest > y.step:
        y = Scale(widest, y.zero)
    steps = np.maximum(steps, SMALLEST * room * y.step / x.step)
    whole = np.clip(np.rint(weight / steps[:, None, None, None]), -127, 127)
    ratio = x.step * steps / y.step
    start = bias / (x.step * steps) - x.zero * whole.sum(axes) + y.zero / ratio
    multiplier = np.rint(ratio / room * 2.0**Q)
    share = round(2**RESIDUAL_BITS * r.step / y.step) if r is not None else 0
    return (
        Layer(
            whole.astype(np.int8),
            np.clip(np.rint(start), -BIAS, BIAS).astype(np.int32),
            np.minimum(multiplier, 2.0**Q - 1).astype(np.int32),
            x.zero,
            share,
            r.zero if r is not None else 0,
        ),
        y,
    )
