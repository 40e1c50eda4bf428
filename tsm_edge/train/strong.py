"""Augmentation above strength 1, for networks that must hold where no training clip was made: another lens, framing,
light, camera.

All of it is drawn once for a clip and is the same for each of its frames, but for the noise. Half of what can happen
happens at strength 1.5, all of it at 2. It costs one warp and one table a frame.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..pixels import Pixels, saturated

Floats = NDArray[np.float64]

_SLOWEST, _FASTEST = 0.75, 1.3
_LEAST_PART = 0.6  # of the side that is cut out
_NARROWEST = 0.7  # width by height of what is squeezed into a square, and its inverse
_TILT = 8.0  # degrees


def speed(random: np.random.Generator, strength: float) -> float:
    """How many frames of a take go by in one of the example; 1 up to strength 1."""
    if strength <= 1:
        return 1.0
    extra = strength - 1
    return float(np.exp(random.uniform(np.log(_SLOWEST), np.log(_FASTEST)) * extra))


def warp(clip: Pixels, size: int, random: np.random.Generator, strength: float) -> Pixels:
    """Cut the same part out of every frame, of another shape and tilted, and squeeze it to ``size``.

    What a tilted part has outside of the picture is the picture's mirror image.
    """
    import cv2

    extra, side = strength - 1, clip.shape[1]
    part = random.uniform(0.75 + (_LEAST_PART - 0.75) * extra, 1.0)
    shape = np.exp(random.uniform(np.log(_NARROWEST), -np.log(_NARROWEST)) * extra / 2)
    spans = side * np.minimum(part * np.array([shape, 1 / shape]), 1.0)  # width, height
    middle = spans / 2 + random.random(2) * (side - spans)
    angle = np.deg2rad(random.uniform(-_TILT, _TILT) * extra)
    turn = np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))]) * (spans / size)
    inverse = np.column_stack([turn, middle - turn @ [size / 2, size / 2] - 0.5 + turn.sum(1) / 2])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.stack(
        [cv2.warpAffine(frame, inverse, (size, size), flags=flags, borderMode=cv2.BORDER_REFLECT_101) for frame in clip]
    )


def recolour(clip: Pixels, random: np.random.Generator, strength: float) -> Pixels:
    """Light, colours, sharpness, noise, and a thing before the lens."""
    import cv2

    extra, size = strength - 1, clip.shape[2]
    flat = np.array(clip).reshape(-1, size, 3)
    flat = np.asarray(cv2.LUT(flat, _tables(random, extra)[None]))
    colours = _colours(random, extra)
    if colours is not None:
        flat = np.asarray(cv2.transform(flat, colours))
    clip = flat.reshape(clip.shape)
    if random.random() < 0.4 * extra:
        sigma = random.uniform(0.3, 1.4)
        clip = np.stack([cv2.GaussianBlur(frame, (0, 0), sigma) for frame in clip])
    if random.random() < 0.3 * extra:
        _cover(clip, random)
    if random.random() < 0.6 * extra:
        clip = _noisy(clip, random, random.uniform(1, 4 + 10 * random.random() ** 2))
    return clip


def _tables(random: np.random.Generator, extra: float) -> Pixels:
    """Look-up tables [256, 3]: gamma, gain with a cast, offset."""
    gamma = np.exp(random.uniform(-0.5, 0.5) * extra)
    gain = np.exp(random.uniform(-0.4, 0.4) + random.uniform(-0.12, 0.12, 3) * (1 + extra))
    offset = random.uniform(-25, 25) * (1 + 0.4 * extra)
    values = 255 * (np.arange(256) / 255) ** gamma
    return saturated(values[:, None] * gain + offset)


def _colours(random: np.random.Generator, extra: float) -> Floats | None:
    """A matrix [3, 3] of RGB: another saturation down to grey, hues turned round the grey axis, channels exchanged."""
    kind = random.random()
    if kind > 0.6 * extra:
        return None
    grey = np.tile([0.299, 0.587, 0.114], (3, 1))
    if kind < 0.1 * extra:
        return grey
    if kind < 0.15 * extra:
        return np.asarray(np.eye(3)[random.permutation(3)])
    angle = random.uniform(-0.9, 0.9)
    cos, sin = np.cos(angle), np.sin(angle) / np.sqrt(3)
    cross = np.array([(0, -1, 1), (1, 0, -1), (-1, 1, 0)])
    turned = cos * np.eye(3) + (1 - cos) / 3 + sin * cross  # Rodrigues about (1, 1, 1)
    saturation = random.uniform(0.2, 1.6)
    return np.asarray(turned @ (saturation * np.eye(3) + (1 - saturation) * grey))


def _cover(clip: Pixels, random: np.random.Generator) -> None:
    """Paint a still rectangle over up to an eighth of every frame, in place."""
    size = clip.shape[1]
    area, shape = random.uniform(0.01, 0.125), np.exp(random.uniform(-1, 1))
    height, width = (max(1, min(size, round(size * np.sqrt(area * each)))) for each in (shape, 1 / shape))
    top, left = random.integers(0, size - height + 1), random.integers(0, size - width + 1)
    clip[:, top : top + height, left : left + width] = random.integers(0, 256, 3)


def _noisy(clip: Pixels, random: np.random.Generator, sigma: float) -> Pixels:
    """Noise of the sensor: every frame takes it from another place of one large picture of noise."""
    import cv2

    size = clip.shape[1]
    drawn = random.standard_normal((2 * size, 2 * size, 3), np.float32)
    bank = np.rint(drawn * np.float32(sigma)).astype(np.int16)
    places = random.integers(0, size, (len(clip), 2))
    return np.stack(
        [
            cv2.add(frame, bank[y : y + size, x : x + size], dtype=cv2.CV_8U)
            for frame, (y, x) in zip(clip, places.tolist())
        ]
    )
