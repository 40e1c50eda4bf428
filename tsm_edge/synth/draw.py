"""One clip or take of any split, as everything that is written is made of."""

from __future__ import annotations

from dataclasses import dataclass

from ..pixels import Pixels
from . import _clip, families
from .people import scene

#: splits of shapes that move, and of people
SPLITS = (*families.SPLITS, *scene.FAMILIES)


@dataclass(frozen=True)
class Drawn:
    """Clip ``index`` of a split. ``frames``: uint8 [T, size, size, 3] RGB. ``cues``: (label, begin, end) in frames of a
    take; empty for a clip that is one gesture from its first frame to its last, or none.
    """

    index: int
    frames: Pixels
    cues: tuple[tuple[str, int, int], ...] = ()


def draw(split: str, seed: int, index: int, size: int, frames: int) -> Drawn:
    """Draw a clip. Same arguments, same bytes.

    Raises:
        UnknownName: there is no such split.
        ExtraMissing: people take a C compiler.
    """
    if split in scene.FAMILIES:
        take = scene.render_take(split, seed, index, size=size, frames=frames)
        return Drawn(index, take.frames, take.cues)
    return Drawn(index, _clip.render(split, seed, index, size=size, frames=frames).frames)


def usual_frames(split: str) -> int:
    """How many frames a clip of a split has where nothing is said."""
    return scene.FRAMES if split in scene.FAMILIES else _clip.FRAMES


def surfaces(split: str) -> families.Family:
    """What walls, fabrics and photographs of a split are drawn from."""
    return scene.FAMILIES[split].surfaces if split in scene.FAMILIES else families.family(split)
