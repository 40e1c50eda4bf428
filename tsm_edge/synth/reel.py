"""Several gestures in one take, as somebody before a camera makes them: what `tsm-edge demo` shows without a camera.

For each gesture the hand comes in from below, waits, makes it, waits and goes down again, so that the way back is not
a gesture of its own. Scene, camera and light are those of a clip of the split (:mod:`._clip`), for the whole take.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from ..errors import UnknownName
from ..pixels import Pixels
from . import camera
from ._clip import Floats, Random, draw_frame, draw_scene
from .families import family
from .motion import MOVES, Timing, Track, eased

#: seconds: until the hand is there, until the gesture begins, from its end until the hand goes, and without a hand
COMES, WAITS, STAYS, AWAY = 0.8, 0.9, 0.7, 0.6
_BELOW = 1.1  # how far down an unseen hand is, in sides of the frame


@dataclass(frozen=True)
class Cue:
    """A gesture of the take: its label, and when it is made, in seconds from the first frame."""

    label: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Reel:
    """``frames``: uint8 [T, size, size, 3] RGB, ``rate_fps`` of them a second. ``cues`` in the order of time."""

    frames: Pixels
    rate_fps: float
    cues: tuple[Cue, ...]


def render_reel(
    split: str, seed: int, labels: Sequence[str], *, size: int = 320, rate_fps: float = 24.0
) -> Reel:
    """Draw the gestures one after the other. Same arguments, same bytes.

    size: side of the frames in pixels. Gestures take 0.6 to 0.8 seconds, shaking twice as long.

    Raises:
        UnknownName: there is no such split or label.
    """
    kind = family(split)
    random = np.random.Generator(np.random.PCG64([seed, zlib.crc32(f"reel {split}".encode())]))
    parts, cues, begin = [], [], AWAY
    for label in labels:
        if label not in MOVES:
            raise UnknownName.of("label", label, MOVES)
        duration = random.uniform(0.6, 0.8) * (2 if label == "Shaking Hand" else 1)
        length = COMES + WAITS + duration + STAYS + COMES + AWAY
        times = np.arange(round(length * rate_fps)) / rate_fps
        parts.append(_visit(random, label, times, duration))
        start = begin + COMES + WAITS
        cues.append(Cue(label, round(start, 3), round(start + duration, 3)))
        begin += len(times) / rate_fps
    idle = _unseen(parts[0], round(AWAY * rate_fps))
    track = _joined([idle, *parts])
    times = np.arange(len(track.x)) / rate_fps
    scene = draw_scene(random, kind, track, size, quiet=False)
    view = camera.shake(random, times, kind.clutter)
    drawn = [draw_frame(scene, track, view, times, at, size) for at in range(len(times))]
    return Reel(camera.develop(random, drawn, times, kind.clutter), rate_fps, tuple(cues))


def _visit(random: Random, label: str, times: Floats, duration: float) -> Track:
    """The hand's whole visit: the gesture's own track, which rests before and after; it comes from below, leaning, and
    goes there again.
    """
    start = COMES + WAITS
    track = MOVES[label](random, Timing(times, start, duration, 1.4))
    leaves = start + duration + STAYS
    below = eased(times, np.array([0, COMES, leaves, leaves + COMES]), np.array([1.0, 0, 0, 1]))
    side, lean = random.uniform(-0.35, 0.35), random.uniform(-0.9, 0.9)
    return track.moved(x=side * below, y=_BELOW * below, angle=lean * below)


def _unseen(track: Track, count: int) -> Track:
    """The first pose of a track for ``count`` frames."""
    return Track(**{each.name: np.repeat(getattr(track, each.name)[:1], count) for each in fields(Track)})


def _joined(tracks: Sequence[Track]) -> Track:
    return Track(
        **{each.name: np.concatenate([getattr(part, each.name) for part in tracks]) for each in fields(Track)}
    )
