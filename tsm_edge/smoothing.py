"""From scores that flicker to a decision over time: probabilities of scores, and one small state.

The decided class comes from the mean of the class probabilities over the last steps, and it changes only when several
successive means agree on the new class. Where classes mean "nothing to report" (idle), one of them is decided until
another class is likely: nobody makes a gesture most of the time, and the network does not know that. All idle classes
are one state, so flicker between two of them is no change.

compile/runtime/decision.c is the same in C. Both add and multiply doubles in the same order and share an exponential of
their own, so that their probabilities are equal bit for bit; tests/vectors/decision.json holds both to it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .decision import SCORES, DecisionRule
from .errors import FrameError, UsageError

if TYPE_CHECKING:
    from .bundle.manifest import Manifest

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Decision:
    """What is decided after a step.

    Attributes:
        index: the decided class.
        label: its name, "" without labels.
        probability: its mean probability over the window, 0..1: ``Smoother.probabilities[index]``.
        changed: this step changed the decision. The first decision counts as a change; from one idle class to another
            is none.
        raw_index: the best class of this step alone.
        idle: the decided class is one that means "nothing to report".
    """

    index: int
    label: str
    probability: float
    changed: bool
    raw_index: int
    idle: bool


#: by how much a probability may be outside 0..1 (float16 arithmetic on a GPU); it is clipped
_SLACK = 0.01
_LOG2E, _LN2_HIGH, _LN2_LOW = 1.4426950408889634, 6.93147180369123816490e-01, 1.90821492927058770002e-10


def probabilities_of(scores: str, values: ArrayLike) -> Floats:
    """Return the probabilities, float64 [classes], of a network's output ``values`` [classes].

    Args:
        scores: what the output is: "logits" (their softmax is returned), "probabilities", "log-probabilities" (natural
            logarithms) or "sigmoid" (a probability for each class by itself).

    Raises:
        FrameError: not one row of finite numbers, or numbers that cannot be what ``scores`` says.
        UsageError: an unknown kind.
    """
    row = np.asarray(values, np.float64)
    if scores not in SCORES:
        raise UsageError("Unknown kind of scores.", found=repr(scores), allowed=", ".join(SCORES))
    finite = bool(np.isfinite(row).all())
    if row.ndim != 1 or row.size == 0 or not finite:
        raise FrameError(
            "The scores do not fit.",
            found=f"shape {list(row.shape)}" + ("" if finite else ", not finite"),
            allowed="finite numbers of shape [classes]",
        )
    return _KINDS[scores](row)


def softmax(logits: ArrayLike) -> Floats:
    """Return the probabilities, float64 [classes], of ``logits`` [classes]; safe for large values."""
    return _of_logits(np.asarray(logits, np.float64))


def _of_logits(row: Floats) -> Floats:
    powers = _exp(row - row.max())
    return np.asarray(
        powers / np.add.accumulate(powers)[-1], np.float64
    )  # numpy's sum has an order of its own


def _of_probabilities(row: Floats) -> Floats:
    _check_range(row, -_SLACK, 1 + _SLACK, "probabilities, 0..1")
    return np.clip(row, 0.0, 1.0) + 0.0  # no negative zero


def _of_log_probabilities(row: Floats) -> Floats:
    _check_range(row, -math.inf, _SLACK, "logarithms of probabilities, at most 0")
    return _exp(np.minimum(row, 0.0))


_KINDS = {
    "logits": _of_logits,
    "probabilities": _of_probabilities,
    "log-probabilities": _of_log_probabilities,
    "sigmoid": _of_probabilities,
}


def _check_range(row: Floats, least: float, most: float, allowed: str) -> None:
    if row.min() < least or row.max() > most:
        odd = float(row.min() if row.min() < least else row.max())
        raise FrameError(
            "The scores are not what the model says they are.", found=f"{odd:g}", allowed=allowed
        )


def _exp(x: Floats) -> Floats:
    """Return e to the power of ``x`` <= 0 with a relative error below 4e-16, the same bits on every machine.

    x = k ln 2 + r, |r| <= ln 2 / 2; a Taylor polynomial of degree 13 in r, scaled by 2**k (Cody and Waite, 1980).
    Below -700 it is 0.
    """
    bounded = np.maximum(x, -700.0)
    k = np.floor(bounded * _LOG2E + 0.5)
    r = (bounded - k * _LN2_HIGH) - k * _LN2_LOW
    power = np.full_like(r, _INVERSE_FACTORIALS[-1])
    for coefficient in reversed(_INVERSE_FACTORIALS[:-1]):
        power = power * r + coefficient
    return np.where(x < -700.0, 0.0, np.ldexp(power, k.astype(np.int32)))


_INVERSE_FACTORIALS = tuple(1.0 / math.factorial(n) for n in range(14))


class Smoother:
    """Keeps the last probabilities of one stream, and decides.

    Args:
        rule: the parameters of the decision; None: those for ``labels``. Steps before the first count as idle; without
            idle classes the threshold has no meaning.
        scores: what the network's output is, as for `probabilities_of`.
        labels: names of the classes, or nothing.

    With the default rule the shipped model gives 0.2 false alarms a minute of real footage
    (`benchmarks/false_alarms.py`, `benchmarks/results/false_alarms.json`).
    """

    def __init__(
        self, rule: DecisionRule | None = None, scores: str = "logits", labels: Sequence[str] = ()
    ) -> None:
        self.labels = tuple(labels)
        self.rule = rule or DecisionRule.for_labels(self.labels)
        self.scores = scores
        self._recent: deque[Floats] = deque(maxlen=self.rule.window)
        self._winners: deque[int] = deque(maxlen=self.rule.agree)
        self._decided: int | None = None

    @classmethod
    def of(cls, manifest: Manifest) -> Smoother:
        """Return one that decides as the model of ``manifest`` was made to."""
        return cls(manifest.decision, manifest.scores, manifest.labels)

    def push(self, scores: ArrayLike) -> Decision:
        """Take the scores [classes] of the next step and return what is decided.

        Raises:
            FrameError: not one row of finite numbers, another number of classes than before, or numbers that cannot be
                what the model says they are. The state keeps its value.
        """
        values = np.asarray(scores, np.float64)
        probabilities = probabilities_of(self.scores, values)
        expected = self._recent[0].size if self._recent else len(self.labels) or values.size
        if values.size != expected:
            raise FrameError(
                "The scores do not fit.", found=f"{values.size} numbers", allowed=f"{expected} numbers"
            )
        self._recent.append(probabilities)
        mean = self.probabilities
        self._winners.append(self._winner(mean))
        changed = self._accept()
        assert self._decided is not None  # the first step always decides
        index = self._decided
        label = self.labels[index] if self.labels else ""
        return Decision(
            index, label, float(mean[index]), changed, int(values.argmax()), index in self.rule.idle
        )

    @property
    def probabilities(self) -> Floats:
        """The mean probabilities, float64 [classes], that the last decision was made from; empty before the first."""
        if not self._recent:
            return np.zeros(0)
        total = self._recent[0]
        for row in list(self._recent)[1:]:
            total = total + row
        return total / len(self._recent)

    def reset(self) -> None:
        """Forget all steps, as a new stream."""
        self._recent.clear()
        self._winners.clear()
        self._decided = None

    def _winner(self, mean: Floats) -> int:
        """The likeliest class, or the likeliest idle one where no other is likely enough."""
        idle, best = self.rule.idle, int(mean.argmax())
        likely = mean[best] * len(self._recent) / self.rule.window >= self.rule.threshold
        if not idle or best in idle or likely or best == self._decided:
            return best
        return max(idle, key=lambda index: mean[index])

    def _accept(self) -> bool:
        """Make the last winner the decision if the last ``agree`` of them agree; return whether that is a change.

        To leave or enter the idle state it is enough that all are idle; which idle class is decided changes only
        when all are the same one.
        """
        winner = self._winners[-1]
        if self._decided is None:
            self._decided = winner
            return True
        full = len(self._winners) == self.rule.agree
        same_class = full and len(set(self._winners)) == 1
        same_state = same_class or (full and all(index in self.rule.idle for index in self._winners))
        changed = same_state and self._state(winner) != self._state(self._decided)
        if changed or same_class:
            self._decided = winner
        return changed

    def _state(self, index: int) -> int:
        """The class, or -1 for all idle ones."""
        return -1 if index in self.rule.idle else index
