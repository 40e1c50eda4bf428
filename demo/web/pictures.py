"""What viewers get: a picture as JPEG with what there is to tell beside it, or drawn below it.

Both are made from pictures of at most ``LONGEST`` pixels, which is enough for a phone and a window, and keeps the
work on the board and the load of its network small.
"""

from __future__ import annotations

import json
import math
import struct
from collections import deque
from collections.abc import Sequence

import cv2
import numpy as np

from tsm_edge.terminal import printable

from ..colours import class_colour, css
from ..history import segments
from ..overlay import Status, render
from .view import View

LONGEST = 960
QUALITY = 80
STRIP_S = 30.0  # seconds of the page's timeline
_TIMES = 120  # steps in the page's sparkline


def overlaid(number: int, view: View) -> bytes:
    """Return a JPEG of the pictures, each with its panel below it."""
    longest = _longest(view)
    whole, _ = arranged([seen and render(_reduced(seen.image, longest), seen.status) for seen in view.inputs])
    return _jpeg(whole)


class WithState:
    """Makes the page's packets: 4 bytes of length (big-endian), so many bytes of JSON, then a JPEG.

    The JSON has ``number``, ``model``, ``front`` and for each of the ``inputs`` its ``source``, `state`, the times of
    its last steps and its ``cell``: left, top, width and height as shares of the picture's. An input that has shown
    nothing yet has its source alone.
    """

    def __init__(self, sources: Sequence[str]) -> None:
        self.model = ""
        self._sources = sources
        self._times: list[deque[float]] = [deque(maxlen=_TIMES) for _ in sources]
        self._last: list[Status | None] = [None] * len(sources)

    def note(self, number: int, status: Status) -> None:
        """Remember the time of a step of an input; the same status twice is one step."""
        if status is not self._last[number]:
            self._last[number] = status
            self._times[number].append(round(status.ms, 2))

    def __call__(self, number: int, view: View) -> bytes:
        """Return the packet."""
        whole, cells = arranged([seen and _reduced(seen.image, _longest(view)) for seen in view.inputs])
        inputs: list[dict[str, object]] = []
        for source, seen, cell, times in zip(self._sources, view.inputs, cells, self._times):
            shown = state(seen.status) | {"cell": cell, "times_ms": list(times)} if seen is not None else {}
            inputs.append({"source": source, **shown})
        facts = {"number": number, "model": self.model, "front": view.front, "inputs": inputs}
        head = json.dumps(facts).encode()
        return struct.pack(">I", len(head)) + head + _jpeg(whole)


def state(status: Status) -> dict[str, object]:
    """Return what the page shows of ``status``; shares of the timeline's length are 0 to 1, 1 is now."""
    return {
        "label": printable(status.label),
        "probability": None if status.probability is None else round(status.probability, 4),
        "ms": round(status.ms, 2),
        "fps": round(status.fps, 1),
        "dropped": status.dropped,
        "note": status.note,
        "top": [
            {
                "label": printable(score.label),
                "probability": round(score.probability, 4),
                "colour": css(class_colour(score.index, idle=score.idle)),
            }
            for score in status.top
        ],
        "strip_s": STRIP_S,
        "strip": [
            {
                "label": printable(segment.label),
                "colour": css(class_colour(segment.index, idle=segment.idle)),
                "begin": round(segment.begin, 4),
                "end": round(segment.end, 4),
            }
            for segment in segments(status.spans, STRIP_S)
        ],
    }


def arranged(pictures: Sequence[np.ndarray | None]) -> tuple[np.ndarray, list[tuple[float, ...]]]:
    """Return pictures in rows of equal cells, as large as fits, those that have not come yet dark; and where each lies.

    A place is left, top, width and height as shares of the whole; at least one picture must be there.
    """
    if len(pictures) == 1 and pictures[0] is not None:
        return pictures[0], [(0.0, 0.0, 1.0, 1.0)]
    columns = _columns(len(pictures))
    rows = -(-len(pictures) // columns)
    there = [picture.shape for picture in pictures if picture is not None]
    height, width = max(shape[0] for shape in there), max(shape[1] for shape in there)
    whole = np.zeros((rows * height, columns * width, 3), np.uint8)
    places = []
    for number, picture in enumerate(pictures):
        wide, high = width, height
        if picture is not None:
            picture = _fitted(picture, min(width / picture.shape[1], height / picture.shape[0]))
            high, wide = picture.shape[:2]
        top = number // columns * height + (height - high) // 2
        left = number % columns * width + (width - wide) // 2
        if picture is not None:
            whole[top : top + high, left : left + wide] = picture
        sizes = ((left, whole.shape[1]), (top, whole.shape[0]), (wide, whole.shape[1]), (high, whole.shape[0]))
        places.append(tuple(round(part / of, 4) for part, of in sizes))
    return whole, places


def _columns(count: int) -> int:
    return math.ceil(math.sqrt(count))


def _longest(view: View) -> int:
    """Pixels of the longer side of one picture among so many."""
    return LONGEST // _columns(len(view.inputs))


def _reduced(image: np.ndarray, longest: int) -> np.ndarray:
    return _fitted(image, min(1.0, longest / max(image.shape[:2])))


def _fitted(image: np.ndarray, factor: float) -> np.ndarray:
    if factor == 1:
        return image
    height, width = image.shape[:2]
    fitted = (max(1, round(width * factor)), max(1, round(height * factor)))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, fitted, interpolation=how), np.uint8)


def _jpeg(image: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes())
