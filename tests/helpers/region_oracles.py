"""What boxes make of a clip, box by box in plain Python: oracles of RoIAlign and of space-time graphs."""

from __future__ import annotations

import math

import numpy as np


def grid_box(index: int, count: int) -> tuple[float, float, float, float]:
    """The box of a place where none is given."""
    side = math.isqrt(count)
    if index >= side * side:
        return (0.0, 0.0, 1.0, 1.0)
    row, column = divmod(index, side)
    return tuple(each / (side + 1) for each in (column, row, column + 2, row + 2))


def given(box: np.ndarray, index: int, count: int) -> list[float]:
    """The box, or that of its place where it is all zeros."""
    return list(map(float, box if np.any(box != 0) else grid_box(index, count)))


def sample(image: np.ndarray, y: float, x: float) -> np.ndarray:
    """[C, H, W] between its four positions around (y, x); times zero more than one position outside."""
    _, height, width = image.shape
    inside = float(-1 <= y <= height and -1 <= x <= width)
    y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
    top, left = math.floor(y), math.floor(x)
    below, right = min(top + 1, height - 1), min(left + 1, width - 1)
    high, wide = y - top, x - left
    upper = image[:, top, left] * (1 - wide) + image[:, top, right] * wide
    lower = image[:, below, left] * (1 - wide) + image[:, below, right] * wide
    return (upper * (1 - high) + lower * high) * inside


def aligned_max(image: np.ndarray, box: np.ndarray, index: int, count: int) -> np.ndarray:
    """RoIAlign of one box over [C, H, W], 7x7 bins of 2x2 samples, then the maximum over the bins."""
    _, height, width = image.shape
    left, top, right, bottom = given(box, index, count)
    left, right, top, bottom = left * width, right * width, top * height, bottom * height
    tall, wide = max(bottom - top, 1.0) / 7, max(right - left, 1.0) / 7
    bins = []
    for row in range(7):
        for column in range(7):
            rows, columns = ([at + 0.25, at + 0.75] for at in (row, column))
            samples = [sample(image, top + y * tall, left + x * wide) for y in rows for x in columns]
            bins.append(sum(samples) / 4)
    return np.max(bins, axis=0)


def intersection_over_union(a: list[float], b: list[float]) -> float:
    """Of two boxes; 0 where they share nothing."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (areas[0] + areas[1] - width * height)


def overlap_mean(x: np.ndarray, boxes: np.ndarray, by: int) -> np.ndarray:
    """[T, B, C]: the mean of the regions of frame t + by, weighted by how much they overlap each one of frame t."""
    frames, count, _ = x.shape
    result = np.zeros(x.shape)
    for t in range(frames):
        if not 0 <= t + by < frames:
            continue
        for i in range(count):
            own = given(boxes[t, i], i, count)
            weights = [
                intersection_over_union(own, given(boxes[t + by, j], j, count)) for j in range(count)
            ]
            if sum(weights) > 0:
                result[t, i] = sum(w * x[t + by, j] for j, w in enumerate(weights)) / sum(weights)
    return result
