"""One thread's time over two threads', in turns, while two processors are two cores with a cache in common.

A virtual machine's processors are not that all the time (`_processors.py`): for seconds together they may be threads of
one core, which has the arithmetic of one, or cores that reach each other through memory only. The machine is asked
before and after every few rounds, and rounds of such intervals are told apart in the result.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import _common
import _intervals
import numpy as np
from _intervals import Interval, good

from tsm_edge.bench.edge import EdgeRunner
from tsm_edge.bench.runner import frames
from tsm_edge.bench.turns import opened

#: how long to go on, and how long at most where too few rounds were of use
SECONDS, MOST_SECONDS, LEAST_ROUNDS = 5.0, 20.0, 24


def measure(bundle: Path) -> dict[str, Any]:
    """`two_thread_speedup`, the median over the rounds, and how the rounds spread."""
    _common.note(f"{bundle.name}, 1 thread beside 2")
    alone, first = opened(lambda: EdgeRunner(bundle, 1))
    try:
        both, second = opened(lambda: EdgeRunner(bundle, 2), first)
        try:
            inputs = frames(alone.model.signature.inputs[0])
            intervals = _intervals.run((first, second), [(first, second)], inputs, enough)
        finally:
            both.close()
    finally:
        alone.close()
    return summary(intervals)


def enough(intervals: list[Interval], seconds: float) -> bool:
    """Whether to stop."""
    return seconds > (SECONDS if _intervals.rounds(good(intervals)) >= LEAST_ROUNDS else MOST_SECONDS)


def summary(intervals: list[Interval]) -> dict[str, Any]:
    """The figures of a list of intervals, for a document; of all rounds where none was good."""
    every = np.concatenate([interval.ratios for interval in intervals])
    chosen = [interval.ratios for interval in good(intervals)]
    ratios = np.concatenate(chosen) if chosen else every
    low, median, high = (round(float(value), 3) for value in np.quantile(ratios, (0.1, 0.5, 0.9)))
    known = [pair for interval in intervals for pair in interval.known]
    return {
        "two_thread_speedup": median,
        "two_thread_speedup_of_rounds": {
            "rounds": len(every),
            "good": len(ratios) if chosen else 0,
            "p10": low,
            "p90": high,
            "of_all": round(float(np.median(every)), 3),
            "least_handover_ns": min((pair.handover_ns for pair in known), default=None),
            "looks": [dataclasses.astuple(pair) for pair in known],
        },
    }
