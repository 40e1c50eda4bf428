"""Between a source and the loop: which frame is worked on next, and which ones were lost.

`Replay` hands over every chosen frame of a file in order and as fast as it is asked: no clock, the same
frames on every machine. `Live` reads on a thread of its own and keeps one chosen frame and one newest frame:
when the loop is slower than the source, an older frame is replaced (and counted), so what is shown is never
behind.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tsm_edge.sampling import Sampler

from .sources import Frame, Source


@dataclass(frozen=True)
class Item:
    """One frame for the loop and how many steps the model makes on it; 0: it is only there to be shown.

    ``gap_s``: for how long the source broke off before it (`sources.Frame.gap_s`).
    """

    frame: Frame
    steps: int
    gap_s: float = 0.0


class Feed(Protocol):
    """What the loop takes frames from. ``dropped`` counts chosen frames that were replaced untaken."""

    dropped: int
    finished: bool

    @property
    def state(self) -> str:
        """What the source is doing while it gives no frame, "" while all is well."""

    def take(self, timeout_s: float) -> Item | None:
        """Return the next frame; None if none comes within ``timeout_s`` or ever again (``finished``)."""

    def close(self) -> None:
        """Stop reading and close the source."""


class Replay:
    """Every chosen frame of ``source``, in order, without a clock."""

    def __init__(self, source: Source, sampler: Sampler) -> None:
        self.dropped = 0
        self.finished = False
        self._source = source
        self._sampler = sampler

    @property
    def state(self) -> str:
        """Nothing: a file is there."""
        return ""

    def take(self, timeout_s: float) -> Item | None:
        """Read on until the next chosen frame; None at the end. A file never waits for ``timeout_s``."""
        while (frame := self._source.read()) is not None:
            if steps := self._sampler.take(frame.t_s):
                return Item(frame, steps, frame.gap_s)
        self.finished = True
        return None

    def close(self) -> None:
        """Close the source."""
        self._source.close()


class Live:
    """Frames as they come. A source that is not live (a file) is held back to its own time stamps.

    ``patience_s``: how long a source may be silent before it counts as lost. It is longer than a camera tries by
    itself (`sources.camera.GIVE_UP_S`); one that says what it is doing (``state``) is not silent, so
    that only a driver that hangs is met here.
    """

    def __init__(
        self,
        source: Source,
        sampler: Sampler,
        *,
        patience_s: float = 20.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.dropped = 0
        self.finished = False
        self._source = source
        self._sampler = sampler
        self._patience_s = patience_s
        self._clock = clock
        self._news = threading.Condition()
        self._chosen: Item | None = None
        self._gap_s = 0.0  # before the chosen frame, or one that it replaced
        self._newest: Frame | None = None
        self._error: Exception | None = None
        self._ended = False
        self._heard = clock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read_all, name="tsm-edge-reader", daemon=True)
        self._thread.start()

    @property
    def state(self) -> str:
        """What the source is doing while it gives no frame."""
        return self._source.state

    def take(self, timeout_s: float) -> Item | None:
        """Return the waiting chosen frame, else the newest; after the last, raise the reader's error."""
        with self._news:
            self._news.wait_for(lambda: self._chosen or self._newest or self._ended, timeout_s)
            if self._chosen is not None:
                item, self._chosen, self._gap_s = self._chosen, None, 0.0
                if self._newest is item.frame:
                    self._newest = None
                return item
            if self._newest is not None:
                frame, self._newest = self._newest, None
                return Item(frame, steps=0)
            if self._ended:
                self.finished = True
                if self._error is not None:
                    raise self._error
            elif not self._source.state and self._clock() - self._heard > self._patience_s:
                raise self._source.silence(self._clock() - self._heard)
        return None

    def close(self) -> None:
        """Stop the reader and close the source; one that hangs in a dead driver ends with the process."""
        self._stop.set()
        self._source.stop()
        self._thread.join(timeout=2.0)
        if not self._thread.is_alive():
            self._source.close()

    def _read_all(self) -> None:
        start = None
        try:
            while not self._stop.is_set() and (frame := self._source.read()) is not None:
                if not self._source.live:
                    start = self._clock() if start is None else start
                    self._stop.wait(max(0.0, start + frame.t_s - self._clock()))
                self._publish(frame)
        except Exception as error:  # whatever it is, the loop's thread raises it again
            self._error = error
        with self._news:
            self._ended = True
            self._news.notify_all()

    def _publish(self, frame: Frame) -> None:
        with self._news:
            self._heard = self._clock()
            self._newest = frame
            self._gap_s = frame.gap_s or self._gap_s
            if steps := self._sampler.take(frame.t_s):
                self.dropped += self._chosen is not None
                self._chosen = Item(frame, steps, self._gap_s)
            self._news.notify_all()
