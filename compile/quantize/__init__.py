"""Quantisation to 8 bits: ranges from calibration, the integer network they give, and its exact reference in numpy.

    ranges = calibrate(graph, clips)            # observes every value while sequences run
    network = quantise(graph, ranges)           # scales, integer weights, biases and multipliers of every layer
    scores, states = step(network, frame, states)

Modules: float_step computes a graph in float32 and returns its values · ranges observes them and estimates ranges ·
equalise scales channels so that they use their value's range ·
scheme defines the integers · integer computes with them · calibration runs these three · table has each layer's loss ·
demands checks what is asked.
"""

from __future__ import annotations

from .calibration import METHODS, Calibration, calibrate
from .given import preferred, settled, told
from .integer import step
from .ranges import Ranges, Seen
from .rewrite import rewrite
from .scheme import QuantisedGraph, check_layers, crossing, quantise, values_in_floats
from .table import LayerLoss, layer_table

__all__ = [
    "METHODS",
    "Calibration",
    "LayerLoss",
    "QuantisedGraph",
    "Ranges",
    "Seen",
    "calibrate",
    "check_layers",
    "crossing",
    "layer_table",
    "preferred",
    "quantise",
    "rewrite",
    "settled",
    "step",
    "told",
    "values_in_floats",
]
