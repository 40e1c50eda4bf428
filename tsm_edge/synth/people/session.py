"""Clips of one person in one sitting, as somebody records them: clothes, room, light and camera are those of the first.

A clip is two seconds cut around its gesture, which is what `tsm-edge record` leaves. Sessions of the same person differ
in all but body, skin, hair and what is on the head.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...errors import UnknownName
from . import bodies
from .performance import perform
from .scene import FAMILIES, FRAMES, Clock, Floats, Random, Staging, Take, filmed, hand_places

SECONDS, RATE_FPS = 2.0, 12.0
_EARLY = 0.2  # seconds that a cut is off the middle of its gesture, at most
_OF_A_CLIP = ("movement", "bystander")
_REHEARSED = 24  # gestures that the camera is put up for


@dataclass(frozen=True)
class Session:
    """Sitting ``number`` of the person with ``body``, in the family of a split.

    Raises:
        UnknownName: there is no such split, or the family has no such body.
    """

    split: str
    body: int
    number: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.split not in FAMILIES:
            raise UnknownName.of("split", self.split, FAMILIES)
        known = bodies.MEMBERS[FAMILIES[self.split].members]
        if self.body not in known:
            raise UnknownName.of("body", str(self.body), [str(each) for each in known])

    def clip(self, label: str, index: int, *, size: int = 110) -> Take:
        """Clip ``index`` of a label, by Jester's name. Same arguments, same bytes.

        Raises:
            UnknownName: there is no such label.
            ExtraMissing: there is no C compiler.
        """
        family = FAMILIES[self.split]
        begins = np.arange(FRAMES) / RATE_FPS
        clock = Clock.of(begins, self._random("sensor").uniform(0.1, 0.95) / RATE_FPS)

        def dice(what: str) -> Random:
            return self._random(what, zlib.crc32(label.encode()), index) if what in _OF_A_CLIP else self._random(what)

        take = filmed(dice, family, label, clock, size, Staging(self.body, self._posture, self._places))
        return _cut(take, self._random("cut", zlib.crc32(label.encode()), index))

    def _random(self, what: str, *more: int) -> Random:
        """A generator for one thing, always the same; a person's own things are the same in all sessions."""
        number = -1 if what == "person" else self.number
        words = (self.seed, zlib.crc32(self.split.encode()), zlib.crc32(what.encode()), self.body, number + 1, *more)
        return np.random.Generator(np.random.PCG64(words))

    @cached_property
    def _posture(self) -> str:
        return "sitting" if self._random("posture").random() < 0.65 else "standing"

    @cached_property
    def _places(self) -> Floats:
        """Where the hands of this person are in gestures, for a camera that is put up once."""
        skeleton, random = bodies.load().skeleton(self.body), self._random("rehearsal")
        times = np.arange(FRAMES) / RATE_FPS
        found = []
        for _ in range(_REHEARSED):
            family = FAMILIES[self.split].members
            shown = perform(random, skeleton, "Stop Sign", times, family, posture=self._posture)
            bones = skeleton.posed(shown.rotations, shown.root_rotation, shown.root_shift)
            found.append(hand_places(shown, skeleton, bones))
        return np.concatenate(found)


def _cut(take: Take, random: Random) -> Take:
    """Two seconds about the middle of the gesture; of a quiet take about its own."""
    count = round(SECONDS * RATE_FPS)
    middle = (take.cues[0][1] + take.cues[-1][2]) / 2 if take.cues else len(take.frames) / 2
    first = round(middle - count / 2 + random.uniform(-_EARLY, _EARLY) * RATE_FPS)
    first = min(max(first, 0), len(take.frames) - count)
    cues = tuple(
        (label, max(begin - first, 0), min(end - first, count)) for label, begin, end in take.cues
    )
    return Take(take.frames[first : first + count], take.label, cues)
