"""Calibration: observe every value of float32 runs, and choose the range estimator by the scores' SQNR.

It runs sequences, not single frames: a state holds values of the frame before, and zeros at a sequence's start.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tsm_edge.errors import UsageError

from ..ir.graph import Graph
from . import float_step
from .equalise import factors_of
from .float_step import Floats
from .integer import step, zero_states
from .ranges import Ranges, Seen
from .scheme import identity, quantise, stored_values

#: the estimators of a range from the observed values
METHODS: dict[str, Callable[[Seen], tuple[float, float]]] = {
    "min-max": lambda seen: (min(0.0, seen.low), max(0.0, seen.high)),
    "percentile 99.99": lambda seen: seen.percentile(0.9999),
    "mean squared error": lambda seen: seen.least_squares(),
}
#: what is said of ranges whose channels are equalised
EQUALISED = ", equalised"
Clips = Sequence[Sequence[Floats]]


@dataclass(frozen=True)
class Calibration:
    """The chosen ranges, those of every method tried, the observed values, and the scores' SQNR in dB by method.
    """

    ranges: Ranges
    tried: dict[str, Ranges]
    seen: dict[str, Seen]
    decibels: dict[str, float]


def calibrate(
    graph: Graph,
    clips: Clips,
    method: str | None = None,
    done: Callable[[int], None] = lambda frames: None,
    run: Callable[[Graph, Clips], Iterable[dict[str, Floats]]] | None = None,
    judge: Callable[[Ranges], float] | None = None,
) -> Calibration:
    """Calibrate a fused graph on clips of frames, float32 [1, 3, H, W] each.

    method: one of `every()`; None takes the one with the best SQNR of the integer network's scores on these clips.
    done: called with the number of frames that have run since, `runs(method)` times for each frame.
    run, judge: something faster in place of numpy: every value of every frame, and the SQNR of the scores in 8 bits.
    """
    float_step.check(graph)
    run = run or run_floats
    if method not in (None, *every()):
        raise UsageError("There is no such way to choose a range.", found=str(method), allowed="; ".join(every()))
    count = sum(len(clip) for clip in clips)
    if count == 0:
        raise UsageError("Calibration needs frames.", found="none", hint="give data with clips: --calibrate DATA")
    watched = stored_values(graph)
    seen = {name: Seen() for name in watched}
    scores: list[Floats] = []
    for values in run(graph, clips):
        for name in watched:
            seen[name].widen(values[name])
        scores.append(values[graph.output])
        done(1)
    if not all(np.isfinite((one.low, one.high)).all() for one in seen.values()):
        raise UsageError("The network computes infinities or NaN on these clips.", found="calibration data")
    factors = factors_of(graph, {name: seen[name].largest for name in watched if name != graph.frame})
    scaled = {name: seen[name].scaled(row) for name, row in factors.items()}
    for values in run(graph, clips):
        for name in watched:
            seen[name].count(values[name])
        for name, row in factors.items():
            scaled[name].count(np.asarray(values[name] * row, np.float32))
        done(1)
    rows = {name: tuple(map(float, row)) for name, row in factors.items()}
    tried = {}
    for name in [method] if method is not None else every():
        choose, equal = METHODS[name.removesuffix(EQUALISED)], name.endswith(EQUALISED)
        chosen = {value: choose(one) for value, one in (seen | scaled if equal else seen).items()}
        tried[name] = Ranges(identity(graph), name, count, chosen, factors=rows if equal else {})
    if judge is None:
        decibels = {name: _decibels(graph, ranges, clips, scores, done) for name, ranges in tried.items()}
    else:
        decibels = {name: judge(ranges) for name, ranges in tried.items()}
    best = max(decibels, key=lambda name: decibels[name])
    return Calibration(tried[best], tried, seen, decibels)


def runs(method: str | None = None) -> int:
    """How often a frame runs through the network: for its extremes, for its histograms, and for each method."""
    return 2 + (len(every()) if method is None else 1)


def every() -> list[str]:
    """Every way to choose ranges: each method, and each with equalised channels."""
    return [*METHODS, *(name + EQUALISED for name in METHODS)]


def run_floats(graph: Graph, clips: Clips) -> Iterable[dict[str, Floats]]:
    """Every value of every frame."""
    for clip in clips:
        states: dict[str, Floats] = {name: np.zeros(graph.shape(name), np.float32) for name in graph.states}
        for frame in clip:
            values = float_step.float_step(graph, frame, states)
            states = {name: array.astype(np.float32) for name, array in float_step.after(graph, values).items()}
            yield values


def _decibels(
    graph: Graph, ranges: Ranges, clips: Clips, expected: list[Floats], done: Callable[[int], None]
) -> float:
    """SQNR of the scores of the integer network, in dB."""
    network = quantise(graph, ranges)
    found: list[Floats] = []
    for clip in clips:
        states = zero_states(network)
        for frame in clip:
            scores, states = step(network, frame, states)
            found.append(scores)
            done(1)
    return decibels(np.stack(expected), np.stack(found))


def decibels(expected: Floats, found: Floats) -> float:
    """The signal-to-quantisation-noise ratio (SQNR) in dB."""
    error = float(np.square(expected.astype(np.float64) - found).sum())
    power = float(np.square(expected.astype(np.float64)).sum())
    return ratio_decibels(power, error)


def ratio_decibels(power: float, error: float) -> float:
    """The SQNR of a signal of that power, in dB, two decimals."""
    return round(10 * math.log10(max(power, 1e-300) / max(error, 1e-300)), 2)
