"""The last events, for listeners of ``/events``: each holds no more than its place in them, and may come back."""

from __future__ import annotations

import asyncio
import json
from collections import deque

from ..events import Event

KEPT = 256


class Ring:
    """The last events, numbered from 1. Belongs to the event loop of the server; `put` is called there, too."""

    def __init__(self, kept: int = KEPT) -> None:
        self.newest = 0
        self.ended = False
        self._kept: deque[tuple[int, str, bytes]] = deque(maxlen=kept)
        self._news = asyncio.Event()

    def put(self, event: Event) -> None:
        """Add an event and wake all who wait."""
        self.newest += 1
        data = json.dumps(event.record())
        text = f"id: {event.id}\nevent: {event.kind}\ndata: {data}\n\n"
        self._kept.append((self.newest, event.id, text.encode()))
        self._wake()

    def end(self) -> None:
        """There will be no more."""
        self.ended = True
        self._wake()

    def place(self, identifier: str) -> int:
        """Return the number of the event with this id; 0 if it is not kept (any more), so that all that are come."""
        return next((number for number, known, _ in self._kept if known == identifier), 0)

    def after(self, number: int) -> tuple[int, list[bytes]]:
        """Return the number of the last event, and the texts of those after ``number`` that are kept."""
        return self.newest, [text for at, _, text in self._kept if at > number]

    def lost(self, number: int) -> int:
        """Return how many events after ``number`` are not kept any more."""
        return max(0, self.newest - len(self._kept) - number)

    async def wait(self, timeout_s: float) -> None:
        """Wait for an event or the end, but not for ever."""
        try:
            await asyncio.wait_for(self._news.wait(), timeout_s)
        except asyncio.TimeoutError:
            return

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
