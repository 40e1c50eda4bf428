"""A live source that is connected again when it breaks off: network streams, pipelines and camera programs.

The first connection must succeed, or its error ends the run: an address that is wrong stays wrong. Later the camera is
tried again with growing pauses, for ``give_up_s`` seconds, and `LiveSource.state` says so meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from tsm_edge.errors import CameraError, EdgeError, StreamError

from . import Frame

GAP_S = 1.0  # without a frame, what the model remembers is no longer what went before
GIVE_UP_S = 60.0  # without a frame a stream counts as lost: a recorder or an access point starts again in less
_FIRST_S = 10.0  # for the first frame; some cameras need seconds for it
_PAUSES_S = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # between tries; the last again and again


class Picture(NamedTuple):
    """A decoded picture, uint8 BGR (H, W, 3), and when it was taken, in seconds of ``time.monotonic``."""

    image: np.ndarray
    taken_at: float


class Capture(Protocol):
    """One connection to a camera."""

    def read(self, stopped: Callable[[], bool]) -> Picture | None:
        """Wait for the next picture. None when the camera has come to its own end, or soon after ``stopped``.

        Raises:
            StreamError: the connection is lost, or nothing came for too long.
        """

    def close(self) -> None:
        """End the connection; may be called twice."""


class LiveSource:
    """A source over connections that ``connect`` makes. ``clock`` and ``wait`` stand in for time in tests.

    Raises:
        StreamError, EdgeError: from the constructor; the first connection cannot be made.
    """

    live = True

    def __init__(
        self,
        name: str,
        connect: Callable[[], Capture],
        *,
        give_up_s: float = GIVE_UP_S,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self.name = name
        self.state = ""
        self.reconnects = 0
        self._connect = connect
        self._give_up_s = give_up_s
        self._clock = clock
        self._stop = threading.Event()
        self._wait = wait or self._stop.wait
        self._start: float | None = None
        self._last = clock()
        self._stamp = 0.0
        self._capture: Capture | None = connect()

    def read(self) -> Frame | None:
        """Wait for the next frame; raise the error of the connection when it stays away."""
        picture: Picture | None = None
        try:
            if self._capture is not None:
                picture = self._capture.read(self._stop.is_set)
        except (StreamError, CameraError) as error:
            picture = self._try_again(error)
        if picture is None:
            return None
        now = self._clock()
        gap_s = now - self._last if self._start is not None else 0.0
        self._last, self.state = now, ""
        self._start = picture.taken_at if self._start is None else self._start
        # when a picture was taken is an estimate that may go back by a little; stamps advance
        self._stamp = max(picture.taken_at - self._start, self._stamp + 1e-4) if self._stamp or gap_s else 0.0
        return Frame(picture.image, self._stamp, gap_s if gap_s > GAP_S else 0.0, picture.taken_at)

    def silence(self, seconds: float) -> EdgeError:
        """Return the error for ``seconds`` without a frame."""
        return StreamError(
            f"No picture comes from {self.name} any more.",
            found=f"nothing for {seconds:.0f} s",
            hint="look whether the camera is on, and at the network between",
        )

    def notes(self) -> list[str]:
        """Say how often it was connected again."""
        times = "once" if self.reconnects == 1 else f"{self.reconnects} times"
        return [f"{self.name} was connected again {times}"] if self.reconnects else []

    def stop(self) -> None:
        """Let a `read` of another thread come back soon, and without a frame."""
        self._stop.set()

    def close(self) -> None:
        """End the connection."""
        self._stop.set()
        if self._capture is not None:
            self._capture.close()

    def _try_again(self, error: StreamError | CameraError) -> Picture | None:
        """Return the first picture of a new connection; raise the last error when there is none in time."""
        patience_s = self._give_up_s if self._start is not None else _FIRST_S
        tries = 0
        while not self._stop.is_set() and self._clock() - self._last < patience_s:
            self.state = f"no picture from {self.name}: connecting again"
            self._disconnect()
            self._wait(_PAUSES_S[min(tries, len(_PAUSES_S) - 1)])
            tries += 1
            try:
                self._capture = self._connect()
                picture = self._capture.read(self._stop.is_set)
            except (StreamError, CameraError) as again:
                error = again
                continue
            if picture is not None:
                self.reconnects += self._start is not None
                return picture
            if not self._stop.is_set():
                continue  # it ended at once
        if self._stop.is_set():
            return None
        raise self._final(error)

    def _final(self, error: StreamError | CameraError) -> StreamError | CameraError:
        if self._start is None:
            return error
        seconds = self._clock() - self._last
        before = f"{self._last - self._start:.1f} s of video, then none for {seconds:.0f} s"
        found = f"{before}; {error.found}"
        return type(error)(error.what, found=found, allowed=error.allowed, hint=error.hint)

    def _disconnect(self) -> None:
        if self._capture is not None:
            self._capture.close()
            self._capture = None
