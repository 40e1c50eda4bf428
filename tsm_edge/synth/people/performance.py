"""A take: rest, raise, gesture, hold, lower, rest, with the trunk and head of somebody who breathes and looks about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import UnknownName
from ..reel import Cue
from . import activities
from .arms import about, solve
from .fingers import SHAPES, rotations
from .further import FURTHER
from .gestures import GESTURES, Style, draw_style, raised
from .poses import (
    ELBOW,
    FINGERS,
    ROLL,
    YAW,
    Act,
    Body,
    Ease,
    Layer,
    Random,
    layered,
    spread,
    still,
    sway,
    trunk,
)
from .skeleton import Floats, Skeleton

#: bone -> the share that it has of the trunk's or the head's turns
_TRUNK = {"spine05": 0.1, "spine04": 0.25, "spine03": 0.3, "spine02": 0.25, "spine01": 0.1}
_HEAD = {"neck01": 0.2, "neck02": 0.2, "neck03": 0.2, "head": 0.4}
_HAND_SWAY = np.concatenate(
    [np.full(3, 0.009), np.full(4, 2.2), [1.5], np.full(20, 1.6)]
)  # arm's lengths, degrees
_TRUNK_SWAY = np.array([0.7, 0.6, 0.9, 1.6, 2.6, 1.2, 0.004, 0.0015, 0.005, 0.4, 0.0])


@dataclass(frozen=True)
class Performance:
    """How a person moves in a take: ``times`` [T] seconds, local ``rotations`` [T, 3, 3] of bones by name (others keep
    their rest pose), ``root_rotation`` [T, 3, 3], ``root_shift`` [T, 3] metres, ``cues``: when gestures are made.

    ``root_shift`` is relative to where the person is at first, sitting or standing: the head begins at its rest height.
    ``hands``: the sides that make the gesture, "L", "R", "LR" or "".
    """

    times: Floats
    rotations: Mapping[str, Floats]
    root_rotation: Floats
    root_shift: Floats
    cues: tuple[Cue, ...]
    hands: str = ""


@dataclass(frozen=True)
class _Script:
    """What hands and trunk do, layer over layer, and the gestures among it."""

    rests: Mapping[str, Floats]
    hands: Mapping[str, Sequence[Layer]]
    trunk: Sequence[Layer]
    cues: tuple[Cue, ...]
    ease: Ease
    sides: str = ""


def perform(
    random: Random, skeleton: Skeleton, label: str, times: Floats, family: str = "train", *, posture: str = ""
) -> Performance:
    """A take with one gesture, or a quiet one. Same arguments, same numbers.

    Args:
        label: one of :data:`LABELS` or of Jester's other gestures.
        times: [T] increasing seconds from 0 to the take's end, at any steps.
        family: "train", "dev" or "test": how parameters of movement are drawn, and the kind of its curves.
        posture: "sitting", "standing", or either.

    Raises:
        UnknownName: there is no such label.
    """
    if label not in LABELS and label not in FURTHER:
        raise UnknownName.of("label", label, (*LABELS, *FURTHER))
    body = Body.of(skeleton)
    sits = posture == "sitting" or (not posture and random.random() < 0.65)
    if label in _MOVES:
        script = _gesture(random, body, label, float(times[-1]), family, sits)
    else:
        script = _quiet(random, body, label, float(times[-1]), family, sits)
    return _posed(random, body, script, times, sits)


def _gesture(random: Random, body: Body, label: str, seconds: float, family: str, sits: bool) -> _Script:
    """The hand rests, is raised, perhaps waits, makes the gesture, is held, and is lowered or stays."""
    style = draw_style(random, family)
    act = _MOVES[label](random, style)
    rests = _rests(random, family, sits)
    if random.random() < 0.16:
        rests[style.side] = raised(random, style)
    raising, lowering = spread(random, family, 0.3, 0.9), spread(random, family, 0.35, 1.0)
    waits = spread(random, family, 0.05, 0.6)
    if random.random() < 0.3:  # the gesture begins while the hand still comes
        waits = -random.uniform(0, 0.35) * min(act.duration, raising)
    latest = max(seconds - act.duration - 0.12, 0.0)
    start = random.uniform(min(raising + waits + 0.1, latest), latest)
    end = min(start + act.duration, seconds)
    hands: dict[str, list[Layer]] = {side: [] for side in "LR"}
    for side, path in act.hands.items():
        begin = start - waits - raising
        if random.random() < 0.3:  # first up, then aside, unhurried, with a loose hand
            hands[side].append(Layer(begin - 0.2, begin + 0.75 * raising, still(raised(random, style))))
            begin += 0.45 * raising
        hands[side].append(Layer(begin, start - waits, path, start))
    after = end + (spread(random, family, 0.0, 0.7) if random.random() < 0.8 else 0.02)
    _after(random, style, act, hands, rests, (after, lowering), label)
    looks = _trunk_of(random, style, start, after)
    if act.trunk is not None:
        looks.append(Layer(start - 0.3, start, act.trunk, start))
    cue = Cue(label, start, end)
    if len(act.hands) == 1 and random.random() < 0.12:
        other = "R" if style.side == "L" else "L"
        hands[other].extend(_aside(random, family, seconds, sits))
    return _Script(rests, hands, looks, (cue,), _ease(random, family), "".join(act.hands))


def _ease(random: Random, family: str) -> Ease:
    kind = {"train": "jerk", "dev": "sigmoid", "test": "trapezoid"}[family]
    return Ease(kind, float(np.exp(random.normal(0, 0.15))), random.uniform(0.35, 0.5))


def _after(
    random: Random,
    style: Style,
    act: Act,
    hands: Mapping[str, list[Layer]],
    rests: Mapping[str, Floats],
    when: tuple[float, float],
    label: str,
) -> None:
    """Add what hands do after a gesture, ``when``: when they leave, seconds of lowering."""
    after, lowering = when
    fate = random.random()
    for side, path in act.hands.items():
        final = path(np.array([act.duration + 1.0]))[0]
        loose = final.copy()
        loose[FINGERS] += random.uniform(0.3, 1.0) * (SHAPES["relaxed"] - loose[FINGERS])
        loose[:8] += random.normal(0, (0.02, 0.03, 0.02, 8, 8, 6, 6, 3))
        if "Zooming" not in label:
            hands[side].append(Layer(after - 0.1, after + random.uniform(0.3, 0.7), still(loose)))
        if "Swiping" in label and random.random() < 0.3:  # slowly back to where it began, with a loose hand
            back = path(np.array([-1.0]))[0]
            back[FINGERS] = loose[FINGERS]
            slow = max(2.0 * act.duration, random.uniform(0.6, 1.2))
            hands[side].append(Layer(after + 0.15, after + 0.15 + slow, still(back)))
            after += 0.15 + slow * random.uniform(0.6, 1)
        if fate < 0.72:
            hands[side].append(Layer(after, after + lowering, still(rests[side])))
        elif fate < 0.84:  # somewhere else in the air
            hands[side].append(Layer(after, after + lowering, still(raised(random, style))))


def _aside(random: Random, family: str, seconds: float, sits: bool) -> list[Layer]:
    """What the other arm does meanwhile: another rest."""
    begin = random.uniform(-0.5, seconds)
    elsewhere = activities.rest_pose(random, family, sits)
    return [Layer(begin, begin + random.uniform(0.5, 1.2), still(elsewhere))]


def _trunk_of(random: Random, style: Style, start: float, after: float) -> list[Layer]:
    """Head and trunk during a gesture: a look at the hand, a lean that comes with it."""
    sign = 1.0 if style.side == "L" else -1.0
    lean = trunk(
        bend=random.normal(0, 2),
        side=sign * random.normal(0.5, 1.5),
        twist=sign * random.normal(-1, 3),
        turn=sign * random.normal(2, 6) if random.random() < 0.4 else 0.0,
        nod=random.normal(2, 5) if random.random() < 0.4 else 0.0,
    )
    return [
        Layer(start - 0.7, start + 0.1, still(lean)),
        Layer(after, after + 0.8, still(trunk(turn=random.normal(0, 3), nod=random.normal(0, 3)))),
    ]


def _rests(random: Random, family: str, sits: bool) -> dict[str, Floats]:
    """Where both hands rest at first, often alike."""
    left = activities.rest_pose(random, family, sits)
    if random.random() < 0.6:
        return {"L": left, "R": left + np.concatenate([random.normal(0, 0.02, 3), random.normal(0, 4, 25)])}
    return {"L": left, "R": activities.rest_pose(random, family, sits)}


def _quiet(random: Random, body: Body, label: str, seconds: float, family: str, sits: bool) -> _Script:
    """Nothing, or one activity after the other until the take ends."""
    style, rests = draw_style(random, family), _rests(random, family, sits)
    hands: dict[str, list[Layer]] = {side: [] for side in "LR"}
    looks: list[Layer] = []
    if label == "No gesture":
        if random.random() < 0.25:
            rests[style.side] = raised(random, style)
        act = activities.nothing(random, seconds)
        looks.append(Layer(-1.0, -0.5, act.trunk or still(trunk())))
        return _Script(rests, hands, looks, (), _ease(random, family))
    begin = random.uniform(-0.8, 0.5)
    while begin < seconds:
        act = activities.draw_activity(random, body, family, sits)
        raising = spread(random, family, 0.3, 0.9)
        for side, path in act.hands.items():
            hands[side].append(Layer(begin, begin + raising, path, begin + raising))
        if act.trunk is not None:
            looks.append(Layer(begin, begin + raising, act.trunk, begin + raising))
        begin += raising + act.duration + random.uniform(0, 0.4)
        if random.random() < 0.55:
            lowering = spread(random, family, 0.35, 1.0)
            for side in act.hands:
                hands[side].append(Layer(begin, begin + lowering, still(rests[side])))
            looks.append(Layer(begin, begin + lowering, still(trunk())))
            begin += lowering * random.uniform(0.5, 1.3)
    return _Script(rests, hands, looks, (), _ease(random, family))


def _posed(random: Random, body: Body, script: _Script, times: Floats, sits: bool) -> Performance:
    """Sample a script, add sway, breath and posture, and turn it into rotations of bones."""
    turns: dict[str, Floats] = {}
    for side in "LR":
        channels = layered(times, script.rests[side], script.hands[side], script.ease)
        channels = channels + sway(random, times, _HAND_SWAY)
        angles = np.radians(channels[:, ROLL : YAW + 1])
        turns |= solve(body.skeleton, side, channels[:, :3], angles, np.radians(channels[:, ELBOW]))
        turns |= rotations(body.skeleton, side, channels[:, FINGERS])
    habit = trunk(
        bend=random.normal(3 if sits else 0, 4), side=random.normal(0, 2), twist=random.normal(0, 4),
        nod=random.normal(0, 5), turn=random.normal(0, 6), tip=random.normal(0, 3), yaw=random.normal(0, 7),
        sit=float(sits),
    )  # fmt: skip
    moved = layered(times, trunk(), script.trunk, script.ease) + sway(random, times, _TRUNK_SWAY) + habit
    breath = np.sin(2 * np.pi * random.uniform(0.2, 0.4) * times + random.uniform(0, 6.3))
    moved[:, 0] -= random.uniform(0.2, 0.9) * breath
    moved[:, 3] += random.uniform(0.2, 0.7) * breath
    turns |= _upper(moved) | _legs(moved[:, 10])
    thigh = body.skeleton.head("upperleg01.L")[1] - body.skeleton.head("lowerleg01.L")[1]
    shift = moved[:, 6:9].copy()
    shift[:, 1] += thigh * (float(sits) - moved[:, 10])
    upright = about(np.array([0, 1.0, 0]), np.radians(moved[:, 9]))
    return Performance(times, turns, upright, shift, script.cues, script.sides)


def _upper(moved: Floats) -> dict[str, Floats]:
    """Rotations of spine, neck and head for the trunk's channels [T, 11]."""
    x, y, z = np.eye(3)
    angles, result = np.radians(moved[:, :6]), {}
    for bones, first in ((_TRUNK, 0), (_HEAD, 3)):
        for bone, share in bones.items():
            forward, second, third = share * angles[:, first : first + 3].T
            side, turn = (second, third) if first == 0 else (third, second)
            result[bone] = about(y, turn) @ about(z, -side) @ about(x, forward)
    return result


def _legs(sit: Floats) -> dict[str, Floats]:
    """Rotations of hips and knees from standing (0) to sitting (1)."""
    x, result = np.array([1.0, 0, 0]), {}
    for side in "LR":
        result[f"upperleg01.{side}"] = about(x, np.radians(-84) * sit)
        result[f"lowerleg01.{side}"] = about(x, np.radians(82) * sit)
    return result


#: the classes of the shipped networks
LABELS = ("Doing other things", "No gesture", *GESTURES)
_MOVES = GESTURES | FURTHER
