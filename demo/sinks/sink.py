"""What all sinks that send over a network have in common: a queue, a thread, and few words about failures."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable

from tsm_edge.terminal import printable, say

from ..events import Event
from .outbox import ROOM, Counts, Outbox

PATIENT_S = 30.0  # what the events that wait get when a file has come to its end
PARTING_S = 5.0  # and when the demo is stopped
_QUIET_S = 600.0  # between two notes about the same sink: a service may run beside a dead one for months
_NAMED = 5  # how many events are named that were not told


class Sink(ABC):
    """Takes events without waiting and tells them, in order, on a thread of its own.

    Args:
        name: as in the summary and the metrics.
        place: what notes call the other side; nothing secret.
        room, clock: as of the queue.
    """

    def __init__(
        self,
        name: str,
        place: str,
        *,
        room: int = ROOM,
        clock: Callable[[], float] = time.monotonic,
        parting_s: float | None = None,
        patient_s: float | None = None,
    ) -> None:
        self.name = name
        self.place = place
        self.outbox = Outbox(room, clock)
        self.stopping = threading.Event()
        self._clock = clock
        self._parting_s = PARTING_S if parting_s is None else parting_s
        self._patient_s = PATIENT_S if patient_s is None else patient_s
        self._complained_at: float | None = None
        self._in_trouble = False
        self._finished = False
        self._thread = threading.Thread(target=self._work, name=f"tsm-edge-{name}", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    @property
    def counts(self) -> Counts:
        """What became of the events so far; after `finish` final."""
        return self.outbox.counts

    def tell(self, event: Event) -> None:
        """Take an event; returns at once."""
        dropped = self.outbox.put(event)
        self.wake()
        if dropped and self.outbox.counts.dropped == 1:
            say(f"note: {self.name}: so many events wait that the oldest are dropped, and counted", err=True)

    def finish(self, *, patient: bool, stopped: Callable[[], bool] = lambda: False) -> None:
        """Tell what waits, for a while, and end; say what was not told. May be repeated.

        ``patient``: the source came to its end, nobody is in a hurry until ``stopped`` says so.
        """
        if self._finished:
            return
        self._finished = True
        left: list[Event] = []
        try:
            if patient:
                left = self.outbox.drain(self._patient_s, stopped)
            if not patient or (left and stopped()):
                left = self.outbox.drain(self._parting_s, lambda: False)
        finally:
            self.stopping.set()
            self.wake()
            self._thread.join(timeout=2.0)  # a thread that hangs in a system call ends with the process
        if left:
            names = ", ".join(f"{event.label} ({event.t_s:.2f} s)" for event in left[:_NAMED])
            more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
            say(f"note: the demo ended before {self.place} was told of {names}{more}", err=True)

    def wake(self) -> None:  # noqa: B027  (most sinks wait at their queue, which wakes them)
        """Have a thread that waits elsewhere than at the queue look at it."""

    def complain(self, what: str) -> None:
        """Say that something failed, but not every time."""
        now = self._clock()
        if self._complained_at is None or now - self._complained_at >= _QUIET_S:
            self._complained_at, self._in_trouble = now, True
            say(f"note: {self.place}: {printable(what)}; the demo goes on and tries again", err=True)

    def recovered(self) -> None:
        """Say that it works again, if it was said that it does not."""
        if self._in_trouble:
            self._in_trouble = False
            say(f"note: {self.place} is reached again", err=True)

    @abstractmethod
    def _work(self) -> None:
        """Tell events until ``stopping`` is set."""


def in_words(error: Exception) -> str:
    """Return what is said of a connection that failed: what the system calls it, without its number."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


class BackOff:
    """Growing pauses between attempts: doubled each time up to a longest, and spread a little.

    The spread keeps a house full of boards from coming back at the same moment.
    """

    def __init__(self, first_s: float, longest_s: float, spread: Callable[[], float]) -> None:
        self._first_s, self._longest_s, self._spread = first_s, longest_s, spread
        self._next_s = first_s

    def pause(self) -> float:
        """Return how long to wait now."""
        pause, self._next_s = self._next_s, min(2 * self._next_s, self._longest_s)
        return pause * (0.8 + 0.4 * self._spread())

    def reset(self) -> None:
        """Begin with the shortest again."""
        self._next_s = self._first_s
