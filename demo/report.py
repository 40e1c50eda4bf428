"""What the demo prints: results on stdout, for people or as JSON lines; everything else goes to stderr."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tsm_edge.report import SCHEMA, print_facts, print_next
from tsm_edge.terminal import say

from .events import Event
from .on_change import ROOM, Told
from .overlay import Score
from .sinks.outbox import Counts

_UNTOLD = "{} not told before the end"


@dataclass(frozen=True)
class Result:
    """One processed frame.

    ``label`` is the smoothed decision, ``idle`` that it means "nothing to report", ``probability`` the label's mean
    over the smoother's window (None while idle), ``changed`` that it is another than before (the first one is).
    ``raw_label`` is this frame's own, ``top`` are the likeliest classes by their means. ``event`` is what is told to
    other programs at this frame, if anything is. ``delay_ms``: from when a live source took the frame to this
    result; None for files.
    """

    frame: int
    t_s: float
    index: int
    label: str
    idle: bool
    probability: float | None
    changed: bool
    raw_label: str
    top: tuple[Score, ...]
    ms: float
    dropped: int
    event: Event | None = None
    delay_ms: float | None = None


@dataclass(frozen=True)
class Summary:
    """A whole run.

    ``stopped``: why it ended: "end", "max-frames", "quit", "interrupted", "output-closed" or "failed".
    ``on_change``: what became of the calls of ``--on-change``, None without it. ``sinks``: what became of the events of
    every other sink, by its name.
    ``empty_ticks``: steps that were left out because the source stood still longer than the sampler makes up
    for. ``reconnects``: how often the source was opened again. ``delay_ms``: median of what live frames had (`Result`).
    ``fps``: steps per second of wall-clock time; 0 when there were fewer than two.
    """

    frames: int
    dropped: int
    empty_ticks: int
    median_ms: float
    p95_ms: float
    fps: float
    stopped: str
    source: str
    model: str
    target: str
    weights: str
    recorded: Path | None = None
    on_change: Told | None = None
    sinks: Mapping[str, Counts] = field(default_factory=dict)
    reconnects: int = 0
    delay_ms: float | None = None


class Reporter(Protocol):
    """Where results go."""

    def result(self, result: Result) -> None:
        """Report one frame."""

    def summary(self, summary: Summary) -> None:
        """Report the run, once, at its end."""


class JsonReporter:
    """One JSON object a line: one for each processed frame, then the summary with a ``schema`` number.

    ``source``: the name of the input, where there are several; each line then has it.
    """

    def __init__(self, source: str = "") -> None:
        self._more = {"source": source} if source else {}

    def result(self, result: Result) -> None:
        """Print the frame; t_s in milliseconds' precision, the probability in four digits."""
        line: dict[str, object] = dict(vars(result))
        line.update(
            t_s=round(result.t_s, 3),
            probability=None if result.probability is None else round(result.probability, 4),
            top=[[score.label, round(score.probability, 4)] for score in result.top],
            ms=round(result.ms, 3),
            event=result.event.record() if result.event else None,
            delay_ms=None if result.delay_ms is None else round(result.delay_ms, 1),
            **self._more,
        )
        say(json.dumps(line))

    def summary(self, summary: Summary) -> None:
        """Print the summary."""
        line: dict[str, object] = {"schema": SCHEMA, **vars(summary)}
        line.update(
            median_ms=round(summary.median_ms, 3),
            p95_ms=round(summary.p95_ms, 3),
            fps=round(summary.fps, 2),
            delay_ms=None if summary.delay_ms is None else round(summary.delay_ms, 1),
            recorded=str(summary.recorded) if summary.recorded else None,
            on_change=vars(summary.on_change) if summary.on_change else None,
            sinks={name: vars(counts) for name, counts in summary.sinks.items()},
        )
        say(json.dumps(line))


class TextReporter:
    """A line whenever the label changes, then the summary and ``next_command``, what may be wanted now.

    ``source``: the name of the input, where there are several.
    """

    def __init__(self, next_command: str = "", source: str = "") -> None:
        self._next = next_command
        self._source = source

    def result(self, result: Result) -> None:
        """Print the frame if its label is new."""
        share = "" if result.probability is None else f"  {100 * result.probability:.0f}%"
        if result.changed:
            say(f"{result.t_s:8.2f} s  {self._source + '  ' if self._source else ''}{result.label}{share}")

    def summary(self, summary: Summary) -> None:
        """Print the summary as names and values."""
        facts: dict[str, object] = {
            **({"source": self._source} if self._source else {}),
            "frames": f"{summary.frames} ({summary.stopped})",
            "dropped": summary.dropped,
            "model": f"median {summary.median_ms:.1f} ms, p95 {summary.p95_ms:.1f} ms",
            "speed": f"{summary.fps:.1f} frames per second",
        }
        if summary.delay_ms is not None:
            facts["delay"] = f"median {summary.delay_ms:.0f} ms from the camera to the result"
        if summary.reconnects:
            facts["reconnects"] = summary.reconnects
        if summary.empty_ticks:
            facts["no frame"] = f"{summary.empty_ticks} times when the model's rate asked for one"
        if summary.on_change:
            told = summary.on_change
            facts["on change"] = _counted(
                f"called {told.called} times",
                (told.failed, "{} failed"),
                (told.dropped, f"{{}} gestures dropped while {ROOM} waited"),
                (told.untold, _UNTOLD),
            )
        for name, counts in summary.sinks.items():
            facts[name] = _counted(
                f"told of {counts.told} events",
                (counts.failed, "{} failed"),
                (counts.dropped, "{} dropped for newer ones"),
                (counts.untold, _UNTOLD),
                (counts.reconnects, "connected again {} times"),
            )
        if summary.recorded:
            facts["recorded"] = summary.recorded
        print_facts(facts)
        if self._next:
            print_next(self._next)


def _counted(first: str, *rest: tuple[int, str]) -> str:
    """Return in words what became of calls or events; what did not happen is not mentioned."""
    return ", ".join([first, *(words.format(count) for count, words in rest if count)])


class Progress:
    """A sign of life on stderr every few seconds, for runs without a window."""

    def __init__(
        self, every_s: float = 10.0, clock: Callable[[], float] = time.monotonic, source: str = ""
    ) -> None:
        self._source = f"{source}: " if source else ""
        self._every_s = every_s
        self._clock = clock
        self._told = clock()

    def tell(self, frames: int, fps: float, ms: float, dropped: int) -> None:
        """Print where the run is, if it is time to."""
        if self._clock() - self._told >= self._every_s:
            self._told = self._clock()
            say(f"{self._source}{frames} frames, {fps:.1f} FPS, model {ms:.1f} ms, dropped {dropped}", err=True)
