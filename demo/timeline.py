"""Where pictures go on the constant frame rate of a recording: a pure function of time stamps."""

from __future__ import annotations

import math

_ROUNDING = 1e-6  # in frames: n/30 and n/12 meet only up to rounding


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
