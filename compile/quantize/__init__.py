"""Quantisation to 8 bits: ranges from calibration, the integer network they give, and its exact reference in numpy.

    ranges = calibrate(graph, clips)            # what every value holds while sequences run, states as they occur
    network = quantise(graph, ranges)           # scales, integer weights, biases and multipliers of every layer
    scores, states = step(network, frame, states)

Order of the modules: float_step computes a graph in float32 and shows its values · ranges keeps what was seen and
chooses a range · scheme defines the integers · integer computes with them · calibration puts them in this order ·
table says what each layer lost.
"""

from __future__ import annotations

from .calibration import METHODS, Calibration, calibrate
from .integer import step
from .ranges import Ranges, Seen
from .rewrite import rewrite
from .scheme import QuantisedGraph, quantise
from .table import LayerLoss, layer_table

__all__ = [
    "METHODS",
    "Calibration",
    "LayerLoss",
    "QuantisedGraph",
    "Ranges",
    "Seen",
    "calibrate",
    "layer_table",
    "quantise",
    "rewrite",
    "step",
]
