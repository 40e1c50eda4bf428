"""What every frame of a take should answer, and how much that counts.

While a gesture goes on, nothing is known of it at its first frame and everything at its last; soon after it the answer
may still be heard, and a smoothed decision needs that. Everywhere else nobody means anything, and which quiet class is
answered does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .store import Cue

#: targets that are no class: any quiet one; whatever it is
ANY_QUIET, UNCOUNTED = -1, -2
#: frames after a gesture that should still answer it, and so many more that may
_AFTER, _FREE = 2, 3
#: weight of all quiet frames of a take with gestures, against 1 of each gesture in it. At 1 a network answers quiet
#: where it doubts: its quiet scores were too high by ln 0.37, measured by what balanced them afterwards
_QUIET = 0.4

Targets = NDArray[np.int64]
Weights = NDArray[np.float32]


def of_take(label: int, cues: Sequence[Cue], count: int) -> tuple[Targets, Weights]:
    """Targets and weights, [count] each, of a take; ``label`` is a quiet class where there are no cues.

    The weight of a gesture's frames rises until half of it is over and stays there, as in the loss of a clip. They sum
    to 1 for each gesture, long or short; the quiet frames weigh 1 where the whole take is quiet, else up to 0.4.
    """
    targets = np.full(count, ANY_QUIET if cues else label, np.int64)
    weights = np.full(count, (_QUIET if cues else 1) / count, np.float32)
    for _, _, end in cues:
        targets[end + _AFTER : end + _AFTER + _FREE] = UNCOUNTED
        weights[end + _AFTER : end + _AFTER + _FREE] = 0
    for at, (of, begin, end) in enumerate(cues):
        last = min(end + _AFTER, count, *(cue[1] for cue in cues[at + 1 :]))
        heard = np.minimum(2 * np.arange(1, last - begin + 1) / (end - begin), 1) ** 2
        targets[begin:last] = of
        weights[begin:last] = heard / heard.sum()
    return targets, weights


def backwards(cues: Sequence[Cue], count: int, reversed_: Sequence[int]) -> tuple[Cue, ...] | None:
    """The cues of a take of ``count`` frames that is played backwards; None where a label may not be reversed."""
    turned = tuple((reversed_[of], count - end, count - begin) for of, begin, end in reversed(cues))
    return None if any(of < 0 for of, _, _ in turned) else turned
