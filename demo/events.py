"""Gestures as events: which decisions of the smoother are told to another program, each exactly once."""

from __future__ import annotations

from dataclasses import dataclass


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
    """A gesture that was decided, or the end of one (``ended`` is then its label, else "").

    ``probability`` is the mean of the class over the smoother's window at this frame. ``t_s`` is in seconds of the
    source, ``frame`` counts the frames that the model saw, from 0.
    """

    index: int
    label: str
    probability: float
    t_s: float
    frame: int
    ended: str = ""

    @property
    def kind(self) -> str:
        """Either "gesture" or "idle", as the command finds it in its environment."""
        return "idle" if self.ended else "gesture"


class Events:
    """Turns what is shown frame by frame into events.

    All idle classes are one state. A gesture is an event as soon as it is shown with a mean probability of
    ``min_confidence`` and more, once for each time that it is shown; one that never gets so far is none. With
    ``tell_idle`` the return to idle after a gesture that was told is an event, too.
    """

    def __init__(self, *, min_confidence: float = 0.0, tell_idle: bool = False) -> None:
        self._least = min_confidence
        self._tell_idle = tell_idle
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
            if not self._tell_idle:
                return None
        else:
            return None
        return Event(shown.index, shown.label, shown.probability, shown.t_s, shown.frame, ended)

    def forget(self) -> None:
        """Begin anew, as the model does; the end of a gesture that was told is still seen."""
        self._state, self._waits = None, False
