"""The bar under the picture: label, confidence, speed, and in plain words when the weights are untrained.

The layout is computed from the picture's size and the texts alone, so it can be checked without a screen:
every text is shrunk, then shortened with "...", until it lies inside its row. The bar is added below the
picture instead of being drawn over it, because a hand in the lower third is what a gesture model is shown.
Its height depends on the picture's size and on whether there is a note, never on the texts, so a recording
keeps one size.
"""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass, replace

import cv2
import numpy as np

FONT = cv2.FONT_HERSHEY_SIMPLEX
PAPER = (245, 245, 245)
INK = (30, 30, 30)
WARN_PAPER = (60, 60, 190)
WARN_INK = (255, 255, 255)

SMALLEST = 0.38  # font scale: capital letters of 8 pixels, the least that can be read on a desk
_UNICODE = int(cv2.__version__.split(".")[0]) >= 5  # older OpenCV draws each byte beyond ASCII as "?"


@dataclass(frozen=True)
class Status:
    """What the bar tells. ``ms`` is the time of the last step, ``fps`` steps per second over the last few."""

    label: str
    probability: float
    ms: float
    fps: float
    dropped: int
    note: str = ""

    def speed(self) -> str:
        """Return the second row's text."""
        return f"model {self.ms:.1f} ms | {self.fps:.1f} FPS | dropped {self.dropped}"


@dataclass(frozen=True)
class Text:
    """One placed text: its base line begins at ``x``, ``y``; ``box`` is what it covers (x0, y0, x1, y1)."""

    text: str
    x: int
    y: int
    scale: float
    thickness: int
    colour: tuple[int, int, int]
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class Layout:
    """Where everything of the bar goes, in pixels of the bar itself (its top is row 0)."""

    width: int
    height: int
    note_top: int
    texts: tuple[Text, ...]


def render(image: np.ndarray, status: Status) -> np.ndarray:
    """Return a new uint8 BGR image: ``image`` (H, W, 3) with the bar below it."""
    height, width = image.shape[:2]
    plan = layout(width, height, status)
    bar = np.empty((plan.height, width, 3), np.uint8)
    bar[:] = PAPER
    bar[plan.note_top :] = WARN_PAPER
    for text in plan.texts:
        cv2.putText(
            bar, text.text, (text.x, text.y), FONT, text.scale, text.colour, text.thickness, cv2.LINE_AA
        )
    return np.vstack([image, bar])


def layout(width: int, height: int, status: Status) -> Layout:
    """Return the bar for a picture of ``width`` x ``height`` pixels."""
    scale = max(0.55, 0.8 * min(width / 640, height / 480))
    pad = round(8 * scale)
    rows = [round(40 * scale), round(30 * scale)]
    note_top = sum(rows) + pad
    total = note_top + (round(32 * scale) if status.note else 0)
    total += (height + total) % 2  # video encoders want even sizes

    percent = _place(
        f"{100 * status.probability:.0f}%", width - 2 * pad, scale, pad, 0, rows[0] + pad // 2, INK
    )
    room = width - 4 * pad - (percent.box[2] - percent.box[0])
    label = _place(status.label, room, scale, pad, 0, rows[0] + pad // 2, INK)
    percent = _moved(percent, width - pad - percent.box[2])
    speed = _place(status.speed(), width - 2 * pad, 0.75 * scale, pad, rows[0] + pad // 2, note_top, INK)
    texts = [label, percent, speed]
    if status.note:
        texts.append(_place(status.note, width - 2 * pad, 0.75 * scale, pad, note_top, total, WARN_INK))
    return Layout(width, total, note_top if status.note else total, tuple(texts))


def fit(text: str, room: int, scale: float, thickness: int) -> tuple[str, float]:
    """Return ``text`` and a font scale at which it is at most ``room`` pixels wide; shrink, then shorten."""
    while scale > SMALLEST and _size(text, scale, thickness)[0] > room:
        scale = max(SMALLEST, 0.95 * scale)
    if _size(text, scale, thickness)[0] <= room:
        return text, scale
    for kept in range(len(text) - 1, -1, -1):
        shorter = text[:kept].rstrip() + "..."
        if _size(shorter, scale, thickness)[0] <= room:
            return shorter, scale
    return "", scale


def drawable(text: str) -> str:
    """Return ``text`` on one line, in ASCII ("é" as "e", others as "?") if OpenCV's font knows no more."""
    text = " ".join(text.split())
    if _UNICODE:
        return text
    bare = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return bare.encode("ascii", "replace").decode("ascii")


def _place(
    text: str, room: int, scale: float, x: int, top: int, bottom: int, colour: tuple[int, int, int]
) -> Text:
    """Fit ``text`` into ``room`` pixels from ``x`` on the base line of the row from ``top`` to ``bottom``."""
    thickness = max(1, round(1.4 * scale))
    _, above, below = _size(
        "", scale, thickness
    )  # before it is shrunk: all texts of a row share the base line
    y = top + (bottom - top - above - below) // 2 + above
    text, scale = fit(drawable(text), room, scale, thickness)
    wide, above, below = _size(text, scale, thickness)
    return Text(text, x, y, scale, thickness, colour, (x - thickness, y - above, x + wide, y + below))


def _moved(text: Text, dx: int) -> Text:
    x0, y0, x1, y1 = text.box
    return replace(text, x=text.x + dx, box=(x0 + dx, y0, x1 + dx, y1))


def _size(text: str, scale: float, thickness: int) -> tuple[int, int, int]:
    """Return the width of ``text``, and the height above and depth below the base line of any text."""
    (width, _), _ = cv2.getTextSize(text, FONT, scale, thickness)
    (_, above), below = cv2.getTextSize("|gÄ" if _UNICODE else "|g", FONT, scale, thickness)
    # The outline fonts of OpenCV 4 are measured by their capitals and without the width of the pen.
    rise = above if _UNICODE else math.ceil(1.2 * above)
    return width + thickness, rise + thickness, below + thickness
