"""What a moving person is described by before bones turn: channels of hands and trunk, and how they follow each other.

A hand is float64 [28]: the wrist's place (out, up, forward; see :mod:`.arms`), roll, tilt, lean and yaw of the hand
and the elbow's swivel in degrees, and the twenty numbers of :mod:`.fingers`. A path gives them [T, 28] for any seconds
[T] since the beginning of an act. The trunk is float64 [11], :data:`TRUNK`. All movement is a function of continuous
time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from .arms import Arm, arm_of, hand_directions
from .fingers import SHAPES, SIZE, personal
from .skeleton import Floats, Skeleton

Random = np.random.Generator
Path = Callable[[Floats], Floats]

#: the trunk's channels: degrees forwards, to the left, turned left, of the whole trunk; the head's nod, turn and tip on
#: top of that; metres of the whole body; degrees that it is turned; 0 standing to 1 sitting
TRUNK = ("bend", "side", "twist", "nod", "turn", "tip", "x", "y", "z", "yaw", "sit")
ROLL, TILT, LEAN, YAW, ELBOW = 3, 4, 5, 6, 7
FINGERS = slice(8, 8 + SIZE)


@dataclass(frozen=True)
class Act:
    """Something that hands and trunk do for ``duration`` seconds; ``trunk`` adds to how the person sits."""

    duration: float
    hands: Mapping[str, Path]
    trunk: Path | None = None


@dataclass(frozen=True)
class Body:
    """A skeleton and the measures of it that movement needs."""

    skeleton: Skeleton
    arms: Mapping[str, Arm] = field(default_factory=dict)

    @staticmethod
    def of(skeleton: Skeleton) -> Body:
        return Body(skeleton, {side: arm_of(skeleton, side) for side in "LR"})

    def face(self, side: str, out: float, up: float, forward: float) -> Floats:
        """A place about the head, metres [3]: offsets from between the eyes in distances between them (6 cm)."""
        left, right = self.skeleton.head("eye.L"), self.skeleton.head("eye.R")
        scale, sign = float(np.linalg.norm(left - right)), self.arms[side].sign
        return (left + right) / 2 + scale * np.array([sign * out, up, forward])

    def chest(self, side: str, out: float, up: float, forward: float) -> Floats:
        """A place about the breastbone, metres [3]: offsets in metres from the root of the neck."""
        sign = self.arms[side].sign
        offset: Floats = np.array([sign * out, up, forward])
        return self.skeleton.head("neck01") + offset

    def touching(
        self, side: str, place: Floats, angles: Sequence[float] | Floats, reach: float = 0.85
    ) -> Floats:
        """The wrist [3], in the side's own axes, with the fingers at a place (metres); ``reach``: lengths of a hand."""
        arm = self.arms[side]
        finger, _ = hand_directions(arm.sign, np.radians(angles))
        tip = self.skeleton.head(f"finger3-3.{side}") - arm.wrist
        return arm.relative(place - reach * 1.15 * float(np.linalg.norm(tip)) * finger)


def hand(
    at: Sequence[float] | Floats,
    angles: Sequence[float] | Floats = (0, 0, 0, 0),
    elbow: float = 20.0,
    shape: str | Floats = "relaxed",
) -> Floats:
    """The channels [28] of a hand that is held still."""
    fingers = SHAPES[shape] if isinstance(shape, str) else shape
    return np.concatenate([np.asarray(at, float), np.asarray(angles, float), [elbow], fingers])


def shaped(random: Random, name: str, amount: float = 1.0) -> Floats:
    """A named shape as somebody makes it."""
    return personal(random, SHAPES[name], amount)


def still(channels: Floats) -> Path:
    """A path that stays."""
    return lambda times: np.broadcast_to(channels, (len(times), len(channels)))


def trunk(**channels: float) -> Floats:
    """Channels of the trunk [11] by name, others zero."""
    return np.array([channels.get(name, 0.0) for name in TRUNK])


@dataclass(frozen=True)
class Ease:
    """How somebody speeds up and slows down: "jerk", "sigmoid" or "trapezoid"; a ``skew`` above 1 starts late."""

    kind: str = "jerk"
    skew: float = 1.0
    ramp: float = 0.35

    def __call__(self, share: Floats) -> Floats:
        """The part of the way that is done, for the part of the time that is gone, both 0..1."""
        gone = np.clip(share, 0, 1) ** self.skew
        if self.kind == "sigmoid":
            steep = 1.0 / self.ramp
            done: Floats = 0.5 + 0.5 * np.tanh(steep * (2 * gone - 1)) / np.tanh(steep)
            return done
        if self.kind == "trapezoid":  # the speed rises, stays, falls
            top, ramp = 1 / (1 - self.ramp), self.ramp
            rising = top * gone**2 / (2 * ramp)
            falling = 1 - top * (1 - gone) ** 2 / (2 * ramp)
            return np.where(gone < ramp, rising, np.where(gone > 1 - ramp, falling, top * (gone - ramp / 2)))
        return gone**3 * (10 - 15 * gone + 6 * gone**2)


@dataclass(frozen=True)
class Layer:
    """From ``begin`` to ``end``, seconds, what was before gives way to a path, whose own time begins at ``zero``."""

    begin: float
    end: float
    path: Path
    zero: float = 0.0


def layered(times: Floats, first: Floats, layers: Sequence[Layer], ease: Ease) -> Floats:
    """Channels [T, C] of layers one over the other, the first of them a constant [C]."""
    result = np.broadcast_to(first, (len(times), len(first)))
    for layer in layers:
        share = ease((times - layer.begin) / max(layer.end - layer.begin, 1e-3))[:, None]
        result = result + (layer.path(times - layer.zero) - result) * share
    return result


def keyed(knots: Sequence[float], values: Sequence[Floats], ease: Ease | None = None) -> Path:
    """A path through values [C] at knots (seconds), slow at each."""
    eased, ends, poses = ease or Ease(), np.asarray(knots, float), np.asarray(values, float)

    def path(times: Floats) -> Floats:
        at = np.clip(np.searchsorted(ends, times, side="right") - 1, 0, len(ends) - 2)
        share = eased((times - ends[at]) / (ends[at + 1] - ends[at]))[:, None]
        reached: Floats = poses[at] + (poses[at + 1] - poses[at]) * share
        return reached

    return path


def sway(random: Random, times: Floats, amounts: Floats) -> Floats:
    """Slow, small, aperiodic movement [T, C] of the given sizes [C]: three sines of unrelated frequencies."""
    count = len(amounts)
    rates = random.uniform((0.15, 0.5, 1.2), (0.45, 1.1, 2.6), (count, 3))
    phases = random.uniform(0, 2 * np.pi, (count, 3))
    waves = np.sin(2 * np.pi * rates * times[:, None, None] + phases) @ np.array([0.65, 0.3, 0.12])
    scaled: Floats = waves * amounts * random.uniform(0.3, 1.4)
    return scaled


def spread(random: Random, family: str, low: float, high: float) -> float:
    """A number of a range: evenly for "train", about the middle for "dev", about the ends and past them for "test"."""
    if family == "train":
        share = random.random()
    elif family == "dev":
        share = random.beta(2, 2)
    else:
        share = -0.08 + 1.16 * random.beta(0.6, 0.6)
    return float(low + (high - low) * share)
