"""Scores of whole takes: the gestures in them as clips of their own, to be recognised like any clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .store import Store

Floats = NDArray[np.float64]
#: frames before and after a cue that belong to the clip of a gesture
_BEFORE, _AFTER = 3, 2


@dataclass(frozen=True)
class Scored:
    """``scores``: logits [T, classes] of each clip of a store, after each of its frames."""

    store: Store
    scores: Sequence[Floats]

    @property
    def rows(self) -> list[Floats]:
        """Scores of every clip, of a take of every gesture: from 3 frames before it to 2 after it."""
        return [self.scores[at][begin:end] for at, _, begin, end in self._parts()]

    @property
    def targets(self) -> NDArray[np.int64]:
        """The label of each of :attr:`rows`."""
        return np.array([label for _, label, _, _ in self._parts()], np.int64)

    def _parts(self) -> list[tuple[int, int, int, int]]:
        """Number of the clip, label, first frame and end."""
        found = []
        for at, (entry, row) in enumerate(zip(self.store.entries, self.scores)):
            for label, begin, end in entry.cues:
                found.append((at, label, max(0, begin - _BEFORE), min(len(row), end + _AFTER)))
            if not entry.cues:
                found.append((at, entry.label, 0, len(row)))
        return found
