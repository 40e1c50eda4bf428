"""Rounds of a contest of two runners, told apart by where the machine's two processors were meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import _common
import _processors
import numpy as np
from _processors import Pair
from numpy.typing import NDArray

from tsm_edge.bench.agreement import Floats
from tsm_edge.bench.runner import Runner
from tsm_edge.bench.stop import StopRule
from tsm_edge.bench.turns import Entry, contest

#: timed steps of a contest: two rounds, a third of a second for tsm-mobilenetv2
STEPS = StopRule(min_runs=10, min_secs=0.0)
#: nanoseconds for a cache line from the other processor (`_processors.py`): beyond FAR_NS the two share no last-level
#: cache. (A slower machine than the EPYC 7003 may need longer within one, and then has no good interval.) Two copies of
#: a loop that run side by side CROWDED times slower than one alone share a core
FAR_NS, CROWDED = 200.0, 1.2


class Replay(Runner):
    """A runner whose outputs are kept and given again after a reset: a proof that takes no time of the later contests.

    Every contest of `run` gives its runners the same frames, so what is right in the first one is right in all.
    """

    def __init__(self, of: Runner) -> None:
        self.name, self.version = of.name, of.version
        self.settings, self.tolerance = of.settings, of.tolerance
        self._of = of
        self._kept: list[tuple[Floats, list[Floats]]] = []
        self._steps = 0
        of.reset()

    def reset(self) -> None:
        self._steps = 0

    def step(self, frame: Floats) -> Floats:
        if self._steps == len(self._kept):
            self._kept.append((self._of.step(frame), self._of.states()))
        self._steps += 1
        return self._kept[self._steps - 1][0]

    def states(self) -> list[Floats]:
        return self._kept[self._steps - 1][1]

    def close(self) -> None:
        self._of.close()


@dataclass(frozen=True)
class Interval:
    """A few rounds, and the two processors before and after them; None where that is not known."""

    ratios: NDArray[np.float64]
    before: Pair | None
    after: Pair | None

    @property
    def known(self) -> list[Pair]:
        """What is known of the processors."""
        return [pair for pair in (self.before, self.after) if pair is not None]


def run(
    pair: tuple[Entry, Entry],
    orders: Sequence[Sequence[Entry]],
    inputs: Any,
    enough: Callable[[list[Interval], float], bool],
) -> list[Interval]:
    """Spells, the machine looked at between them, until `enough`, which gets the intervals and the seconds.

    pair: whose times are compared. orders: a interval is a short contest in each of these orders of the entries.
    """
    intervals: list[Interval] = []
    start = time.perf_counter()
    with _processors.probe() as look:
        now = look()
        while True:
            for entries in orders:
                contest(entries, inputs, STEPS)
            before, now = now, look()
            intervals.append(Interval(_common.paired(*pair)[rounds(intervals) :], before, now))
            if enough(intervals, time.perf_counter() - start):
                break
    return intervals


def good(intervals: list[Interval]) -> list[Interval]:
    """The intervals in which there were two cores with a cache in common, and those of which nothing is known."""
    return [
        interval
        for interval in intervals
        if all(pair.handover_ns <= FAR_NS and pair.slowdown <= CROWDED for pair in interval.known)
    ]


def rounds(intervals: list[Interval]) -> int:
    """How many rounds there are in all."""
    return sum(len(interval.ratios) for interval in intervals)


def standard_error(values: NDArray[np.float64]) -> float:
    """The standard error of a median of independent values: half of what lies between its ranks in two of three cases.

    Source: the number of values below the median is binomial, whatever their distribution (David and Nagaraja, Order
    Statistics, section 7.1). Infinite for fewer than four values. Rounds of one interval are not independent.
    """
    if len(values) < 4:
        return float("inf")
    half = 0.5 / np.sqrt(len(values))
    low, high = np.quantile(values, (0.5 - half, 0.5 + half))
    return float(high - low) / 2
