"""How each class moves: pure functions from random numbers to the path of one foreground.

Units: the side of the frame is 1, the centre is (0, 0), x grows to the right and y grows down, so a growing angle turns
clockwise in the picture. Time is in seconds. Nothing here draws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Random = np.random.Generator

#: nominal frames a second, those of Jester
RATE_FPS = 12.0


@dataclass(frozen=True)
class Track:
    """Where the foreground is at each time, all float64 [T].

    angle: radians, growing clockwise in the picture. size: height of the shape. openness: 0 a fist, 1 a spread hand.
    """

    x: Floats
    y: Floats
    angle: Floats
    size: Floats
    openness: Floats

    def moved(self, **changes: Floats) -> Track:
        """Return the track with the given offsets added; ``size`` is a factor."""
        return replace(
            self,
            **{
                name: getattr(self, name) * value if name == "size" else getattr(self, name) + value
                for name, value in changes.items()
            },
        )


@dataclass(frozen=True)
class Timing:
    """When the gesture of a clip happens: ``start`` and ``duration`` in seconds, ``times`` [T] of the frames."""

    times: Floats
    start: float
    duration: float
    sharpness: float

    @property
    def progress(self) -> Floats:
        """How much of the gesture is done, 0..1 [T]; slow at both ends when ``sharpness`` is above 1."""
        linear = np.clip((self.times - self.start) / self.duration, 0, 1)
        powered = linear**self.sharpness
        return powered / (powered + (1 - linear) ** self.sharpness)


def draw_timing(random: Random, durations: Sequence[tuple[float, float]], frames: int) -> Timing:
    """Frame times at a rate that is not quite the nominal one, and a gesture about the middle of the clip.

    durations: ranges of the gesture's length, in lengths of the clip; above 1 its ends are not seen. Its middle is as
    often before the clip's as after: else its last pose would be held longer than its first, and a still frame would
    tell which of two opposite gestures it is from.
    """
    rate = RATE_FPS * random.uniform(0.88, 1.14)
    times = (np.arange(frames) + random.uniform(-0.12, 0.12, frames)) / rate
    length = (frames - 1) / rate
    duration = random.uniform(*durations[int(random.integers(len(durations)))]) * length
    start = random.uniform(0.44, 0.56) * length - duration / 2
    return Timing(times, start, duration, random.uniform(1.0, 1.8))


def resting(random: Random, times: Floats) -> Track:
    """A foreground that is held still, somewhere, somehow turned, with the sway of a hand in the air."""
    zeros = np.zeros_like(times)
    return Track(
        x=random.uniform(-0.22, 0.22) + sway(random, times, 0.012),
        y=random.uniform(-0.2, 0.2) + sway(random, times, 0.012),
        angle=random.uniform(-0.6, 0.6) + sway(random, times, 0.04),
        size=np.exp(np.log(random.uniform(0.3, 0.62)) + sway(random, times, 0.02)),
        openness=np.clip(random.uniform(-0.2, 1.2) + sway(random, times, 0.05), 0, 1) + zeros,
    )


def sway(random: Random, times: Floats, amount: float) -> Floats:
    """Slow, small, aperiodic movement: two sines of unrelated frequencies."""
    amount *= random.uniform(0.2, 1.5)
    first, second = random.uniform(0.2, 0.9), random.uniform(0.9, 1.7)
    phases = random.uniform(0, 2 * np.pi, 2)
    slow: Floats = np.sin(2 * np.pi * first * times + phases[0])
    fast: Floats = np.sin(2 * np.pi * second * times + phases[1])
    return amount * (0.7 * slow + 0.3 * fast)


def swipe(random: Random, timing: Timing, direction: float) -> Track:
    """A stroke towards ``direction`` (radians in the picture), bent a little, as an arm moves about its elbow."""
    rest, at = resting(random, timing.times), timing.progress - 0.5
    heading = direction + random.uniform(-0.3, 0.3)
    length, bend = random.uniform(0.38, 0.85), random.uniform(-0.15, 0.15)
    along, across = length * at, bend * (0.25 - at**2)
    return rest.moved(
        x=along * np.cos(heading) - across * np.sin(heading) - 0.4 * rest.x.mean() * abs(np.cos(direction)),
        y=along * np.sin(heading) + across * np.cos(heading) - 0.4 * rest.y.mean() * abs(np.sin(direction)),
        angle=random.uniform(-0.45, 0.45) * at,
        size=np.exp(random.uniform(-0.2, 0.2) * at),
    )


def zoom(random: Random, timing: Timing, sense: float) -> Track:
    """The hand opens and comes closer (sense 1), or closes and goes away (sense -1)."""
    rest, at = resting(random, timing.times), sense * (timing.progress - 0.5)
    ratio = np.log(random.uniform(1.6, 2.6))
    drift = random.uniform(-0.08, 0.08, 2)
    opened = np.clip(random.uniform(0.7, 1.3) * at + 0.5, 0, 1)
    track = rest.moved(
        x=drift[0] * at, y=drift[1] * at, angle=random.uniform(-0.25, 0.25) * at, size=np.exp(ratio * at)
    )
    return replace(track, openness=opened)


def turn(random: Random, timing: Timing, sense: float) -> Track:
    """The hand turns in the plane of the picture, clockwise in the picture for sense 1."""
    rest, at = resting(random, timing.times), sense * (timing.progress - 0.5)
    drift = random.uniform(-0.07, 0.07, 2)
    return rest.moved(
        x=drift[0] * at,
        y=drift[1] * at,
        angle=random.uniform(1.2, 2.8) * at,
        size=np.exp(random.uniform(-0.15, 0.15) * at),
    )


def shake(random: Random, timing: Timing) -> Track:
    """To and fro, sideways or about the wrist or both, until the clip ends or the gesture does."""
    rest, times = resting(random, timing.times), timing.times
    wave = np.sin(2 * np.pi * random.uniform(1.9, 3.4) * times + random.uniform(0, 2 * np.pi))
    wave = wave * np.clip((times - timing.start + 0.15) / 0.15, 0, 1)
    axis, amount = random.uniform(-0.5, 0.5), random.uniform(0.06, 0.17)
    tilt = random.uniform(0.0, 0.5) * random.choice((-1.0, 1.0))
    if random.random() < 0.25:  # the wrist alone
        amount, tilt = 0.25 * amount, np.sign(tilt) * random.uniform(0.35, 0.6)
    return rest.moved(x=amount * np.cos(axis) * wave, y=amount * np.sin(axis) * wave, angle=tilt * wave)


def other(random: Random, timing: Timing) -> Track:
    """Anything else: strokes that change direction, entering or leaving the picture, fingers that move."""
    kind = random.choice(3, p=(0.55, 0.3, 0.15))
    if kind == 0:
        return strokes(random, timing.times)
    return passing(random, timing) if kind == 1 else fidget(random, timing.times)


def strokes(random: Random, times: Floats) -> Track:
    """Two or more strokes of a fifth to half a second; each turns away from the last one and also turns the hand."""
    rest = resting(random, times)
    knots, ends = [np.zeros(4)], [times[0] - random.uniform(0, 0.2)]
    heading = random.uniform(0, 2 * np.pi)
    while ends[-1] < times[-1]:
        length, ends_at = random.uniform(0.12, 0.4), ends[-1] + random.uniform(0.18, 0.42)
        step = np.array([length * np.cos(heading), length * np.sin(heading), *random.normal(0, (0.5, 0.2))])
        place = knots[-1] + step
        place[:2] = np.clip(place[:2], -0.35, 0.35)
        knots.append(place)
        ends.append(ends_at)
        heading += random.choice((-1, 1)) * random.uniform(1.0, 2.6)
    path = np.array([eased(times, np.array(ends), np.array(knots)[:, axis]) for axis in range(4)])
    wiggle = 0.5 + 0.5 * np.sin(2 * np.pi * random.uniform(0.3, 1.2) * times + random.uniform(0, 6.3))
    openness = wiggle if random.random() < 0.5 else rest.openness
    track = rest.moved(x=path[0], y=path[1], angle=path[2], size=np.exp(path[3]))
    return replace(track, openness=openness)


def passing(random: Random, timing: Timing) -> Track:
    """Into the picture from outside, or out of it, along a slanted and bent way while turning."""
    rest = resting(random, timing.times)
    side = random.choice((0.25, 0.5, 0.75)) * np.pi + random.uniform(
        -0.2, 0.2
    )  # mostly from below, as arms do
    side = side if random.random() < 0.7 else random.uniform(0, 2 * np.pi)
    inside = 1 - timing.progress if random.random() < 0.5 else timing.progress
    away, bend = 0.95 * (1 - inside), random.uniform(-0.5, 0.5) * inside * (1 - inside)
    return rest.moved(
        x=away * np.cos(side) - bend * np.sin(side),
        y=away * np.sin(side) + bend * np.cos(side),
        angle=random.uniform(-1.2, 1.2) * inside,
    )


def fidget(random: Random, times: Floats) -> Track:
    """In place: the fingers open and close again and the hand turns and drifts, without a beat."""
    rest = resting(random, times)
    phases, rates = random.uniform(0, 2 * np.pi, 3), random.uniform(0.9, 1.8, 3) * (1.0, 0.8, 0.6)
    waves = np.sin(2 * np.pi * rates[:, None] * (times + 0.15 * times**2) + phases[:, None])
    track = rest.moved(
        x=random.uniform(0.02, 0.09) * waves[1],
        y=random.uniform(0.02, 0.09) * waves[2],
        angle=random.uniform(0.1, 0.35) * waves[1] * waves[2],
        size=np.exp(random.uniform(0.05, 0.25) * waves[0]),
    )
    return replace(track, openness=0.5 + 0.5 * waves[0])


def eased(times: Floats, knots: Floats, values: Floats) -> Floats:
    """Go through ``values`` at ``knots`` with zero speed at each, as strokes of a hand do."""
    at = np.clip(np.searchsorted(knots, times, side="right") - 1, 0, len(knots) - 2)
    share = np.clip((times - knots[at]) / (knots[at + 1] - knots[at]), 0, 1)
    return values[at] + (values[at + 1] - values[at]) * share**2 * (3 - 2 * share)


#: label -> how it moves; the directions are those of the picture, the labels are the person's (see the package)
MOVES: dict[str, Callable[[Random, Timing], Track]] = {
    "Doing other things": other,
    "No gesture": lambda random, timing: resting(random, timing.times),
    "Shaking Hand": shake,
    "Swiping Down": lambda random, timing: swipe(random, timing, np.pi / 2),
    "Swiping Left": lambda random, timing: swipe(random, timing, 0.0),
    "Swiping Right": lambda random, timing: swipe(random, timing, np.pi),
    "Swiping Up": lambda random, timing: swipe(random, timing, -np.pi / 2),
    "Turning Hand Clockwise": lambda random, timing: turn(random, timing, -1),
    "Turning Hand Counterclockwise": lambda random, timing: turn(random, timing, 1),
    "Zooming In With Full Hand": lambda random, timing: zoom(random, timing, 1),
    "Zooming Out With Full Hand": lambda random, timing: zoom(random, timing, -1),
}
#: the classes, in the order of the scores
LABELS = tuple(MOVES)
