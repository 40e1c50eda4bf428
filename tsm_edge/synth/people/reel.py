"""Several gestures, each by another person in another room, one after the other: a film to look at and to test with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...errors import UnknownName
from ..motion import LABELS
from ..reel import Cue, Reel
from .scene import render_take

SECONDS = 4.0  # of a person


def render_people_reel(
    split: str, seed: int, labels: Sequence[str], *, size: int = 320, rate_fps: float = 24.0
) -> Reel:
    """Draw the gestures one after the other. Same arguments, same bytes.

    size: side of the frames in pixels.

    Raises:
        UnknownName: there is no such split or label.
        ExtraMissing: there is no C compiler.
    """
    for label in labels:
        if label not in LABELS:
            raise UnknownName.of("label", label, LABELS)
    frames = round(SECONDS * rate_fps)
    parts, cues = [], []
    for at, label in enumerate(labels):
        index = len(LABELS) * at + LABELS.index(label)
        take = render_take(split, seed, index, size=size, frames=frames, rate_fps=rate_fps)
        parts.append(take.frames)
        for name, begin, end in take.cues:
            times = ((at * frames + place) / rate_fps for place in (begin, end))
            cues.append(Cue(name, *(round(time, 3) for time in times)))
    return Reel(np.concatenate(parts), rate_fps, tuple(cues))
