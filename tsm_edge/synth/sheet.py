"""A contact sheet: one picture with a row for every clip, to see what is rendered."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..files import atomic
from ..pixels import Pixels
from .draw import Drawn
from .files import Rendered
from .motion import LABELS

SHEET = "sheet.png"
COLUMNS = 6  # frames of a clip that are shown
_AROUND = 2  # frames before and after the gestures of a take that are shown
_GAP, _PAPER, _INK = 4, 255, (30, 30, 30)
_NAMES, _LETTER = (
    300,
    0.42,
)  # pixels for the names of the clips, and OpenCV's size of letters that fits the longest


def write_sheet(out: Path, rendered: Rendered) -> Path:
    """Write OUT/sheet.png: the clips in the order of their classes, a few frames of each (:func:`shown`)."""
    import cv2

    clips = sorted(rendered, key=lambda clip: (clip.index % len(LABELS), clip.index))
    names = [f"{LABELS[clip.index % len(LABELS)]}  {clip.index}" for clip in clips]
    image = np.vstack([row(name, clip.frames, shown(clip)) for name, clip in zip(names, clips)])
    done, data = cv2.imencode(".png", image[:, :, ::-1])
    assert done
    path = out / SHEET
    atomic.write_bytes(path, data.tobytes())
    return path


def shown(clip: Drawn) -> list[int]:
    """Which frames of a clip are in its row: evenly spaced, of a take about its gestures."""
    first, last = 0, len(clip.frames) - 1
    if clip.cues:
        first, last = max(clip.cues[0][1] - _AROUND, first), min(clip.cues[-1][2] + _AROUND, last)
    places: list[int] = np.linspace(first, last, COLUMNS).round().astype(int).tolist()
    return places


def row(name: str, frames: Pixels, chosen: Sequence[int]) -> Pixels:
    """A clip of frames uint8 [T, H, W, 3] as one row: its name, and the chosen frames."""
    import cv2

    height, width = frames.shape[1:3]
    image = np.full((height + _GAP, _NAMES + COLUMNS * (width + _GAP), 3), _PAPER, np.uint8)
    cv2.putText(
        image, name, (_GAP, height // 2 + _GAP), cv2.FONT_HERSHEY_SIMPLEX, _LETTER, _INK, 1, cv2.LINE_AA
    )
    for column, at in enumerate(chosen):
        left = _NAMES + column * (width + _GAP)
        image[:height, left : left + width] = frames[at]
    return image
