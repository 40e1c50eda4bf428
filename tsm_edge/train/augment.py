"""One training example from a stored clip or take: frames picked, cropped, mirrored with its label, recoloured.

Every example has its own random numbers, from (seed, epoch, index), so it does not matter who draws it or when.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..pixels import Pixels, saturated
from . import frame_targets, sampling, strong
from .frame_targets import Targets, Weights
from .store import Cue


@dataclass(frozen=True)
class Augment:
    """What may happen to a clip or a take.

    size: side of the network's input. mirrored: label after mirroring, for each label; empty for never. reversed_:
    label after playing backwards, -1 where a clip may not be reversed; empty for never. strength: 0 none .. 1 usual ..
    2 all of :mod:`.strong`. take_frames: of a take that are seen. hurried: whether clips are played faster and slower.
    """

    size: int
    frames: int
    way: str
    mirrored: tuple[int, ...]
    reversed_: tuple[int, ...]
    strength: float = 1.0
    take_frames: int = 24
    hurried: bool = False

    def __call__(self, clip: Pixels, label: int, random: np.random.Generator) -> tuple[Pixels, int]:
        """uint8 [F, side, side, 3] RGB and a label -> uint8 [frames, size, size, 3] and the label it now has."""
        if self.hurried:
            clip = clip[sampling.hurried(len(clip), self.frames, random)]
        else:
            clip = clip[sampling.pick(self.way, len(clip), self.frames, random)]
        if self.reversed_ and self.reversed_[label] >= 0 and random.random() < 0.5:
            clip, label = clip[::-1], self.reversed_[label]
        clip, flipped = self._seen(clip, random)
        return clip, self.mirrored[label] if flipped else label

    def take(
        self, clip: Pixels, label: int, cues: tuple[Cue, ...], frames: int, random: np.random.Generator
    ) -> tuple[Pixels, Targets, Weights]:
        """The same of a take: ``frames`` successive frames of it, somewhere, with a target and a weight for each.

        Above strength 1 it is also played slower or faster, by nearest frames.
        """
        backwards = frame_targets.backwards(cues, len(clip), self.reversed_) if self.reversed_ else None
        if backwards is not None and (cues or self.reversed_[label] >= 0) and random.random() < 0.5:
            clip, cues = clip[::-1], backwards
        targets, weights = frame_targets.of_take(label, cues, len(clip))
        picked = sampling.window(len(clip), frames, strong.speed(random, self.strength), random)
        clip, flipped = self._seen(clip[picked], random)
        targets, weights = targets[picked], weights[picked]
        if flipped:
            known = targets >= 0
            targets[known] = np.asarray(self.mirrored)[targets[known]]
        return clip, targets, weights

    def _seen(self, clip: Pixels, random: np.random.Generator) -> tuple[Pixels, bool]:
        """Every frame cropped, mirrored or not, recoloured, all alike; and whether it is mirrored."""
        if self.strength > 1:
            clip = strong.warp(clip, self.size, random, self.strength)
        else:
            clip = crop(clip, self.size, random, self.strength)
        flipped = bool(self.mirrored) and random.random() < 0.5
        if flipped:
            clip = clip[:, :, ::-1]
        if self.strength > 1:
            return strong.recolour(clip, random, self.strength), flipped
        return recolour(clip, random, self.strength), flipped


def crop(clip: Pixels, size: int, random: np.random.Generator, strength: float = 1.0) -> Pixels:
    """Cut the same random part out of every frame (at least 3/4 of the side) and scale it to ``size``."""
    import cv2

    side = clip.shape[1]
    least = min(side, round(side * (0.875 - 0.125 * strength)))
    part = int(random.integers(least, side + 1))
    top, left = random.integers(0, side - part + 1, 2)
    view = clip[:, top : top + part, left : left + part]
    if part == size:
        return view
    way = cv2.INTER_AREA if part > size else cv2.INTER_LINEAR
    return np.stack([cv2.resize(frame, (size, size), interpolation=way) for frame in view])


def recolour(clip: Pixels, random: np.random.Generator, strength: float = 1.0) -> Pixels:
    """Gain, offset and tint, the same for every frame of the clip."""
    import cv2

    gain = np.exp(random.uniform(-0.3, 0.3) * strength + random.uniform(-0.1, 0.1, 3) * strength)
    offset = random.uniform(-25, 25) * strength
    tables = saturated(np.arange(256)[:, None] * gain + offset)
    if random.random() < 0.1 * strength:
        tables = tables[:, random.permutation(3)]
    flat = np.ascontiguousarray(clip).reshape(-1, clip.shape[2], 3)
    return np.asarray(cv2.LUT(flat, tables[None])).reshape(clip.shape)
