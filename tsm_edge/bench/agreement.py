"""Do two runners compute the same? Scores and every state, step by step, relative to the reference's largest value.

In 8 bits single numbers are off by many roundings, and a fault shows in all of them: the root mean square is compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..errors import VerificationError

Floats = NDArray[np.float32]


def difference(found: Floats, wanted: Floats) -> float:
    """Return max |found - wanted| / max |wanted|; infinity where a value is no finite number or a shape differs."""
    if found.size != wanted.size or not (np.isfinite(found).all() and np.isfinite(wanted).all()):
        return float("inf")
    flat, other = found.reshape(-1).astype(np.float64), wanted.reshape(-1).astype(np.float64)
    scale = max(float(np.abs(other).max(initial=0.0)), float(np.finfo(np.float32).tiny))
    return float(np.abs(flat - other).max(initial=0.0)) / scale


def rms_difference(found: Floats, wanted: Floats) -> float:
    """The same with root mean squares in place of largest values."""
    if difference(found, wanted) == float("inf"):
        return float("inf")
    flat, other = found.reshape(-1).astype(np.float64), wanted.reshape(-1).astype(np.float64)
    scale = max(float(np.sqrt(np.square(other).mean())), float(np.finfo(np.float32).tiny))
    return float(np.sqrt(np.square(flat - other).mean())) / scale


@dataclass
class Agreement:
    """Compares the outputs of ``name`` with those of ``reference`` and remembers the largest difference.

    tolerance: largest relative difference allowed; 0 asks for equal numbers. rms: compare root mean squares.
    """

    name: str
    reference: str
    tolerance: float
    rms: bool = False
    worst: float = field(default=0.0, init=False)
    compared: int = field(default=0, init=False)

    def compare(self, step: int, found: Sequence[Floats], wanted: Sequence[Floats]) -> None:
        """Compare the outputs of one step: the scores, then perhaps the states in order.

        Raises:
            VerificationError: one of them is off; no time of this run may be reported.
        """
        if len(found) != len(wanted):
            raise VerificationError(
                f"{self.name} has other states than {self.reference}; no time is reported.",
                found=f"{len(found) - 1} states",
                allowed=f"{len(wanted) - 1}",
            )
        for index, (mine, other) in enumerate(zip(found, wanted)):
            output = f"state {index - 1}" if index else "the scores"
            off = (rms_difference if self.rms else difference)(mine, other)
            if not off <= self.tolerance:
                raise VerificationError(
                    f"{self.name} does not compute what {self.reference} computes; no time is reported.",
                    found=f"{output} of step {step}: {off:.1e} relative",
                    allowed=f"{self.tolerance:.0e}" if self.tolerance else "equal numbers",
                    hint="tsm-edge verify BUNDLE tells whether the bundle is at fault",
                )
            self.worst = max(self.worst, off)
        self.compared += 1


def check_alive(name: str, rows: Sequence[Floats]) -> None:
    """Refuse a runner that is broken on its own terms: scores that are not finite, or that never change.

    rows: the scores of a few steps over different frames.
    """
    if not all(np.isfinite(row).all() for row in rows):
        raise VerificationError(
            f"{name} gives scores that are no finite numbers; no time is reported.", allowed="finite numbers"
        )
    if len(rows) > 1 and all(np.array_equal(row, rows[0]) for row in rows[1:]):
        raise VerificationError(
            f"{name} gives the same scores for every frame; no time is reported.",
            found=f"{len(rows)} different frames",
            allowed="scores that depend on the frame",
        )
