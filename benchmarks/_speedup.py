"""One thread's time over two threads', in turns, while two processors are two cores with a cache in common.

A virtual machine's processors are not that all the time (`_processors.py`): for seconds together they may be threads of
one core, which has the arithmetic of one, or cores that reach each other through memory only. The machine is asked
before and after every few rounds, and rounds of such spells are told apart in the result.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _common
import _processors
import numpy as np
from _processors import Pair
from numpy.typing import NDArray

from tsm_edge.bench.edge import EdgeRunner
from tsm_edge.bench.runner import frames
from tsm_edge.bench.stop import StopRule
from tsm_edge.bench.turns import Entry, contest, opened

#: timed steps of a spell: four rounds, half a second for tsm-mobilenetv2
STEPS = StopRule(min_runs=20, min_secs=0.0)
#: how long to go on, and how long at most where too few rounds were of use
SECONDS, MOST_SECONDS, LEAST_ROUNDS = 5.0, 20.0, 24
#: a line that takes so many times the least seen comes from another last-level cache; a loop beside its like that takes
#: so many times its own time has not a core for itself
FAR, CROWDED = 2.0, 1.2


@dataclasses.dataclass(frozen=True)
class Spell:
    """A few rounds, and the two processors before and after them; None where that is not known."""

    ratios: NDArray[np.float64]
    before: Pair | None
    after: Pair | None

    @property
    def known(self) -> list[Pair]:
        """What is known of the processors."""
        return [pair for pair in (self.before, self.after) if pair is not None]


def measure(bundle: Path) -> dict[str, Any]:
    """`two_thread_speedup`, the median over the rounds, and how the rounds spread."""
    _common.note(f"{bundle.name}, 1 thread beside 2")
    alone, first = opened(lambda: EdgeRunner(bundle, 1))
    try:
        both, second = opened(lambda: EdgeRunner(bundle, 2), first)
        try:
            with _processors.probe() as look:
                spells = _spells([first, second], frames(alone.model.signature.inputs[0]), look)
        finally:
            both.close()
    finally:
        alone.close()
    return summary(spells)


def _spells(
    entries: list[Entry], inputs: list[NDArray[np.float32]], look: Callable[[], Pair | None]
) -> list[Spell]:
    found: list[Spell] = []
    start, now = time.perf_counter(), look()
    while True:
        for entry in entries:
            entry.times_ns.clear()
        contest(entries, inputs, STEPS)
        before, now = now, look()
        found.append(Spell(_common.paired(*entries), before, now))
        seconds = time.perf_counter() - start
        enough = sum(len(spell.ratios) for spell in good(found)) >= LEAST_ROUNDS
        if seconds > (SECONDS if enough else MOST_SECONDS):
            return found


def good(spells: list[Spell]) -> list[Spell]:
    """The spells in which there were two cores with a cache in common, and those of which nothing is known."""
    least = min((pair.handover_ns for spell in spells for pair in spell.known), default=0.0)
    return [
        spell
        for spell in spells
        if all(pair.handover_ns <= FAR * least and pair.slowdown <= CROWDED for pair in spell.known)
    ]


def summary(spells: list[Spell]) -> dict[str, Any]:
    """The figures of a list of spells, for a document; of all rounds where none was good."""
    every = np.concatenate([spell.ratios for spell in spells])
    chosen = [spell.ratios for spell in good(spells)]
    ratios = np.concatenate(chosen) if chosen else every
    low, median, high = (round(float(value), 3) for value in np.quantile(ratios, (0.1, 0.5, 0.9)))
    known = [pair for spell in spells for pair in spell.known]
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
