"""What moves where nobody makes a gesture: people who walk by, near and far.

A network that has only seen one hand before still backgrounds finds a gesture in every street.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .camera import triple
from .shapes import pixels, scale_of
from .textures import colour

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
Random = np.random.Generator
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Walker:
    """Somebody who walks: head, body, two legs. Units of the scene (:mod:`.motion`).

    start: of the feet. speed: in sides of the frame a second. height: of the body. growth: of its logarithm a second,
    for somebody who comes or goes. stride: radians a second of the legs.
    """

    start: Floats
    speed: Floats
    height: float
    growth: float
    stride: float
    phase: float
    colours: tuple[Colour, Colour, Colour]

    def draw(self, image: Pixels, to_frame: Floats, time: float) -> None:
        """Draw them where they are at ``time``."""
        import cv2

        size = self.height * float(np.exp(self.growth * time))
        step = np.sin(self.stride * time + self.phase)
        feet = self.start + self.speed * time - np.array([0, 0.02 * size * abs(step)])
        thick = max(1, round(0.13 * size * scale_of(to_frame)))
        hip = feet - np.array([0, 0.48 * size])
        for side in (-1, 1):
            foot = feet + np.array([side * step * 0.16 * size, 0])
            self._line(image, np.array([hip, foot]), self.colours[0], thick, to_frame)
        shoulders = feet - np.array([0, 0.8 * size])
        self._line(image, np.array([hip, shoulders]), self.colours[1], 2 * thick, to_frame)
        head = pixels((feet - np.array([0, 0.93 * size]))[None], to_frame)[0]
        radius = round(0.075 * size * scale_of(to_frame) * 16)
        cv2.circle(image, head.tolist(), radius, self.colours[2], -1, cv2.LINE_AA, 4)

    @staticmethod
    def _line(image: Pixels, ends: Floats, tone: Colour, thick: int, to_frame: Floats) -> None:
        import cv2

        first, last = pixels(ends, to_frame)
        cv2.line(image, first.tolist(), last.tolist(), tone, thick, cv2.LINE_AA, 4)


def walkers(random: Random) -> tuple[Walker, ...]:
    """One to seven people at about the same distance, each on a way of their own."""
    distance = random.uniform(0.06, 0.45)
    return tuple(_walker(random, distance) for _ in range(int(random.integers(1, 8))))


def _walker(random: Random, distance: float) -> Walker:
    height = distance * random.uniform(0.75, 1.3)
    across = random.choice((-1, 1)) * random.uniform(0.1, 0.9) * height
    return Walker(
        start=random.uniform((-0.6, -0.2), (0.6, 0.5)),
        speed=np.array([across, random.normal(0, 0.12 * height)]),
        height=height,
        growth=random.normal(0, 0.06),
        stride=random.uniform(3, 7),
        phase=random.uniform(0, 6.3),
        colours=(triple(colour(random)), triple(colour(random)), triple(colour(random))),
    )
