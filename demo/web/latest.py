"""The newest picture, handed from the demo's loop to any number of viewers, of whom none can hold it up.

There is one place for a picture and no queue. `offer` puts the newest there and returns at once; an encoder on a
thread of its own turns it into bytes, but only while a viewer waits for it, and once for all who wait. A viewer
that reads slowly comes back later and gets what is newest then; one that never comes back costs nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from .view import View

MAX_FPS = 20.0  # pictures a second for viewers; a small board has better things to do than to encode more
#: pictures a second for all viewers of one kind together: more than six of them see fewer each. An answer takes some
#: 0.2 ms, so a step meets one in 2 to 3 of 100 cases, and the 95th percentile of steps stays what it is
MAX_ANSWERS = 120.0


class Packet(NamedTuple):
    """An encoded picture; numbers grow, but not by one."""

    number: int
    data: bytes


class Latest:
    """One way of encoding, for all viewers that want it. ``next`` belongs to the event loop it is used in."""

    def __init__(self, encode: Callable[[int, View], bytes], max_fps: float = MAX_FPS) -> None:
        self.encoded = 0
        self._encode = encode
        self._interval_s = 1.0 / max_fps
        self._news = threading.Condition()
        self._offered: View | None = None
        self._number = 0
        self._ended = False
        self._events: asyncio.AbstractEventLoop | None = None
        self._packet = Packet(0, b"")
        self._waiters: dict[asyncio.Future[Packet | None], int] = {}  # with the number each has seen
        self._thread = threading.Thread(target=self._work, name="tsm-edge-encoder", daemon=True)
        self._thread.start()

    def offer(self, view: View) -> None:
        """Take the newest picture; from any thread."""
        with self._news:
            self._offered = view
            self._number += 1
            if self._waiters:
                self._news.notify_all()

    async def next(self, after: int, timeout_s: float) -> Packet | None:
        """Return the newest picture after number ``after``; None if none comes in time or ever again (`ended`)."""
        with self._news:
            if self._ended:
                return None
            if after > self._packet.number:
                after = 0  # a number of another run of the demo
            if self._packet.number == self._number and self._number > after:
                return self._packet
            self._events = asyncio.get_running_loop()
            waiter: asyncio.Future[Packet | None] = self._events.create_future()
            self._waiters[waiter] = after
            self._news.notify_all()
        try:
            return await asyncio.wait_for(waiter, timeout_s)
        except asyncio.TimeoutError:
            return None
        finally:
            with self._news:
                self._waiters.pop(waiter, None)

    @property
    def ended(self) -> bool:
        """Whether there will be no more pictures."""
        return self._ended

    def close(self) -> None:
        """End; all who wait are told. From any thread."""
        with self._news:
            self._ended = True
            self._news.notify_all()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._ended or self._wanted())
                offered, number, viewers = self._offered, self._number, len(self._waiters)
                if self._ended or offered is None:
                    break
            began = time.monotonic()
            packet = Packet(number, self._encode(number, offered))
            with self._news:
                self._packet = packet
                self.encoded += 1
            self._wake()
            pause = max(self._interval_s, viewers / MAX_ANSWERS)
            with self._news:
                self._news.wait_for(lambda: self._ended, max(0.0, began + pause - time.monotonic()))
        self._wake()

    def _wanted(self) -> bool:
        return bool(self._waiters) and self._number > self._packet.number

    def _wake(self) -> None:
        if self._events is not None:
            with contextlib.suppress(RuntimeError):  # the event loop is closed: nobody waits any more
                self._events.call_soon_threadsafe(self._answer)

    def _answer(self) -> None:
        with self._news:
            packet = None if self._ended else self._packet
            ready = [
                waiter for waiter, after in self._waiters.items() if packet is None or packet.number > after
            ]
        for waiter in ready:
            if not waiter.done():
                waiter.set_result(packet)
