"""Which frames of a clip the network sees: TSN's segments, or neighbours at the model's own rate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: the names of the two ways
WAYS = ("segments", "dense")
_SLOWEST, _FASTEST = 0.75, 1.35
_EARLY = 1 / 8  # of the frames


def segments(count: int, frames: int, random: np.random.Generator | None = None) -> NDArray[np.int64]:
    """TSN: cut ``count`` frames into ``frames`` equal parts and take one of each, random in training, else the middle.

    A clip shorter than ``frames`` shows some frames twice, as in MIT's code.
    """
    edges = np.linspace(0, count, frames + 1)
    if random is None:
        return ((edges[:-1] + edges[1:]) / 2).astype(np.int64)
    picks = edges[:-1] + random.random(frames) * (edges[1:] - edges[:-1])
    return np.minimum(picks.astype(np.int64), count - 1)


def dense(count: int, frames: int, random: np.random.Generator | None = None) -> NDArray[np.int64]:
    """``frames`` neighbours, at a random place in training, else in the middle; a short clip's last frame is
    repeated.
    """
    spare = max(0, count - frames)
    start = spare // 2 if random is None else int(random.integers(spare + 1))
    return np.minimum(np.arange(start, start + frames), count - 1)


def window(count: int, frames: int, speed: float, random: np.random.Generator) -> NDArray[np.int64]:
    """``frames`` successive frames of a take at a random place; ``speed`` frames go by in one, as far as there are so
    many.
    """
    step = min(speed, (count - 1) / max(1, frames - 1))
    start = random.random() * (count - 1 - step * (frames - 1))
    places: NDArray[np.int64] = np.rint(start + step * np.arange(frames)).astype(np.int64)
    return places


def hurried(count: int, frames: int, random: np.random.Generator) -> NDArray[np.int64]:
    """As :func:`dense` in training, but 0.75 to 1.35 times as fast, and an eighth of ``frames`` early or late at most.

    What is before the clip or after it is its first or last frame.
    """
    speed = np.exp(random.uniform(np.log(_SLOWEST), np.log(_FASTEST)))
    seen = dense(count, frames, random)
    middle = (seen[0] + seen[-1]) / 2 + random.uniform(-_EARLY, _EARLY) * frames
    places = middle + speed * (np.arange(frames) - (frames - 1) / 2)
    kept: NDArray[np.int64] = np.clip(np.rint(places), 0, count - 1).astype(np.int64)
    return kept


def pick(way: str, count: int, frames: int, random: np.random.Generator | None = None) -> NDArray[np.int64]:
    """Indices [frames] into a clip of ``count`` frames, never falling."""
    return (segments if way == "segments" else dense)(count, frames, random)
