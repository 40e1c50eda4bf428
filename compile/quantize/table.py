"""The loss of each 8-bit layer: SQNR of its output against float32, its range, and its share of saturation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import float_step
from .calibration import Clips, ratio_decibels
from .float_step import Floats
from .integer import Stored, integer_step, next_states, zero_states
from .scheme import QuantisedGraph


@dataclass(frozen=True)
class LayerLoss:
    """One layer. decibels: SQNR of the output with all layers before it quantised. saturated: share of numbers."""

    layer: str
    decibels: float
    low: float
    high: float
    zero: int
    saturated: float


def layer_table(network: QuantisedGraph, clips: Clips) -> list[LayerLoss]:
    """A row for the frame and every 8-bit layer, over clips."""
    graph = network.graph
    names = {graph.frame: "frame"} | {node.output: node.layer for node in graph.nodes if node.output in network.layers}
    power, error = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    ends, numbers = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    for clip in clips:
        states: dict[str, Floats] = {name: np.zeros(graph.shape(name), np.float32) for name in graph.states}
        stored: dict[str, Stored] = zero_states(network)
        for frame in clip:
            exact = float_step.float_step(graph, frame, states)
            rounded = integer_step(network, frame, stored)
            states = {name: a.astype(np.float32) for name, a in float_step.after(graph, exact).items()}
            stored = next_states(network, rounded)
            for name in names:
                wanted = exact[name].astype(np.float64)
                lost = wanted - network.scales[name].real(rounded[name].astype(np.int8))
                least, most = bounds(network, name)
                power[name] += float(np.square(wanted).sum())
                error[name] += float(np.square(lost).sum())
                ends[name] += int(((wanted < least) | (wanted > most)).sum())
                numbers[name] += wanted.size
    return [
        LayerLoss(
            label,
            ratio_decibels(power[name], error[name]),
            *bounds(network, name),
            network.scales[name].zero,
            ends[name] / max(1, numbers[name]),
        )
        for name, label in names.items()
    ]


def bounds(network: QuantisedGraph, name: str) -> tuple[float, float]:
    """The interval that rounds into a value's range: its ends and half a step beyond."""
    scale = network.scales[name]
    return (-128.5 - scale.zero) * scale.step, (127.5 - scale.zero) * scale.step
