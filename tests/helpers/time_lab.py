"""The sampler and the decision of the C runtime behind the interface of those in Python, for tests of both."""

from __future__ import annotations

import ctypes as c
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tsm_edge.decision import SCORES
from tsm_edge.errors import FrameError
from tsm_edge.runtime import abi
from tsm_edge.smoothing import Decision


def number(value: float | str) -> float:
    """A number of a vector: JSON has no word for those that are not finite."""
    return float(value)


class CSampler:
    """``tsm_sampler``."""

    def __init__(self, library: c.CDLL, rate: float) -> None:
        self._library, self._state = library, abi.Sampler()
        assert library.tsm_sampler_init(c.byref(self._state), rate) == abi.OK

    def take(self, t_s: float) -> int:
        return int(self._library.tsm_sampler_take(c.byref(self._state), t_s))

    @property
    def missed(self) -> float:
        return self._state.missed

    @property
    def stalls(self) -> int:
        return self._state.stalls

    @property
    def repeated(self) -> int:
        return self._state.repeated


class CSmoother:
    """``tsm_decision``."""

    def __init__(self, library: c.CDLL, classes: int, scores: str, **rule: Any) -> None:
        idle: Sequence[int] = rule["idle"]
        numbers = (c.c_int32 * max(1, len(idle)))(*idle)
        wanted = abi.DecisionRule(rule["window"], rule["agree"], rule["threshold"], numbers, len(idle))
        self._library, self._handle, error = library, c.c_void_p(), c.create_string_buffer(abi.ERROR_SIZE)
        status = library.tsm_decision_new(
            c.byref(wanted), SCORES.index(scores), classes, c.byref(self._handle), error, abi.ERROR_SIZE
        )
        assert status == abi.OK, error.value
        for at in range(len(idle)):
            numbers[at] = -1  # the rule was copied

    def push(self, scores: Sequence[float]) -> Decision:
        row, out = (c.c_float * max(1, len(scores)))(*scores), abi.Decided()
        status = self._library.tsm_decision_push(self._handle, row, len(scores), c.byref(out))
        if status != abi.OK:
            raise FrameError(self._library.tsm_decision_error(self._handle).decode())
        return Decision(out.index, "", out.probability, bool(out.changed), out.raw_index, bool(out.idle))

    @property
    def probabilities(self) -> np.ndarray:
        count = c.c_size_t()
        values = self._library.tsm_decision_probabilities(self._handle, c.byref(count))
        return np.array(values[: count.value])

    def reset(self) -> None:
        self._library.tsm_decision_reset(self._handle)

    def close(self) -> None:
        self._library.tsm_decision_free(self._handle)
        self._handle = c.c_void_p()


def uneven(rng: np.random.Generator, count: int) -> list[float]:
    """Time stamps of a camera that trembles, stalls, repeats itself, goes back, and at times says nonsense."""
    base = 1 / rng.choice([3, 8, 12, 15, 24, 29.97, 30, 60, 144])
    gaps = base * rng.choice([1, 1, 1, 1, 0, 0.5, 2, 7, 40, -1, -30], size=count, p=_GAPS)
    stamps = rng.choice([0.0, -3.0, 1.7e9]) + np.cumsum(gaps + rng.normal(0, base / 10, count))
    odd = rng.random(count) < 0.01
    stamps[odd] = rng.choice([math.nan, math.inf, -math.inf, 1e300, -1e300, 0.0], size=int(odd.sum()))
    return [float(stamp) for stamp in stamps]


_GAPS = [0.5, 0.2, 0.1, 0.08, 0.03, 0.03, 0.03, 0.01, 0.005, 0.01, 0.005]


def walk(rng: np.random.Generator, count: int, classes: int, scores: str) -> np.ndarray:
    """Scores, float32 [count, classes], of a network that is sure of one class for some steps and then of another."""
    favourite = np.repeat(rng.integers(0, classes, count), rng.integers(1, 12, count))[:count]
    logits = (
        rng.normal(0, rng.choice([0.1, 1, 4]), (count, classes))
        + 6 * rng.random() * np.eye(classes)[favourite]
    )
    if rng.random() < 0.3:
        logits = np.round(logits)  # ties
    if scores == "logits":
        return logits.astype(np.float32)
    if scores == "sigmoid":
        return (1 / (1 + np.exp(-logits))).astype(np.float32)
    logarithms = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return (logarithms if scores == "log-probabilities" else np.exp(logarithms)).astype(np.float32)
