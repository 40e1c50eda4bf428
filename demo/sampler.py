"""Which frames of a stream the model sees, and when: pure functions of time stamps.

An online model learns how much happens between two of its frames, so it must see frames at the rate it was
trained at, whatever the camera delivers and however fast the machine is. Time is cut into ticks of ``1 /
rate`` seconds and each tick gets the frame nearest to it. Nearest is decided without looking ahead: the next
frame is expected one frame interval after this one, so a frame serves a tick when it lies no more than half
an interval before it. That makes 60 -> 12 per second exactly every fifth frame, and a 12-per-second camera
that trembles by a few milliseconds loses none.
"""

from __future__ import annotations

import math

_ROUNDING = 1e-6  # in ticks: n/30 and n/12 meet only up to rounding


class Sampler:
    """Chooses frames at ``rate`` per second from their time stamps.

    ``take`` is called once a frame, in order. ``empty_ticks`` counts the ticks for which there was no frame
    because the source was slower than ``rate`` or stood still; they are not made up for, so a stall is not
    followed by a burst.
    """

    def __init__(self, rate: float) -> None:
        if not (math.isfinite(rate) and rate > 0):
            raise ValueError(
                f"the sampling rate must be a positive number of frames per second, not {rate!r}"
            )
        self.rate = rate
        self.empty_ticks = 0
        self._start = 0.0
        self._previous: float | None = None
        self._tick = 0

    def take(self, t_s: float) -> bool:
        """Return whether the frame stamped ``t_s`` seconds is one of the model's frames.

        A stamp that does not advance (a frame delivered twice) is never taken.
        """
        if self._previous is None:
            self._start = self._previous = t_s
            return True
        interval = t_s - self._previous
        if interval <= 0:
            return False
        self._previous = t_s
        early = min(interval, 1.0 / self.rate) / 2
        tick = math.floor((t_s - self._start + early) * self.rate + _ROUNDING)
        if tick <= self._tick:
            return False
        self.empty_ticks += tick - self._tick - 1
        self._tick = tick
        return True


class Stamps:
    """Makes time stamps that start at 0 and always advance from a file's own, which may be missing or broken.

    The file's stamps are used as long as each is finite and later than the one before. At the first that is
    not, the rest of the file is stamped by counting frames at ``fps``, and ``reliable`` turns False.
    """

    def __init__(self, fps: float) -> None:
        if not (math.isfinite(fps) and fps > 0):
            raise ValueError(f"the frame rate must be a positive number, not {fps!r}")
        self.fps = fps
        self.reliable = True
        self._first = 0.0
        self._last: float | None = None

    def next(self, stamp_s: float) -> float:
        """Return the seconds since the first frame of the frame whose file stamp is ``stamp_s``."""
        if self._last is None:
            self.reliable = math.isfinite(stamp_s)
            self._first = stamp_s if self.reliable else 0.0
            self._last = 0.0
            return 0.0
        t_s = stamp_s - self._first
        if self.reliable and math.isfinite(t_s) and t_s > self._last:
            self._last = t_s
        else:
            self.reliable = False
            self._last += 1.0 / self.fps
        return self._last


class Timeline:
    """Places pictures on the constant frame rate of a recording, so that it plays at the speed seen."""

    def __init__(self, fps: float, longest_gap_s: float = 5.0) -> None:
        self.fps = fps
        self.written = 0
        self._longest = max(1, math.ceil(longest_gap_s * fps))
        self._cut_s = 0.0

    def repeats(self, t_s: float) -> int | None:
        """Return how often the previous picture is repeated before the one of ``t_s`` seconds; count both.

        None means that this picture's place is taken already and it is left out. A gap longer than the
        longest allowed is shortened to it, so that a machine that slept for an hour does not record an hour
        of one picture.
        """
        place = math.floor((t_s - self._cut_s) * self.fps + 0.5 + _ROUNDING)
        if place < self.written:
            return None
        gap = place - self.written
        if gap > self._longest:
            self._cut_s += (gap - self._longest) / self.fps
            gap = self._longest
        if self.written == 0:
            gap, self._cut_s = 0, t_s
        self.written += gap + 1
        return gap
