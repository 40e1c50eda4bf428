"""Gestures as events: which decisions of the smoother are told to other programs, each exactly once, and the record."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import NamedTuple

from tsm_edge.terminal import printable

SCHEMA = 1  # of the record; a field that is added leaves it, one that is removed or means something else does not


@dataclass(frozen=True)
class Shown:
    """What is shown after a frame. ``idle``: its class means that there is nothing to report."""

    index: int
    label: str
    probability: float
    idle: bool
    changed: bool
    t_s: float
    frame: int


@dataclass(frozen=True)
class Event:
    """A gesture that was decided, or the end of one (``ended`` is then its label, else ""); RECORD has the fields.

    ``at`` is the time of day in seconds since 1970.
    """

    index: int
    label: str
    probability: float
    t_s: float
    frame: int
    ended: str = ""
    id: str = ""
    at: float = 0.0
    source: str = ""
    model: str = ""

    @property
    def kind(self) -> str:
        """Either "gesture" or "idle"."""
        return "idle" if self.ended else "gesture"

    @property
    def time(self) -> str:
        """``at`` in UTC as ISO 8601 writes it, in milliseconds."""
        moment = datetime.fromtimestamp(self.at, timezone.utc)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def record(self) -> dict[str, object]:
        """Return the record that every consumer gets: JSON data, its fields in the order of RECORD."""
        return {field.name: field.of(self) for field in RECORD}


class Field(NamedTuple):
    """One field of the record: its name, its type in JSON, what it means, and where it comes from."""

    name: str
    type: str
    meaning: str
    of: Callable[[Event], object]


#: Labels are escaped, so that no consumer that prints one is misled; ``index`` tells classes apart in any case.
RECORD = (
    Field("schema", "integer", f"{SCHEMA}: the version of this record", lambda event: SCHEMA),
    Field("id", "string", "unique; a record that comes twice has the same one", lambda event: event.id),
    Field("kind", "string", "`gesture`, or `idle` for the end of one", lambda event: event.kind),
    Field("label", "string", "the class that is shown now", lambda event: printable(event.label)),
    Field("index", "integer", "its number in the model, from 0", lambda event: event.index),
    Field(
        "probability",
        "number",
        "its mean over the smoother's window at this frame, 0 to 1",
        lambda event: round(event.probability, 4),
    ),
    Field("ended", "string", "the gesture that has ended; empty for `gesture`", lambda event: printable(event.ended)),
    Field("time", "string", "when it was decided: UTC by this machine's clock, ISO 8601", lambda event: event.time),
    Field("t_s", "number", "seconds since the source's first frame", lambda event: round(event.t_s, 3)),
    Field("frame", "integer", "number of the frame that the model saw, from 0", lambda event: event.frame),
    Field("source", "string", "the camera or file, without its folder", lambda event: printable(event.source)),
    Field("model", "string", "the network of the bundle", lambda event: printable(event.model)),
)


class Events:
    """Turns what is shown frame by frame into events.

    All idle classes are one state. A gesture is an event as soon as it is shown with a mean probability of
    ``min_confidence`` and more, once for each time that it is shown; one that never gets so far is none. The return
    to idle after a gesture that was told is an event, too.

    Args:
        source, model: as in the record.
        run: what the ids of this run begin with; no two runs share it.
        clock: the time of day in seconds since 1970.
    """

    def __init__(
        self,
        *,
        min_confidence: float = 0.0,
        source: str = "",
        model: str = "",
        run: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._least = min_confidence
        self._blank = Event(0, "", 0.0, 0.0, 0, source=source, model=model)
        self._run = secrets.token_hex(6) if run is None else run
        self._clock = clock
        self._number = 0
        self._state: int | None = None  # the class that is shown, None while idle
        self._waits = False  # the shown gesture is not told yet
        self._told = ""  # the last gesture that was told and whose end was not seen

    def take(self, shown: Shown) -> Event | None:
        """Return the event that this frame is, if it is one."""
        state = None if shown.idle else shown.index
        if state != self._state or (shown.changed and state is not None):
            self._state, self._waits = state, state is not None
        ended = ""
        if self._waits and shown.probability >= self._least:
            self._waits, self._told = False, shown.label
        elif state is None and self._told:
            ended, self._told = self._told, ""
        else:
            return None
        self._number += 1
        return replace(
            self._blank,
            index=shown.index,
            label=shown.label,
            probability=shown.probability,
            t_s=shown.t_s,
            frame=shown.frame,
            ended=ended,
            id=f"{self._run}-{self._number}",
            at=self._clock(),
        )

    def forget(self) -> None:
        """Begin anew, as the model does; the end of a gesture that was told is still seen."""
        self._state, self._waits = None, False
