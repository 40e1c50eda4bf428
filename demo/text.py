"""Text in pictures: shrunk, then shortened with "...", until it lies inside the room it has."""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass, replace

import cv2
import numpy as np

from tsm_edge.terminal import printable

from .colours import Rgb, bgr

FONT = cv2.FONT_HERSHEY_SIMPLEX
SMALLEST = 0.38  # font scale: capital letters of 8 pixels, the least that can be read on a desk
SHRINK = 0.65
_UNICODE = int(cv2.__version__.split(".")[0]) >= 5  # older OpenCV draws each byte beyond ASCII as "?"


@dataclass(frozen=True)
class Text:
    """One placed text: its base line begins at ``x``, ``y``; ``box`` is what it covers (x0, y0, x1, y1)."""

    text: str
    x: int
    y: int
    scale: float
    thickness: int
    colour: Rgb
    box: tuple[int, int, int, int]

    def moved(self, dx: int) -> Text:
        """Return it ``dx`` pixels further to the right."""
        x0, y0, x1, y1 = self.box
        return replace(self, x=self.x + dx, box=(x0 + dx, y0, x1 + dx, y1))

    def draw(self, picture: np.ndarray) -> None:
        """Draw it into ``picture``, uint8 BGR (H, W, 3)."""
        cv2.putText(
            picture,
            self.text,
            (self.x, self.y),
            FONT,
            self.scale,
            bgr(self.colour),
            self.thickness,
            cv2.LINE_AA,
        )


def place(text: str, room: int, scale: float, x: int, top: int, bottom: int, colour: Rgb) -> Text:
    """Fit ``text`` into ``room`` pixels from ``x`` on the base line of the row from ``top`` to ``bottom``."""
    thickness = max(1, round(1.4 * scale))
    _, above, below = size("", scale, thickness)  # before it is shrunk: a row's texts share the base line
    y = top + (bottom - top - above - below) // 2 + above
    text, scale = fit(drawable(text), room, scale, thickness)
    wide, above, below = size(text, scale, thickness)
    return Text(text, x, y, scale, thickness, colour, (x - thickness, y - above, x + wide, y + below))


def fit(text: str, room: int, scale: float, thickness: int) -> tuple[str, float]:
    """Return ``text`` and a font scale at which it is at most ``room`` pixels wide; shrink, then shorten.

    It is shrunk to ``SHRINK`` of ``scale`` at most: beside large texts a tiny one looks like a mistake.
    """
    smallest = max(SMALLEST, SHRINK * scale)
    while scale > smallest and size(text, scale, thickness)[0] > room:
        scale = max(smallest, 0.95 * scale)
    if size(text, scale, thickness)[0] <= room:
        return text, scale
    for kept in range(len(text) - 1, -1, -1):
        shorter = text[:kept].rstrip() + "..."
        if size(shorter, scale, thickness)[0] <= room:
            return shorter, scale
    return "", scale


def drawable(text: str) -> str:
    """Return ``text`` on one line, in ASCII ("é" as "e", others as "?") if OpenCV's font knows no more.

    Control characters and text direction marks become escapes, as on a terminal.
    """
    text = printable(" ".join(text.split()))
    if _UNICODE:
        return text
    bare = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return bare.encode("ascii", "replace").decode("ascii")


def size(text: str, scale: float, thickness: int) -> tuple[int, int, int]:
    """Return the width of ``text``, and the height above and depth below the base line of any text."""
    (width, _), _ = cv2.getTextSize(text, FONT, scale, thickness)
    (_, above), below = cv2.getTextSize("|gÄ" if _UNICODE else "|g", FONT, scale, thickness)
    # The outline fonts of OpenCV 4 are measured by their capitals and without the width of the pen.
    rise = above if _UNICODE else math.ceil(1.2 * above)
    return width + thickness, rise + thickness, below + thickness
