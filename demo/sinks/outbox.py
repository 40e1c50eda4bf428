"""The bounded queue in front of a sink, with counts of what became of the events."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from ..events import Event

ROOM = 256  # events that wait; a gesture a second for four minutes


@dataclass(frozen=True)
class Counts:
    """What became of the events of a sink.

    ``told`` were accepted, ``failed`` were refused or given up, ``dropped`` made room for newer ones, ``untold``
    still waited when the demo was stopped, ``waiting`` wait now. ``reconnects``: how often a connection was made again.
    """

    told: int = 0
    failed: int = 0
    dropped: int = 0
    untold: int = 0
    waiting: int = 0
    reconnects: int = 0


class Outbox:
    """Events on their way to one sink, in their order. The oldest that waits makes room for a new one.

    ``put`` never waits. The sink's thread takes one event at a time with `next` and says with `settle` what became of
    it; until then the event is still here and counts as waiting.
    """

    def __init__(self, room: int = ROOM, clock: Callable[[], float] = time.monotonic) -> None:
        self._room = room
        self._clock = clock
        self._news = threading.Condition()
        self._waiting: deque[Event] = deque()
        self._current: Event | None = None
        self._closed = False
        self._told = self._failed = self._dropped = 0
        self.reconnects = 0

    def put(self, event: Event) -> bool:
        """Take an event; return whether an older one had to be dropped for it."""
        with self._news:
            full = len(self._waiting) >= self._room
            if full:
                self._waiting.popleft()
                self._dropped += 1
            self._waiting.append(event)
            self._news.notify_all()
            return full

    def next(self, timeout_s: float) -> Event | None:
        """Return the event that is not settled yet, else the oldest that waits, None if there is none in time."""
        with self._news:
            if self._current is None:
                self._news.wait_for(lambda: self._waiting or self._closed, timeout_s)
                self._current = self._waiting.popleft() if self._waiting else None
            return self._current

    def settle(self, *, told: bool) -> None:
        """Count the event that `next` returned, and go on to the one after it."""
        with self._news:
            self._current = None
            self._told += told
            self._failed += not told
            self._news.notify_all()

    def drain(self, longest_s: float, gives_up: Callable[[], bool]) -> list[Event]:
        """Wait until nothing waits, for ``longest_s`` or until ``gives_up``; return what waits even then."""
        deadline = self._clock() + longest_s
        with self._news:
            self._closed = True
            self._news.notify_all()
            while (self._waiting or self._current) and self._clock() < deadline and not gives_up():
                self._news.wait(0.05)
            return [*([self._current] if self._current else []), *self._waiting]

    @property
    def counts(self) -> Counts:
        """The counts so far."""
        with self._news:
            waiting = len(self._waiting) + (self._current is not None)
            untold = waiting if self._closed else 0
            return Counts(
                self._told, self._failed, self._dropped, untold, 0 if self._closed else waiting, self.reconnects
            )
