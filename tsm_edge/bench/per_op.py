"""Where the time of a step goes: the median time of every operation, beside the work it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .agreement import Floats
from .edge import EdgeRunner

PROFILED_STEPS = 40
#: why an operation may seem faster than the machine: its work is the network's multiply-adds, and not all are done
NOT_COMPUTED = "taps outside the image and products that Winograd's algorithm saves count as work"


@dataclass(frozen=True)
class OpTime:
    """One operation of the plan.

    macs: multiply-accumulates. bytes: what its arguments hold, the least it can move. ns: median of the profiled steps.
    """

    kernel: str
    layer: str
    schedule: str
    macs: int
    bytes: int
    ns: float

    @property
    def gflop_per_s(self) -> float:
        """Two operations for each multiply-accumulate."""
        return 2 * self.macs / self.ns if self.ns else 0.0

    @property
    def gb_per_s(self) -> float:
        """Bytes of the arguments over time."""
        return self.bytes / self.ns if self.ns else 0.0

    @property
    def flop_per_byte(self) -> float:
        """Arithmetic intensity; 0 where there is no arithmetic that counts."""
        return 2 * self.macs / self.bytes if self.bytes else 0.0


def profile(runner: EdgeRunner, frames: Sequence[Floats], steps: int = PROFILED_STEPS) -> list[OpTime]:
    """Step ``steps`` times with the per-operation clock on; the stream's states move on by as many frames."""
    stream = runner.stream
    stream.profile(True)
    try:
        rows = []
        for step in range(steps + 1):
            stream.step_tensor(frames[step % len(frames)])
            rows.append([timing.ns for timing in stream.timings()])
        medians = np.median(
            np.asarray(rows[1:], np.float64), axis=0
        )  # the first one brings the code into the caches
    finally:
        stream.profile(False)
    return [OpTime(*op, float(ns)) for op, ns in zip(runner.model.ops(), medians)]
