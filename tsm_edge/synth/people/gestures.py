"""The gestures of Jester as people make them: which hand, where, how large, how fast, with what of the arm.

Each is an :class:`.poses.Act`; its path begins with the pose that the hand is raised to and ends with the one it is
held in. Everything is written for a hand that goes inwards or outwards, so one description serves both hands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .arms import POLE_BACK
from .fingers import SHAPES
from .poses import ELBOW, LEAN, ROLL, TILT, YAW, Act, Ease, Path, Random, hand, shaped, spread
from .skeleton import Floats

_UPPER, _FORE = 0.525, 0.475  # of the arm's length: shoulder to elbow, elbow to wrist


@dataclass(frozen=True)
class Style:
    """How somebody makes the gestures of one take.

    side: the hand. amount: size, 1 usual. ease, lag, overshoot: how it speeds up, seconds that the hand is behind the
    forearm, part of the way that it goes too far. place: where the wrist is about the middle of the gesture, in the
    side's own axes. elbow: its swivel in degrees. shape: the joints of the fingers.
    """

    side: str
    family: str
    amount: float
    ease: Ease
    lag: float
    overshoot: float
    place: Floats
    elbow: float
    shape: Floats

    def progress(self, times: Floats, duration: float, lag: float = 0.0) -> Floats:
        """The part of the stroke that is done [T], 0 before it and 1 long after."""
        after = np.clip((times - lag - 0.92 * duration) / 0.28, 0, 1)
        return self.ease((times - lag) / duration) + self.overshoot * np.sin(np.pi * after) ** 2


def draw_style(random: Random, family: str, side: str | None = None) -> Style:
    """A way to make gestures."""
    side = side or ("L" if random.random() < 0.42 else "R")
    kinds = {
        "train": ("jerk", "jerk", "sigmoid"),
        "dev": ("sigmoid", "jerk"),
        "test": ("trapezoid", "sigmoid"),
    }
    ease = Ease(
        str(random.choice(kinds[family])), float(np.exp(random.normal(0, 0.2))), random.uniform(0.3, 0.5)
    )
    name = str(random.choice(("open", "flat", "relaxed", "two"), p=(0.3, 0.34, 0.26, 0.1)))
    shape = shaped(random, name)
    if name in ("open", "flat"):
        shape = shape + random.uniform(0, 0.6) * (SHAPES["relaxed"] - shape)
    place = np.array(
        [
            spread(random, family, -0.42, 0.25),
            spread(random, family, -0.38, 0.28),
            spread(random, family, 0.42, 0.72),
        ]
    )
    if random.random() < 0.14:  # before the face, beside the head, low, or far to the side
        place[:2] = [(-0.3, 0.3), (0.25, 0.4), (0.1, -0.6), (0.55, -0.1)][int(random.integers(4))]
    return Style(
        side,
        family,
        spread(random, family, 0.45, 1.2),
        ease,
        spread(random, family, 0.0, 0.09),
        max(0.0, spread(random, family, -0.04, 0.12)),
        place,
        spread(random, family, 8, 55),
        shape,
    )


def _arc(style: Style, duration: float, ends: Floats, roll: tuple[float, float], drag: Floats) -> Path:
    """A stroke that folds at the elbow.

    ends: [2, 6], at begin and end: tilt, lean and yaw of the forearm in degrees and the way of the elbow (out, up,
    forward) from its place. roll: of the hand at both ends. drag: what the hand's tilt, lean and yaw have on top [3].
    """
    middle = _forearm(ends.mean(axis=0)[None])[0]
    centre = _elbow(style.place - _FORE * middle) - ends[:, 3:].mean(axis=0)

    def path(times: Floats) -> Floats:
        arm, late = (style.progress(times, duration, lag)[:, None] for lag in (0.0, style.lag))
        now, then = (ends[0] + (ends[1] - ends[0]) * each for each in (arm, late))
        result = np.tile(hand((0, 0, 0), shape=style.shape), (len(times), 1))
        _fold(result, centre + now[:, 3:], _forearm(now))
        result[:, ROLL] = roll[0] + (roll[1] - roll[0]) * late[:, 0]
        result[:, TILT : YAW + 1] = then[:, :3] + drag
        return result

    return path


def _elbow(wanted: Floats) -> Floats:
    """A place for an elbow [3] near the one wanted: as far from the shoulder as elbows are, not in the chest."""
    place = np.clip(wanted, (-0.16, -1.0, -0.06), (0.6, -0.1, 0.6))
    result: Floats = _UPPER * place / np.linalg.norm(place)
    return result


def _fold(channels: Floats, elbow: Floats, forearm: Floats) -> None:
    """Write into channels [T, 28] where the wrist is and how the elbow swivels, for places of the elbow and directions
    of the forearm, both [T, 3].
    """
    elbow = _UPPER * elbow / np.linalg.norm(elbow, axis=1, keepdims=True)
    wrist = elbow + _FORE * forearm
    normal = np.cross(wrist, elbow)
    # the swivel's pole (sin s, -cos s, BACK) lies in the plane of shoulder, elbow and wrist, on the elbow's side
    length = np.maximum(np.hypot(normal[:, 0], normal[:, 1]), 1e-6)
    offset = np.arcsin(np.clip(-POLE_BACK * normal[:, 2] / length, -0.95, 0.95))
    first = np.arctan2(normal[:, 1], normal[:, 0]) + offset
    second = first + np.pi - 2 * offset
    square = elbow - wrist * (np.sum(elbow * wrist, 1) / np.sum(wrist**2, 1))[:, None]
    sides = [np.stack([np.sin(s), -np.cos(s), np.full_like(s, POLE_BACK)], 1) for s in (first, second)]
    better = np.sum(sides[0] * square, 1) >= np.sum(sides[1] * square, 1)
    swivel = np.degrees(np.where(better, first, second))
    channels[:, :3] = wrist
    channels[:, ELBOW] = (swivel + 180) % 360 - 180


def _forearm(angles: Floats) -> Floats:
    """The direction [T, 3] of a forearm by its tilt, lean and yaw in degrees [T, 3 or more], in the side's own axes."""
    tilt, lean, yaw = np.radians(angles[:, :3]).T
    up, forward = np.cos(tilt), np.sin(tilt)
    out, up = up * np.sin(lean), up * np.cos(lean)
    return np.stack(
        [out * np.cos(yaw) + forward * np.sin(yaw), up, forward * np.cos(yaw) - out * np.sin(yaw)], -1
    )


def sideways(random: Random, style: Style, outwards: bool) -> Act:
    """A stroke to the side: the forearm stands and leans over, or points forwards and swings, or something between."""
    family, sense = style.family, 1.0 if outwards else -1.0
    duration = spread(random, family, 0.28, 0.62) * (1.5 if random.random() < 0.08 else 1.0)
    half = style.amount * spread(random, family, 28, 52)
    standing = random.random()  # 1: like a windscreen wiper, 0: like a door
    tilt = 75 - 55 * standing + random.uniform(-10, 10)
    middle = random.uniform(-14, 14)
    shift = style.amount * spread(random, family, 0.0, 0.2)
    ends = np.zeros((2, 6))
    for row, end in enumerate((-sense, sense)):
        lean = (middle + end * half) * (0.35 + 0.65 * standing)
        ends[row] = (tilt, lean, (middle + end * half) * (1 - standing), end * shift, 0, 0)
    ends[:, 4] += random.uniform(-0.06, 0.06, 2)
    if outwards:  # from the palm at the person, or the edge, to the palm at the camera
        roll = (random.uniform(50, 150), random.uniform(-5, 85))
    else:
        roll = (random.uniform(20, 110), random.uniform(10, 130))
    if abs(roll[1] - roll[0]) > 100:
        roll = (roll[0], (roll[0] + roll[1]) / 2)
    # the hand trails the forearm's end pose, fingers up or on in the forearm's line
    drag = np.array([-tilt * random.uniform(0, 0.55), random.uniform(-12, 12), random.uniform(-10, 10)])
    return Act(duration, {style.side: _arc(style, duration, ends, roll, drag)})


def upwards(random: Random, style: Style, up: bool) -> Act:
    """A stroke up or down: the forearm folds about the elbow, or it lies before the chest and goes as a whole."""
    family = style.family
    duration = spread(random, family, 0.28, 0.65) * (1.5 if random.random() < 0.08 else 1.0)
    if random.random() < 0.22:
        return _level(random, style, up, duration)
    half = style.amount * spread(random, family, 30, 52)
    middle, side = random.uniform(45, 75), random.uniform(-20, 15)
    lift = style.amount * spread(random, family, 0.0, 0.2)
    low = (middle + half, side, random.uniform(-25, 10), 0.0, -lift, random.uniform(-0.05, 0.05))
    high = (middle - half, side + random.uniform(-12, 12), random.uniform(-25, 10), 0.0, lift, 0.0)
    ends = np.array([low, high] if up else [high, low])
    palm = random.choice((180.0, 0.0, 90.0), p=(0.55, 0.25, 0.2) if up else (0.06, 0.68, 0.26))
    roll = (palm + random.uniform(-35, 35), palm + random.uniform(-35, 35))
    drag = np.array([random.uniform(-25, 20), random.uniform(-10, 10), random.uniform(-10, 10)])
    return Act(duration, {style.side: _arc(style, duration, ends, roll, drag)})


def _level(random: Random, style: Style, up: bool, duration: float) -> Act:
    """Up with the palm up, down with the palm down, the fingers pointing inwards."""
    way = 0.5 * style.amount * spread(random, style.family, 0.4, 0.9)
    middle = style.place * [0.6, 1, 1] + [-0.15, -0.12, 0]
    angles = np.array([240 if up else 95, 5, -72, 0]) + random.uniform(-18, 18, 4)
    ends = [middle + [0, end * way, random.uniform(-0.05, 0.05)] for end in ((-1, 1) if up else (1, -1))]
    poses = [hand(end, angles, style.elbow + 10, style.shape) for end in ends]
    poses[1][ROLL : LEAN + 1] += random.uniform(-15, 15, 3)
    return Act(duration, {style.side: between(style, duration, poses[0], poses[1])})


def between(style: Style, duration: float, first: Floats, last: Floats) -> Path:
    """From one pose to another, the hand and its fingers a little later than the wrist."""

    def path(times: Floats) -> Floats:
        arm, late = (style.progress(times, duration, lag)[:, None] for lag in (0.0, style.lag))
        share: Floats = np.concatenate([np.repeat(arm, 3, axis=1), np.repeat(late, len(first) - 3, axis=1)], axis=1)
        return first + (last - first) * share

    return path


def _turn(random: Random, style: Style, pronate: bool) -> Act:
    """About the forearm, fingers up: from back to palm, the fingertips going outwards, or the reverse."""
    family = style.family
    duration = spread(random, family, 0.4, 1.2)
    angle = spread(random, family, 150, 180) if random.random() < 0.8 else spread(random, family, 90, 150)
    swing = max(spread(random, family, 14, 60), 12)
    share = random.uniform(0, 0.4)  # of the swing that the forearm makes
    centre, lean, tilt = 90 + random.uniform(-14, 14), random.uniform(-10, 12), random.uniform(-5, 30)
    elbow = _elbow(style.place - _FORE * _forearm(np.array([[tilt * 0.5 + 5, lean, 0]]))[0])
    name = str(random.choice(("open", "relaxed", "flat", "cup", "own"), p=(0.34, 0.26, 0.14, 0.1, 0.16)))
    shape = style.shape if name == "own" else shaped(random, name)
    poses = []
    for end in (-0.5, 0.5):
        fore = np.array([[tilt * 0.5 + 5, lean + end * swing * share, 0]])
        angles = (centre - end * angle, tilt, lean + end * swing, random.uniform(-6, 6))
        pose = hand((0, 0, 0), angles, shape=shape)
        _fold(pose[None], (elbow + random.uniform(-0.03, 0.03, 3))[None], _forearm(fore))
        poses.append(pose)
    if not pronate:
        poses.reverse()
    return Act(duration, {style.side: between(style, duration, poses[0], poses[1])})


def _zoom(random: Random, style: Style, opens: bool) -> Act:
    """Fingertips together, then a spread hand, the arm nearly still; or backwards."""
    family = style.family
    duration = spread(random, family, 0.35, 1.2)
    closed = shaped(random, str(random.choice(("bunch", "fist"), p=(0.78, 0.22))))
    closed = closed + random.uniform(0, 0.3) * (SHAPES["relaxed"] - closed)
    spread_out = shaped(random, "open")
    tilts = (random.uniform(0, 60), random.uniform(-8, 35))
    angles = np.array([random.uniform(-20, 40), 0, random.uniform(-25, 25), random.uniform(-25, 15)])
    drift = random.uniform((-0.05, -0.05, -0.11), (0.05, 0.05, 0.11))
    hands = {}
    both = random.random() < 0.06
    for side in "LR" if both else style.side:
        apart = np.array([random.uniform(0.1, 0.3), 0, 0]) if both else np.zeros(3)
        poses = []
        for tilt, shape, end in zip(tilts, (closed, spread_out), (-0.5, 0.5)):
            at = style.place + drift * end + apart * (end + 0.5)
            poses.append(hand(at, angles + [0, tilt, 0, 0], style.elbow, shape))
        first, last = poses if opens else poses[::-1]
        hands[side] = between(style, duration, first, last)
    return Act(duration, hands)


def _shake(random: Random, style: Style) -> Act:
    """To and fro sideways: the forearm about the elbow, the hand about the wrist, or both."""
    family = style.family
    duration, rate = spread(random, family, 0.8, 1.8), spread(random, family, 2.0, 4.0)
    phase = random.choice((-1.0, 1.0))
    arm = random.choice((0.0, 0.5, 1.0), p=(0.25, 0.4, 0.35))
    fore, wrist = (
        style.amount * arm * random.uniform(10, 26),
        style.amount * (1.1 - arm) * random.uniform(14, 30),
    )
    tilt, lean, lag = random.uniform(5, 40), random.uniform(-15, 30), random.uniform(0, 1.2)
    elbow = _elbow(style.place - _FORE * _forearm(np.array([[tilt, lean, 0]]))[0])
    angles = (
        random.uniform(-25, 60),
        tilt * random.uniform(0, 1),
        lean * random.uniform(0.3, 1),
        random.uniform(-15, 15),
    )
    base = hand((0, 0, 0), angles, style.elbow, style.shape)

    def path(times: Floats) -> Floats:
        strength = np.clip(times / 0.15, 0, 1) * np.clip((duration - times) / 0.2, 0, 1)
        turn = 2 * np.pi * rate * np.clip(times, 0, duration)
        one, two = (phase * strength * np.sin(turn - late) for late in (0.0, lag))
        result = np.tile(base, (len(times), 1))
        swung = np.stack([np.full_like(times, tilt), lean + fore * one, np.zeros_like(times)], axis=1)
        _fold(result, np.broadcast_to(elbow, (len(times), 3)), _forearm(swung))
        result[:, LEAN] += 0.8 * fore * one + wrist * two
        return result

    return Act(duration, {style.side: path})


def for_left(move: Callable[[Random, Style, bool], Act], left: bool) -> Callable[[Random, Style], Act]:
    """A movement that a left hand makes outwards (True) and a right one inwards when ``left``, else the other way."""
    return lambda random, style: move(random, style, (style.side == "L") == left)


#: label -> how it is made
GESTURES: dict[str, Callable[[Random, Style], Act]] = {
    "Shaking Hand": _shake,
    "Swiping Down": lambda random, style: upwards(random, style, False),
    "Swiping Left": for_left(sideways, True),
    "Swiping Right": for_left(sideways, False),
    "Swiping Up": lambda random, style: upwards(random, style, True),
    # clockwise turns a right hand to its palm
    "Turning Hand Clockwise": for_left(_turn, False),
    "Turning Hand Counterclockwise": for_left(_turn, True),
    "Zooming In With Full Hand": lambda random, style: _zoom(random, style, True),
    "Zooming Out With Full Hand": lambda random, style: _zoom(random, style, False),
}


def raised(random: Random, style: Style) -> Floats:
    """A hand in the air that does nothing, [28]."""
    angles = (random.uniform(0, 120), random.uniform(0, 60), random.uniform(-20, 20), random.uniform(-20, 10))
    at = style.place + random.uniform((-0.15, -0.2, -0.1), (0.15, 0.1, 0.05))
    pose = hand(at, angles, style.elbow, "relaxed")
    pose[ELBOW] += random.uniform(-8, 8)
    return pose
