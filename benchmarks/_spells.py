"""Rounds of a contest of two runners, told apart by where the machine's two processors were meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import _common
import _processors
import numpy as np
from _processors import Pair
from numpy.typing import NDArray

from tsm_edge.bench.stop import StopRule
from tsm_edge.bench.turns import Entry, contest

#: timed steps of a spell: four rounds, half a second for tsm-mobilenetv2
STEPS = StopRule(min_runs=20, min_secs=0.0)
#: a line that takes so many times the least seen comes from another last-level cache; a loop beside its like that takes
#: so many times its own time has not a core for itself
FAR, CROWDED = 2.0, 1.2


@dataclass(frozen=True)
class Spell:
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
    enough: Callable[[list[Spell], float], bool],
) -> list[Spell]:
    """Short contests, the machine looked at between them, until `enough`, which gets the spells and the seconds.

    pair: whose times are compared. orders: the entries of a contest, in the orders that follow each other.
    """
    spells: list[Spell] = []
    rounds, start = 0, time.perf_counter()
    with _processors.probe() as look:
        now = look()
        for entries in cycle(orders):
            contest(entries, inputs, STEPS)
            before, now = now, look()
            ratios = _common.paired(*pair)[rounds:]
            rounds += len(ratios)
            spells.append(Spell(ratios, before, now))
            if enough(spells, time.perf_counter() - start):
                break
    return spells


def good(spells: list[Spell]) -> list[Spell]:
    """The spells in which there were two cores with a cache in common, and those of which nothing is known."""
    least = min((pair.handover_ns for spell in spells for pair in spell.known), default=0.0)
    return [
        spell
        for spell in spells
        if all(pair.handover_ns <= FAR * least and pair.slowdown <= CROWDED for pair in spell.known)
    ]
