"""Jester's other gestures by their names: two fingers, pushing and pulling, rolling, thumbs, stop sign, drumming."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .gestures import Style, between, for_left, sideways, upwards
from .poses import FINGERS, Act, Path, Random, hand, shaped, spread
from .skeleton import Floats

_Angles = tuple[float, float, float, float]


def _fingers(random: Random, style: Style) -> Style:
    """The style with index and middle finger stretched, smaller."""
    shape = shaped(random, "two" if random.random() < 0.6 else "vee")
    return replace(style, shape=shape, amount=0.75 * style.amount)


def _along(random: Random, style: Style, away: bool) -> Act:
    """Towards the camera or from it, the palm at the camera (mostly when pushed away) or at the person."""
    duration = spread(random, style.family, 0.35, 0.9)
    near = np.array([style.place[0] * 0.7, style.place[1], random.uniform(0.36, 0.5)])
    far = near + [
        random.uniform(-0.06, 0.06),
        random.uniform(-0.06, 0.1),
        style.amount * random.uniform(0.25, 0.42),
    ]
    palm = 0.0 if random.random() < (0.9 if away else 0.35) else 165.0
    angles = np.array([palm, random.uniform(-5, 40), 0, 0]) + random.normal(0, 10, 4)
    poses = [hand(at, angles + random.normal(0, 6, 4), style.elbow, style.shape) for at in (near, far)]
    first, last = poses if away else poses[::-1]
    return Act(duration, {style.side: between(style, duration, first, last)})


def _pinch(random: Random, style: Style, opens: bool) -> Act:
    """Thumb and index finger apart, or together."""
    duration = spread(random, style.family, 0.35, 1.0)
    angles = np.array([random.uniform(0, 70), random.uniform(0, 45), random.uniform(-25, 10), 0])
    poses = [hand(style.place, angles, style.elbow, shaped(random, name)) for name in ("pinch", "apart")]
    first, last = poses if opens else poses[::-1]
    return Act(duration, {style.side: between(style, duration, first, last)})


def _roll(random: Random, style: Style, forward: bool) -> Act:
    """Circles about an axis across the chest, the top of them going forward or back; one hand, or both in turn."""
    duration, rate = spread(random, style.family, 1.0, 2.0), spread(random, style.family, 1.1, 2.4)
    radius = style.amount * random.uniform(0.07, 0.14)
    centre = np.array([random.uniform(-0.3, -0.12), random.uniform(-0.35, -0.08), random.uniform(0.5, 0.62)])
    base = hand(centre, np.array([125, 20, -68, 0]) + random.normal(0, 10, 4), style.elbow + 8, style.shape)
    start, sense = random.uniform(0, 2 * np.pi), 1.0 if forward else -1.0

    def circles(lag: float) -> Path:
        def path(times: Floats) -> Floats:
            turn = start + lag + sense * 2 * np.pi * rate * np.clip(times, 0, duration)
            result = np.tile(base, (len(times), 1))
            result[:, 1] += radius * np.cos(turn)
            result[:, 2] += radius * np.sin(turn)
            result[:, 4] += 18 * np.sin(turn - 0.6)
            return result

        return path

    both = random.random() < 0.5
    other = "R" if style.side == "L" else "L"
    return Act(duration, {style.side: circles(0.0)} | ({other: circles(np.pi)} if both else {}))


def _held(random: Random, style: Style, shape: str, angles: _Angles, elbow: float, at: Floats) -> Act:
    """A sign that is shown: pushed a little towards the camera or up, and held."""
    duration = spread(random, style.family, 0.5, 1.4)
    turned = np.array(angles) + random.normal(0, 8, 4)
    last = hand(at, turned, elbow + random.normal(0, 6), shaped(random, shape))
    first = last.copy()
    first[:3] -= random.uniform((-0.03, 0.0, 0.0), (0.03, 0.14, 0.14))
    first[FINGERS] += random.uniform(0, 0.5) * (shaped(random, "relaxed") - last[FINGERS])
    return Act(duration, {style.side: between(style, min(0.35, duration), first, last)})


def _thumb(random: Random, style: Style, up: bool) -> Act:
    at = style.place * [0.8, 1, 1] + [0, -0.1 if up else 0.05, 0]
    if up:
        return _held(random, style, "thumb", (90, 70, -5, -35), style.elbow, at)
    return _held(random, style, "thumb", (-62, 70, 0, -62), 78, at)


def _stop(random: Random, style: Style) -> Act:
    at = style.place * [0.7, 1, 1] + [0, 0.02, 0.12]
    return _held(random, style, str(random.choice(("flat", "open"))), (2, -4, 0, 0), style.elbow, at)


def _drum(random: Random, style: Style) -> Act:
    """The fingers beat one after the other, the hand flat or before the camera."""
    duration, rate = spread(random, style.family, 0.9, 2.0), spread(random, style.family, 2.0, 4.5)
    angles = np.array([5, 78, -5, -10]) + random.normal(0, 10, 4)
    base = hand(style.place + [0, -0.12, 0], angles, style.elbow + 10, shaped(random, "typing"))
    phases = np.array([0, 0.0, 1.3, 2.6, 3.9]) * random.choice((-1.0, 1.0))
    size = np.array([0.2, 1, 1, 1, 1]) * random.uniform(10, 22)

    def path(times: Floats) -> Floats:
        strength = np.clip(times / 0.15, 0, 1) * np.clip((duration - times) / 0.15, 0, 1)
        waves = strength[:, None] * np.sin(2 * np.pi * rate * times[:, None] + phases)
        result = np.tile(base, (len(times), 1))
        result[:, FINGERS] += (size * waves)[:, :, None].repeat(4, axis=2).reshape(-1, 20) * np.tile(
            [1, 0, 0.4, 0.2], 5
        )
        return result

    return Act(duration, {style.side: path})


def _two(move: Callable[[Random, Style], Act]) -> Callable[[Random, Style], Act]:
    """A movement made with two fingers."""
    return lambda random, style: move(random, _fingers(random, style))


def _with(move: Callable[[Random, Style, bool], Act], sense: bool) -> Callable[[Random, Style], Act]:
    return lambda random, style: move(random, style, sense)


#: label -> how it is made
FURTHER: dict[str, Callable[[Random, Style], Act]] = {
    "Drumming Fingers": _drum,
    "Pulling Hand In": _with(_along, False),
    "Pulling Two Fingers In": _two(_with(_along, False)),
    "Pushing Hand Away": _with(_along, True),
    "Pushing Two Fingers Away": _two(_with(_along, True)),
    "Rolling Hand Backward": _with(_roll, False),
    "Rolling Hand Forward": _with(_roll, True),
    "Sliding Two Fingers Down": _two(_with(upwards, False)),
    "Sliding Two Fingers Left": _two(for_left(sideways, True)),
    "Sliding Two Fingers Right": _two(for_left(sideways, False)),
    "Sliding Two Fingers Up": _two(_with(upwards, True)),
    "Stop Sign": _stop,
    "Thumb Down": _with(_thumb, False),
    "Thumb Up": _with(_thumb, True),
    "Zooming In With Two Fingers": _with(_pinch, True),
    "Zooming Out With Two Fingers": _with(_pinch, False),
}
