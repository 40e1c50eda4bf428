"""What is reported of a series of step times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import UsageError


@dataclass(frozen=True)
class Figures:
    """Milliseconds over ``runs`` steps. Percentiles interpolate; the deviation is the population's."""

    runs: int
    median_ms: float
    p5_ms: float
    p95_ms: float
    min_ms: float
    stddev_ms: float

    @classmethod
    def of(cls, nanoseconds: Sequence[int]) -> Figures:
        """Summarise the times of single steps, in ns; UsageError without any."""
        if not nanoseconds:
            raise UsageError("There is no step to report.", found="0 runs", allowed="1 or more")
        times = np.asarray(nanoseconds, np.float64) / 1e6
        p5, median, p95 = np.percentile(times, (5, 50, 95))
        return cls(len(times), float(median), float(p5), float(p95), float(times.min()), float(times.std()))


def ratio(ours_ms: float, theirs_ms: float) -> float:
    """Our time over theirs: below 1 is faster. The times of a step are never 0: the clock ticks in nanoseconds."""
    return ours_ms / theirs_ms
