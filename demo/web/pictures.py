"""What viewers get: a picture as JPEG with what there is to tell beside it, or drawn below it.

Both are made from pictures of at most ``LONGEST`` pixels, which is enough for a phone and a window, and keeps the
work on the board and the load of its network small.
"""

from __future__ import annotations

import json
import struct
from collections import deque
from typing import Any

import cv2
import numpy as np

from tsm_edge.terminal import printable

from ..colours import class_colour, css
from ..history import segments
from ..overlay import Status, render

LONGEST = 960
QUALITY = 80
STRIP_S = 30.0  # seconds of the page's timeline
_TIMES = 120  # steps in the page's sparkline


def overlaid(number: int, image: np.ndarray, status: Status) -> bytes:
    """Return a JPEG of the picture with the panel below it."""
    return _jpeg(render(_reduced(image), status))


class WithState:
    """Makes the page's packets: 4 bytes of length (big-endian), so many bytes of JSON, then a JPEG.

    ``facts`` stand in every JSON, which is made of what the page shows and nothing else.
    """

    def __init__(self, facts: dict[str, Any]) -> None:
        self._facts = facts
        self._times: deque[float] = deque(maxlen=_TIMES)
        self._last: Status | None = None

    def note(self, status: Status) -> None:
        """Remember the time of a step; the same status twice is one step."""
        if status is not self._last:
            self._last = status
            self._times.append(round(status.ms, 2))

    def __call__(self, number: int, image: np.ndarray, status: Status) -> bytes:
        """Return the packet."""
        head = json.dumps(
            self._facts | state(status) | {"number": number, "times_ms": list(self._times)}
        ).encode()
        return struct.pack(">I", len(head)) + head + _jpeg(_reduced(image))


def state(status: Status) -> dict[str, Any]:
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


def _reduced(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    factor = LONGEST / max(height, width)
    if factor >= 1:
        return image
    fitted = (max(1, round(width * factor)), max(1, round(height * factor)))
    return cv2.resize(image, fitted, interpolation=cv2.INTER_AREA)


def _jpeg(image: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes())
