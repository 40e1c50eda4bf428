"""What there is to see: the newest picture of each input with its status, and which input is in front."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..overlay import Status


class Seen(NamedTuple):
    """The newest picture of an input, uint8 BGR (H, W, 3), which nobody changes any more, and its status."""

    image: np.ndarray
    status: Status


class View(NamedTuple):
    """All inputs, None for one that has shown nothing yet. ``front``: the one whose gesture was decided last."""

    inputs: tuple[Seen | None, ...]
    front: int


class Board:
    """Where inputs put what they show, from one thread."""

    def __init__(self, count: int) -> None:
        self._inputs: list[Seen | None] = [None] * count
        self._front = 0
        self._labels = [""] * count  # of the gesture that each shows, "" for none

    def put(self, number: int, seen: Seen) -> View:
        """Take the newest of an input; return what there is to see now."""
        self._inputs[number] = seen
        label = "" if seen.status.probability is None else seen.status.label
        if label and label != self._labels[number]:
            self._front = number
        self._labels[number] = label
        return View(tuple(self._inputs), self._front)
