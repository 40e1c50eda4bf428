"""Surfaces: uint8 RGB pictures of a given side, drawn from random numbers.

Every function is ``(random, side, photos) -> uint8 [side, side, 3]``; ``photos`` are the names a split may use, empty
when no package with photographs is installed (then "photo" falls back to clouds, which both splits may show). The names
are those of :mod:`.families`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..pixels import Pixels, saturated
from . import photos as photos_

Random = np.random.Generator
Names = tuple[str, ...]


def colour(random: Random) -> NDArray[np.float64]:
    """A colour, RGB 0..255: a third grey, a third pale, a third anything."""
    value = random.uniform(20, 245)
    tint = random.uniform(-1, 1, 3) * value * (0.0, 0.25, 0.9)[random.integers(3)]
    return np.clip(value + tint, 5, 250)


def mixed(weights: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]) -> Pixels:
    """Colour a map of 0..1, [side, side], from ``low`` to ``high``."""
    return (low + weights[..., None] * (high - low)).astype(np.uint8)


def noise(random: Random, side: int, cells: int) -> NDArray[np.float64]:
    """Smooth noise of 0..1 with about ``cells`` hills along a side."""
    import cv2

    coarse = random.random((cells + 1, cells + 1), np.float32)
    hills: NDArray[np.float64] = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    return hills.clip(0, 1)


def grid(random: Random, side: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates of the pixels, turned by a random angle, in shares of the side."""
    ramp = np.linspace(-0.5, 0.5, side)
    angle = random.uniform(0, np.pi)
    cos, sin = np.cos(angle), np.sin(angle)
    return cos * ramp[None, :] + sin * ramp[:, None], cos * ramp[:, None] - sin * ramp[None, :]


def clouds(random: Random, side: int, photos: Names) -> Pixels:
    """Noise of two sizes between two colours."""
    share = 0.65 * noise(random, side, int(random.integers(2, 6)))
    share += 0.35 * noise(random, side, int(random.integers(8, 24)))
    return mixed(share, colour(random), colour(random))


def ramp(random: Random, side: int, photos: Names) -> Pixels:
    """A wall: one colour fading into another, with a little grain."""
    along, _ = grid(random, side)
    share = np.clip(along * random.uniform(0.5, 1.2) + 0.5, 0, 1)
    image = mixed(share, colour(random), colour(random)).astype(np.int16)
    grain = random.integers(-6, 7, (side, side, 1))
    return saturated(image + grain)


def stripes(random: Random, side: int, photos: Names) -> Pixels:
    """Soft stripes."""
    along, _ = grid(random, side)
    wave = np.sin(2 * np.pi * random.uniform(2, 9) * along + random.uniform(0, 6.3))
    return mixed(np.clip(0.5 + random.uniform(0.5, 1.5) * wave, 0, 1), colour(random), colour(random))


def dots(random: Random, side: int, photos: Names) -> Pixels:
    """Discs on a plain ground."""
    import cv2

    image = np.empty((side, side, 3), np.uint8)
    image[:] = colour(random)
    for _ in range(int(random.integers(6, 30))):
        centre, radius = random.integers(0, side, 2), int(random.integers(side // 30 + 1, side // 9 + 2))
        cv2.circle(image, (int(centre[0]), int(centre[1])), radius, colour(random).tolist(), -1, cv2.LINE_AA)
    return image


def patches(random: Random, side: int, photos: Names) -> Pixels:
    """A room, roughly: rectangles and triangles over a fading wall."""
    import cv2

    image = ramp(random, side, photos)
    for _ in range(int(random.integers(4, 14))):
        centre, reach = random.uniform(0, side, 2), random.uniform(0.05, 0.4, 2) * side
        if random.random() < 0.7:
            corners = centre + np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * reach / 2
        else:
            corners = centre + random.uniform(-1, 1, (3, 2)) * reach
        cv2.fillPoly(image, [corners.astype(np.int32)], colour(random).tolist(), cv2.LINE_AA)
    return image


def cells(random: Random, side: int, photos: Names) -> Pixels:
    """Straight-edged cells around random points, each of one colour (a Voronoi diagram)."""
    ramp_ = np.linspace(0, 1, side)
    count = int(random.integers(5, 22))
    points = random.random((count, 2))
    distance = (ramp_[:, None, None] - points[:, 0]) ** 2 + (ramp_[None, :, None] - points[:, 1]) ** 2
    colours = np.array([colour(random) for _ in range(count)]).astype(np.uint8)
    return np.ascontiguousarray(colours[distance.argmin(2)])


def checks(random: Random, side: int, photos: Names) -> Pixels:
    """A chessboard, turned."""
    along, across = grid(random, side)
    fields = random.uniform(3, 9)
    share = ((np.floor(along * fields) + np.floor(across * fields)) % 2).astype(np.float64)
    return mixed(share, colour(random), colour(random))


def plaid(random: Random, side: int, photos: Names) -> Pixels:
    """Lines of two directions over a ground."""
    along, across = grid(random, side)
    lines = random.uniform(2, 7, 2)
    share = 0.5 * (np.sin(2 * np.pi * lines[0] * along) > random.uniform(0, 0.9))
    share = share + 0.5 * (np.sin(2 * np.pi * lines[1] * across) > random.uniform(0, 0.9))
    return mixed(share, colour(random), colour(random))


def photo(random: Random, side: int, photos: Names) -> Pixels:
    """A part of a photograph, perhaps flipped and with other colours."""
    import cv2

    if not photos:
        return clouds(random, side, photos)
    image = photos_.load(photos[int(random.integers(len(photos)))])
    part = int(random.uniform(0.45, 1.0) * min(image.shape[:2]))
    top = int(random.integers(image.shape[0] - part + 1))
    left = int(random.integers(image.shape[1] - part + 1))
    view = image[top : top + part, left : left + part]
    if random.random() < 0.5:
        view = view[:, ::-1]
    if random.random() < 0.3:
        view = view[:, :, random.permutation(3)]
    scaled: Pixels = cv2.resize(np.ascontiguousarray(view), (side, side), interpolation=cv2.INTER_AREA)
    return scaled


def skin(random: Random, side: int, photos: Names) -> Pixels:
    """Skin of any tone: a warm hue, a little mottled."""
    value, depth = random.uniform(60, 250), random.uniform(0.15, 0.6)
    tone = value * np.array([1.0, 1 - 0.55 * depth, 1 - depth])
    share = 0.7 * noise(random, side, 4) + 0.3 * noise(random, side, 16)
    return mixed(share, 0.85 * tone, np.clip(1.1 * tone, 0, 255))


DRAW = {
    function.__name__: function
    for function in (clouds, ramp, stripes, dots, patches, cells, checks, plaid, photo, skin)
}
