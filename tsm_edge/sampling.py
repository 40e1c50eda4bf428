"""Which frames of a stream a model steps on, and how often: pure functions of time stamps.

An online model learns how much happens between two of its frames, so it must step at the rate it was trained at,
whatever the camera delivers and however fast the machine is. Time is cut into ticks of ``1 / rate`` seconds, counted
from the first frame. `Sampler` says for each frame how many ticks it serves; compile/runtime/sampler.c is the same in
C, and tests/vectors/sampler.json holds both to the same answers.
"""

from __future__ import annotations

import math

from .errors import UsageError

#: Most steps on one frame. A gap of more ticks is a stall: half a second at 12 frames a second.
MAX_STEPS = 6
#: Ticks by which a frame may be earlier than half way to its tick. Stamps are often whole milliseconds.
_TOLERANCE = 1 / 32
_MOST_MISSED = 2.0**53


class Sampler:
    """Decides from its time stamp how many steps a frame is worth: 0 skip, 1 step, n repeat it n times.

    A frame serves every tick after the last served one up to half an interval after its own stamp, where an interval
    is the time since the frame before, at most one tick. This is the nearest frame to each tick as far as that can be
    known without waiting for the next frame: 60 frames a second at a rate of 12 give every fifth frame, a camera of 12
    that trembles by some milliseconds loses none, and each frame of a source of 6 is stepped on twice.

    Stamps are seconds from any origin, also negative ones, and need not be evenly spaced:

    - the first finite stamp is where time begins; that frame is worth one step;
    - NaN and infinity are worth 0 and change nothing;
    - a stamp that does not advance (a frame delivered twice, frames out of order) is worth 0;
    - a gap of more than `MAX_STEPS` ticks is a stall: the frame is worth one step, time begins again at it, and the
      ticks between are counted in ``missed``, so that a burst of stale steps never follows a stall;
    - a stamp that lies more than `MAX_STEPS` ticks before an earlier one means that the clock was set back: one
      step, time begins again, and it counts as a stall.

    Args:
        rate: the model's frames per second, positive and finite (``Model.rate_fps``).

    Attributes:
        repeated: steps beyond the first of a frame, made because the source is slower than ``rate``.
        missed: ticks that were lost in stalls, at most 2**53.
        stalls: how often time began again.
    """

    def __init__(self, rate: float) -> None:
        if not (math.isfinite(rate) and rate > 0):
            raise UsageError(
                "Sampling: bad rate.", found=repr(rate), allowed="a positive number of frames per second"
            )
        self.rate = float(rate)
        self.repeated = 0
        self.missed = 0
        self.stalls = 0
        self._start = 0.0
        self._previous: float | None = None
        self._tick = 0.0

    def take(self, t_s: float) -> int:
        """Return the number of steps that the frame stamped ``t_s`` seconds is worth. Called once a frame, in order."""
        if not math.isfinite(t_s):
            return 0
        if self._previous is None:
            return self._begin(t_s)
        interval = t_s - self._previous
        if interval <= 0.0:
            return self._stall(t_s, 0.0) if -interval * self.rate > MAX_STEPS else 0
        self._previous = t_s
        early = min(interval, 1.0 / self.rate) / 2.0
        tick = float(_floor((t_s - self._start + early) * self.rate + _TOLERANCE))
        due = tick - self._tick
        if due > MAX_STEPS:
            return self._stall(t_s, due - 1.0)
        if due <= 0.0:
            return 0
        self._tick = tick
        self.repeated += int(due) - 1
        return int(due)

    def _begin(self, t_s: float) -> int:
        self._start = self._previous = t_s
        self._tick = 0.0
        return 1

    def _stall(self, t_s: float, missed: float) -> int:
        self.stalls += 1
        self.missed = int(min(self.missed + missed, _MOST_MISSED))
        return self._begin(t_s)


def _floor(value: float) -> float:
    """`math.floor` that leaves infinity alone."""
    return float(math.floor(value)) if math.isfinite(value) else value


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
