"""Foregrounds: what is drawn into a frame, in shades of grey, 0 being "not here".

A shape is built once a clip from random numbers, and then drawn for every frame: ``shape(canvas, to_pixels,
openness)`` with ``to_pixels`` the 2 x 3 matrix from the shape's own coordinates (height 1, centre (0, 0), y down) to
the canvas. Shades are about 200; darker lines part the fingers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Canvas = NDArray[np.uint8]
Random = np.random.Generator
Shape = Callable[[Canvas, Floats, float], None]

#: fractional bits of the coordinates given to OpenCV
_BITS = 4
_DARK, _PLAIN = 120, 200


def pixels(points: Floats, to_pixels: Floats) -> NDArray[np.int32]:
    """Points [N, 2] on the canvas, in fixed point."""
    on_canvas: Floats = points @ to_pixels[:, :2].T + to_pixels[:, 2]
    return np.round(on_canvas * (1 << _BITS)).astype(np.int32)


def scale_of(to_pixels: Floats) -> float:
    """Pixels for one unit of the shape."""
    return float(np.hypot(to_pixels[0, 0], to_pixels[1, 0]))


@dataclass(frozen=True)
class Hand:
    """A palm, four fingers of two visible parts and a thumb; seen from inside or outside, left or right.

    width: of a finger. lengths: of the four fingers. side: -1 or 1, on which side the thumb is. forearm: its length.
    """

    width: float
    lengths: Floats
    side: float
    forearm: float
    lean: float
    web: float

    def __call__(self, canvas: Canvas, to_pixels: Floats, openness: float) -> None:
        """Draw the hand; ``openness`` 0 is a fist with the fingers drawn in, 1 is spread."""
        import cv2

        scale = scale_of(to_pixels)
        if self.forearm > 0:
            arm = np.array([(0, 0.3), (self.lean * self.forearm, 0.3 + self.forearm)])
            self._line(canvas, arm, 0.27, _DARK + 60, to_pixels, scale)
        palm = np.array(
            [(-0.17, 0.4), (0.17, 0.4), (0.22, 0.05), (0.15, -0.07), (-0.15, -0.07), (-0.22, 0.05)]
        )
        corners = pixels(palm, to_pixels)
        cv2.fillPoly(canvas, [corners], _PLAIN, cv2.LINE_AA, _BITS)
        thick = max(1, round(0.09 * scale))
        cv2.polylines(canvas, [corners], True, _PLAIN, thick, cv2.LINE_AA, _BITS)
        for index in range(4):
            self._finger(canvas, index, openness, to_pixels, scale)
        self._thumb(canvas, openness, to_pixels, scale)

    def _finger(self, canvas: Canvas, index: int, openness: float, to_pixels: Floats, scale: float) -> None:
        across = (index - 1.5) / 1.5  # -1 .. 1 from one side of the hand to the other
        angle = across * (0.05 + 0.33 * openness) * self.web
        length = self.lengths[index] * (0.22 + 0.78 * openness)
        base = np.array([0.16 * across, -0.05 + 0.03 * across**2])
        tip = base + length * np.array([np.sin(angle), -np.cos(angle)])
        line = np.array([base, tip])
        self._line(canvas, line, self.width + 0.035, _DARK, to_pixels, scale)
        self._line(canvas, line, self.width, _PLAIN + 12 * (index % 2) - 6, to_pixels, scale)

    def _thumb(self, canvas: Canvas, openness: float, to_pixels: Floats, scale: float) -> None:
        angle = self.side * (0.25 + 0.75 * openness)
        base = np.array([0.17 * self.side, 0.2])
        tip = base + 0.33 * (0.45 + 0.55 * openness) * np.array([np.sin(angle), -np.cos(angle)])
        line = np.array([base, tip])
        self._line(canvas, line, 1.1 * self.width + 0.03, _DARK, to_pixels, scale)
        self._line(canvas, line, 1.1 * self.width, _PLAIN, to_pixels, scale)

    @staticmethod
    def _line(
        canvas: Canvas, ends: Floats, width: float, shade: int, to_pixels: Floats, scale: float
    ) -> None:
        import cv2

        first, last = pixels(ends, to_pixels)
        thickness = max(1, round(width * scale))
        cv2.line(canvas, first.tolist(), last.tolist(), int(shade), thickness, cv2.LINE_AA, _BITS)


@dataclass(frozen=True)
class Polygons:
    """Rigid outlines, each with its shade; ``openness`` pushes their points out by up to ``give`` of their place."""

    outlines: tuple[tuple[Floats, int], ...]
    give: float

    def __call__(self, canvas: Canvas, to_pixels: Floats, openness: float) -> None:
        """Draw the outlines in order."""
        import cv2

        for points, shade in self.outlines:
            radius = np.hypot(points[:, 0], points[:, 1])[:, None]
            grown = points * (1 + self.give * (openness - 0.5) * radius)
            cv2.fillPoly(canvas, [pixels(grown, to_pixels)], shade, cv2.LINE_AA, _BITS)


def hand(random: Random, finger_width: tuple[float, float]) -> Shape:
    """A hand of random proportions."""
    lengths = np.array([0.36, 0.42, 0.4, 0.31])[:: int(random.choice((-1, 1)))]
    return Hand(
        width=random.uniform(*finger_width),
        lengths=lengths * random.uniform(0.85, 1.15),
        side=float(random.choice((-1, 1))),
        forearm=random.uniform(0.4, 1.6) if random.random() < 0.7 else 0.0,
        lean=random.uniform(-0.35, 0.35),
        web=random.uniform(0.75, 1.2),
    )


def smooth_blob(random: Random, finger_width: tuple[float, float]) -> Shape:
    """A closed curve of a few waves; never round."""
    turns = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    radius = np.full_like(turns, 0.36)
    for order in range(1, 6):
        radius += random.normal(0, 0.11 / order**0.7) * np.sin(order * turns + random.uniform(0, 6.3))
    stretch = random.uniform(0.65, 0.95)
    points = np.clip(radius, 0.12, 0.55)[:, None] * np.stack([stretch * np.cos(turns), np.sin(turns)], 1)
    return Polygons(((points, _PLAIN),), random.uniform(0, 0.8))


def ellipses(random: Random, finger_width: tuple[float, float]) -> Shape:
    """Two to four overlapping ellipses."""
    turns = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    circle = np.stack([np.cos(turns), np.sin(turns)], 1)
    parts = []
    for index in range(int(random.integers(2, 5))):
        angle, axes = random.uniform(0, np.pi), random.uniform(0.1, 0.36, 2)
        turned = np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])
        parts.append(((circle * axes) @ turned.T + random.uniform(-0.2, 0.2, 2), _PLAIN - 30 * (index % 2)))
    return Polygons(tuple(parts), random.uniform(0, 0.8))


def mitten(random: Random, finger_width: tuple[float, float]) -> Shape:
    """A hand without parted fingers: a rounded slab and a thumb."""
    turns = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    cos, sin = np.cos(turns), np.sin(turns)
    power, slim = random.uniform(0.5, 0.8), random.uniform(0.2, 0.28)
    slab = np.stack([slim * np.sign(cos) * abs(cos) ** power, 0.48 * np.sign(sin) * abs(sin) ** power], 1)
    side, lean = float(random.choice((-1, 1))), random.uniform(0.5, 1.0)
    thumb = np.stack([0.08 * cos, 0.22 * sin], 1)
    turned = np.array([(np.cos(lean), -np.sin(lean)), (np.sin(lean), np.cos(lean))])
    thumb = (thumb @ turned.T) * (side, 1) + (side * (slim + 0.06), 0.1)
    return Polygons(((thumb, _PLAIN - 40), (slab, _PLAIN)), random.uniform(0, 0.8))


def gear(random: Random, finger_width: tuple[float, float]) -> Shape:
    """Straight-edged spikes of uneven length around a centre."""
    spikes = int(random.integers(4, 9))
    turns = np.sort(random.uniform(0, 2 * np.pi, 2 * spikes))
    radius = np.where(
        np.arange(2 * spikes) % 2, random.uniform(0.15, 0.3), random.uniform(0.35, 0.55, 2 * spikes)
    )
    points = radius[:, None] * np.stack([np.cos(turns), np.sin(turns)], 1)
    hub = 0.22 * np.stack([np.cos(turns), np.sin(turns)], 1)
    return Polygons(((points, _PLAIN), (hub, _PLAIN - 50)), random.uniform(0, 0.8))


BUILD = {function.__name__: function for function in (hand, smooth_blob, ellipses, mitten, gear)}
