"""Several inputs in one process: their loops take turns on one thread, and the model's weights are there once.

Each has its own stream, decision, overlay and events. One that is lost ends alone; the others go on.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import cv2
import numpy as np

from tsm_edge.terminal import say

from .feed import Feed
from .interfaces import Counters, Viewers
from .loop import WAIT_S, Loop
from .overlay import Status, render

_ENDS_ALL = ("interrupted", "quit", "output-closed")  # of `loop.Loop.stopped`: the user means all of them
_CELL = 480  # pixels of the longer side of a picture among others


def run(loops: Sequence[Loop], names: Sequence[str], reset: threading.Event) -> None:
    """Run until every loop has ended, or the user ends them all. ``reset``: set from any thread, it resets all."""
    left = list(zip(loops, names))
    while left:
        if reset.is_set():
            reset.clear()
            for loop, _ in left:
                loop.reset.set()
        for loop, name in tuple(left):
            if loop.advance(WAIT_S / len(left)):
                continue
            left.remove((loop, name))
            if loop.stopped in _ENDS_ALL:
                for other, _ in left:
                    other.stopped = loop.stopped
                return
            if loop.failure is not None and left:
                say(f"note: {name} has ended, the others go on: {loop.failure.what}", err=True)


class Total:
    """Counts steps of all inputs together, whose ``feeds`` count what each has dropped."""

    def __init__(self, counters: Counters, feeds: Sequence[Feed]) -> None:
        self._counters, self._feeds = counters, feeds

    def step(self, seconds: float, dropped: int) -> None:
        """Count a step of any of them."""
        self._counters.step(seconds, sum(feed.dropped for feed in self._feeds))

    def gap(self) -> None:
        """Count a source that broke off and came back."""
        self._counters.gap()


class Grid:
    """One picture of several, each with its panel, for viewers who see one; `tile` is where an input shows its own.

    The status that goes with it is that of the input whose gesture was decided last.
    """

    def __init__(self, viewers: Viewers, count: int) -> None:
        self._viewers = viewers
        self._pictures: list[np.ndarray | None] = [None] * count
        self._gesture: tuple[int, str] | None = None  # which input shows which label
        self._status: Status | None = None

    def tile(self, number: int) -> Viewers:
        """Return the place of one input."""
        return _Tile(self, number)

    def offer(self, number: int, image: np.ndarray, status: Status) -> None:
        """Take the newest picture of an input."""
        self._pictures[number] = _small(render(image, status))
        news = status.probability is not None and self._gesture != (number, status.label)
        if news:
            self._gesture = (number, status.label)
        if self._status is None or news or self._gesture is None or self._gesture[0] == number:
            self._status = status
        self._viewers.offer(arranged(self._pictures), self._status)


class _Tile:
    """The place of one input."""

    def __init__(self, grid: Grid, number: int) -> None:
        self._grid, self._number = grid, number

    def offer(self, image: np.ndarray, status: Status) -> None:
        """Take the newest picture."""
        self._grid.offer(self._number, image, status)


def arranged(pictures: Sequence[np.ndarray | None]) -> np.ndarray:
    """Return pictures in rows of equal cells, those that have not come yet dark."""
    columns = int(np.ceil(np.sqrt(len(pictures))))
    rows = -(-len(pictures) // columns)
    there = [picture.shape for picture in pictures if picture is not None]
    height, width = max(shape[0] for shape in there), max(shape[1] for shape in there)
    whole = np.zeros((rows * height, columns * width, 3), np.uint8)
    for number, picture in enumerate(pictures):
        if picture is not None:
            top, left = number // columns * height, number % columns * width
            whole[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return whole


def _small(picture: np.ndarray) -> np.ndarray:
    scale = _CELL / max(picture.shape[:2])
    if scale >= 1:
        return picture
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
