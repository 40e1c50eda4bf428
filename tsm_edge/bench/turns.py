"""The measuring loop: runners take turns over the same frames, and every output is compared outside the clock.

A round gives each runner one turn: a pause, one step that is not timed, then a few timed ones. A runner whose time is
of no interest has no pause.

- The pause lets the threads of the runner before it go to sleep: most runtimes let them spin for a while after a step,
  and where there are as many threads as cores the next runner would pay for it.
- The untimed step brings the runner's weights back into the caches, where they are when a camera is all that runs.

Figures: docs/decisions/015-measuring.md.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from .agreement import Agreement, Floats, check_alive
from .figures import Figures
from .runner import Runner
from .stop import StopRule

#: steps of the proof before anything is measured; longer than any state's memory is deep would prove no more
PROOF_STEPS = 8

AnyRunner = TypeVar("AnyRunner", bound=Runner)


@dataclass(frozen=True)
class Turn:
    """One runner's part of a round."""

    pause_secs: float = 0.03
    untimed: int = 1
    timed: int = 5


@dataclass
class Entry:
    """One runner in the contest, what it is compared with, and its times in ns.

    reference: another entry, earlier in the list; None for one that others are compared with. timed: whether its time
    is of interest. open_ns: how long opening took. top1: share of clips that are recognised, where that was asked for.
    """

    runner: Runner
    reference: Entry | None = None
    timed: bool = True
    open_ns: int = 0
    first_ns: int = 0
    warm_ns: list[int] = field(default_factory=list)
    times_ns: list[int] = field(default_factory=list)
    agreement: Agreement | None = None
    top1: float | None = None

    @property
    def figures(self) -> Figures:
        """Summary of the timed steps."""
        return Figures.of(self.times_ns)


@dataclass(frozen=True)
class Outcome:
    """How the contest ended; ``ended_by`` is "enough" or "max-secs"."""

    rounds: int
    seconds: float
    ended_by: str


def opened(
    make: Callable[[], AnyRunner], reference: Entry | None = None, *, timed: bool = True
) -> tuple[AnyRunner, Entry]:
    """Open a runner and note how long that took."""
    start = time.perf_counter_ns()
    runner = make()
    return runner, Entry(runner, reference, timed, open_ns=time.perf_counter_ns() - start)


def contest(
    entries: Sequence[Entry],
    frames: Sequence[Floats],
    rule: StopRule,
    turn: Turn | None = None,
    boxes: Floats | None = None,
) -> Outcome:
    """Prove that all entries agree, then time them in turns until the rule says stop; fills in the entries.

    boxes: what every runner begins with in its state of that name.

    Raises:
        VerificationError: at any time, when an output differs; nothing may be reported then.
    """
    turn = turn or Turn()
    for entry in entries:
        if entry.reference is not None:
            other = entry.reference.runner.name
            entry.agreement = Agreement(entry.runner.name, other, entry.runner.tolerance, entry.runner.rms)
    with _no_collection():
        _prove(entries, frames, turn, boxes)
        return _measure(entries, frames, rule, turn)


def _prove(
    entries: Sequence[Entry], frames: Sequence[Floats], turn: Turn, boxes: Floats | None
) -> None:
    """Each runner takes a few steps from reset; scores and states of all of them are compared."""
    outputs: dict[int, list[list[Floats]]] = {}
    for entry in entries:
        entry.runner.reset()
        if boxes is not None:
            entry.runner.place(boxes)
        if entry.timed:
            time.sleep(turn.pause_secs)
        taken = []
        for step in range(PROOF_STEPS):
            elapsed, scores = _timed_step(entry.runner, frames[step % len(frames)])
            if step == 0:
                entry.first_ns = elapsed
            else:
                entry.warm_ns.append(elapsed)
            taken.append([scores, *entry.runner.states()])
        check_alive(entry.runner.name, [found[0] for found in taken])
        outputs[id(entry)] = taken
    for step in range(PROOF_STEPS):
        _compare(entries, step, {key: taken[step] for key, taken in outputs.items()})


def _measure(entries: Sequence[Entry], frames: Sequence[Floats], rule: StopRule, turn: Turn) -> Outcome:
    start, rounds, ended_by = time.perf_counter(), 0, ""
    steps = turn.untimed + turn.timed
    while not ended_by:
        at = PROOF_STEPS + rounds * steps
        batch = [frames[(at + index) % len(frames)] for index in range(steps)]
        taken = {id(entry): _take(entry, batch, turn) for entry in entries}
        for index in range(steps - 1):
            _compare(entries, at + index, {key: [scores[index]] for key, scores in taken.items()})
        last = {id(entry): [taken[id(entry)][-1], *entry.runner.states()] for entry in entries}
        _compare(entries, at + steps - 1, last)
        rounds += 1
        seconds = time.perf_counter() - start
        ended_by = rule.ended_by(rounds * turn.timed, seconds)
    return Outcome(rounds, seconds, ended_by)


def _take(entry: Entry, batch: Sequence[Floats], turn: Turn) -> list[Floats]:
    """One turn; returns the scores of every step."""
    rows = []
    if entry.timed:
        time.sleep(turn.pause_secs)
    for index, frame in enumerate(batch):
        elapsed, scores = _timed_step(entry.runner, frame)
        if entry.timed and index >= turn.untimed:
            entry.times_ns.append(elapsed)
        rows.append(scores)
    return rows


def _timed_step(runner: Runner, frame: Floats) -> tuple[int, Floats]:
    start = time.perf_counter_ns()
    scores = runner.step(frame)
    return time.perf_counter_ns() - start, scores


def _compare(entries: Sequence[Entry], step: int, outputs: dict[int, list[Floats]]) -> None:
    for entry in entries:
        if entry.agreement is not None and entry.reference is not None:
            entry.agreement.compare(step, outputs[id(entry)], outputs[id(entry.reference)])
        else:
            check_alive(entry.runner.name, outputs[id(entry)][:1])


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep Python's garbage collector out of the measured steps."""
    was = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
