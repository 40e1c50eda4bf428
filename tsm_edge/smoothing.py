"""From scores that flicker to a decision that can be shown: pure functions and one small state.

The shown class comes from the mean of the class probabilities over the last frames, and it changes only when several
successive means agree on the new class. Where a class means "nothing to report", that is what is shown until another
one is likely: nobody makes a gesture most of the time, and the network does not know that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import FrameError, UsageError

Floats = NDArray[np.float64]

#: labels of the hand gesture data sets for "nobody means anything by it"
QUIET = frozenset({"no gesture", "doing other things", "nothing", "background"})


def is_quiet(label: str) -> bool:
    """Whether a class means that there is nothing to report."""
    return label.strip().lower() in QUIET


@dataclass(frozen=True)
class Decision:
    """What to show after a frame.

    ``index`` is the class that is shown, ``label`` its name ("" without labels), ``probability`` its mean probability
    over the window, 0..1. ``changed`` says that this frame changed the class (the first decision counts as a change).
    ``raw_index`` is the best class of this frame alone.
    """

    index: int
    label: str
    probability: float
    changed: bool
    raw_index: int


def softmax(logits: ArrayLike) -> Floats:
    """Return the probabilities, float64 [classes], of ``logits`` [classes]; safe for large values."""
    values = np.asarray(logits, np.float64)
    powers = np.exp(values - values.max())
    return np.asarray(powers / powers.sum(), np.float64)


class Smoother:
    """Keeps the last probabilities of one stream.

    Args:
        window: number of frames that are averaged, 1 and more.
        agree: number of successive means that must agree before the shown class changes, 1 and more.
        labels: names of the classes, or nothing.
        threshold: mean probability, 0..1, that a class must reach to be shown instead of a quiet one
            (:func:`is_quiet`); frames before the first count as quiet. Without quiet labels it has no meaning.

    With the defaults the shipped model gives 0.7 false alarms a minute of real footage (`benchmarks/false_alarms.py`,
    `benchmarks/results/false_alarms.json`).
    """

    def __init__(
        self, window: int = 8, agree: int = 2, labels: Sequence[str] = (), threshold: float = 0.75
    ) -> None:
        for name, value in (("window", window), ("agree", agree)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise UsageError(f"Smoothing: bad {name}.", found=value, allowed="an integer of 1 and more")
        if not 0 <= threshold <= 1:
            raise UsageError("Smoothing: bad threshold.", found=threshold, allowed="0..1")
        self.window = window
        self.agree = agree
        self.labels = tuple(labels)
        self.threshold = threshold
        self._quiet = [index for index, label in enumerate(self.labels) if is_quiet(label)]
        self._recent: deque[Floats] = deque(maxlen=window)
        self._winners: deque[int] = deque(maxlen=agree)
        self._shown: int | None = None

    def push(self, logits: ArrayLike) -> Decision:
        """Take the logits [classes] of the next frame and return what to show.

        Raises:
            FrameError: not one row of finite numbers, or another number of classes than before.
        """
        values = np.asarray(logits, np.float64)
        expected = (
            self._recent[0].shape if self._recent else (len(self.labels),) if self.labels else values.shape
        )
        if values.ndim != 1 or values.size == 0 or values.shape != expected or not np.isfinite(values).all():
            raise FrameError(
                "The scores do not fit.",
                found=f"shape {list(values.shape)}" + ("" if np.isfinite(values).all() else ", not finite"),
                allowed=f"finite numbers of shape {list(expected) if len(expected) == 1 else ['classes']}",
            )
        self._recent.append(softmax(values))
        mean = self.probabilities
        self._winners.append(self._winner(mean))
        changed = self._accept()
        assert self._shown is not None  # the first frame always decides
        index = self._shown
        label = self.labels[index] if self.labels else ""
        return Decision(index, label, float(mean[index]), changed, int(values.argmax()))

    @property
    def probabilities(self) -> Floats:
        """The mean probabilities, float64 [classes], that the last decision was made from; empty before the first."""
        return np.mean(self._recent, axis=0) if self._recent else np.zeros(0)

    def reset(self) -> None:
        """Forget all frames, as a new stream."""
        self._recent.clear()
        self._winners.clear()
        self._shown = None

    def _winner(self, mean: Floats) -> int:
        """The likeliest class, or the likeliest quiet one where no other is likely enough."""
        best = int(mean.argmax())
        likely = mean[best] * len(self._recent) / self.window >= self.threshold
        if not self._quiet or best in self._quiet or likely or best == self._shown:
            return best
        return max(self._quiet, key=lambda index: mean[index])

    def _accept(self) -> bool:
        winner = self._winners[-1]
        agreed = len(self._winners) == self.agree and len(set(self._winners)) == 1
        if self._shown is not None and (not agreed or winner == self._shown):
            return False
        self._shown = winner
        return True
