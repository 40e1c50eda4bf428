"""What people do before a camera when they make none of the gestures, and the poses in which hands rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .further import FURTHER
from .gestures import draw_style, raised
from .poses import FINGERS, TRUNK, Act, Body, Path, Random, hand, keyed, shaped, spread, still, sway, trunk
from .skeleton import Floats

_Make = Callable[[Random, Body, str, str], Act]

#: where hands rest: name -> place, angles, elbow, shape, and whether that is for people who sit
_RESTS: dict[str, tuple[tuple[float, ...], tuple[float, ...], float, str, bool | None]] = {
    "lap": ((-0.12, -0.80, 0.45), (10, 92, -10, -35), 22, "relaxed", True),
    "knees": ((0.02, -0.84, 0.60), (5, 105, 0, -12), 18, "relaxed", True),
    "keyboard": ((-0.12, -0.66, 0.62), (8, 82, 0, -18), 26, "typing", True),
    "desk": ((-0.25, -0.64, 0.55), (20, 86, -10, -52), 32, "relaxed", True),
    "mouse": ((0.16, -0.64, 0.66), (8, 84, 0, -4), 28, "relaxed", True),
    "hanging": ((0.16, -0.97, 0.08), (80, 172, 0, 0), 35, "relaxed", False),
    "loose": ((0.12, -0.95, 0.2), (60, 162, 0, -8), 28, "relaxed", False),
    "belly": ((-0.28, -0.66, 0.36), (70, 85, -10, -72), 30, "relaxed", None),
    "hip": ((0.16, -0.72, 0.1), (-10, 128, 0, -45), 72, "relaxed", False),
}


def rest_pose(random: Random, family: str, sits: bool) -> Floats:
    """A hand at rest, [28]."""
    fits = [name for name, row in _RESTS.items() if row[4] in (None, sits)]
    place, angles, elbow, shape, _ = _RESTS[str(random.choice(fits))]
    wide = 0.05 if family == "test" else 0.035
    at = np.array(place) + random.normal(0, wide, 3) * (0.6, 1, 1)
    turned = np.array(angles) + random.normal(0, 7, 4)
    return hand(at, turned, elbow + random.normal(0, 6), shaped(random, shape))


def nothing(random: Random, seconds: float) -> Act:
    """Sitting or standing still: breathing, talking, nodding, looking about."""
    knots, values = [-2.0], [trunk()]
    lively = random.choice((0.0, 0.4, 1.0))
    while knots[-1] < seconds:
        knots.append(knots[-1] + random.uniform(0.25, 1.2))
        values.append(
            trunk(
                nod=lively * random.normal(0, 6),
                turn=lively * random.normal(0, 14),
                tip=lively * random.normal(0, 4),
            )
        )
    looks, rate = keyed(knots, values), random.uniform(1.5, 4.0)
    kind, phase = random.random(), random.uniform(0, 6.3)
    nods = random.uniform(1, 6) if kind < 0.35 else 0.0
    shakes = random.uniform(3, 10) if kind > 0.85 else 0.0

    def path(times: Floats) -> Floats:
        moved = np.array(looks(times))
        envelope = 0.5 + 0.5 * np.sin(2 * np.pi * 0.31 * times + phase)
        moved[:, 3] += nods * envelope * np.sin(2 * np.pi * rate * times)
        moved[:, 4] += shakes * envelope * np.sin(2 * np.pi * 0.6 * rate * times)
        return moved

    return Act(seconds, {}, path)


def _rubbing(pose: Floats, amounts: Sequence[float], rate: float, phase: float, fingers: float = 0.0) -> Path:
    """A pose that moves to and fro by amounts of the first eight channels; ``fingers``: degrees that they bend by."""
    wide = np.zeros(len(pose))
    wide[: len(amounts)] = amounts
    wide[FINGERS] = fingers * np.tile([0, 0, 1, 0.6], 5)

    def path(times: Floats) -> Floats:
        wave = np.sin(2 * np.pi * rate * times + phase)[:, None]
        return pose + wave * wide

    return path


def _at_face(random: Random, body: Body, family: str, side: str) -> Act:
    """Scratching, rubbing, adjusting glasses or hair, resting the chin, covering the mouth: the fingers at the head."""
    spots = {  # out, up, forward in distances between the eyes; roll, tilt, lean, yaw; reach; shape
        "nose": ((0.1, -0.7, 1.3), (120, 10, -45, 0), 0.95, "relaxed"),
        "chin": ((0.2, -1.9, 1.0), (130, 0, -35, 0), 0.75, "relaxed"),
        "mouth": ((0.0, -1.2, 1.1), (150, 0, -45, 0), 0.85, "relaxed"),
        "cheek": ((0.9, -1.0, 0.5), (95, -5, -20, 0), 0.9, "relaxed"),
        "ear": ((1.3, -0.3, -1.2), (60, -35, -15, 0), 0.95, "relaxed"),
        "hair": ((0.8, 1.6, -0.8), (70, -30, -35, 0), 0.9, "relaxed"),
        "crown": ((0.2, 2.0, -1.0), (60, -20, -55, 0), 0.9, "relaxed"),
        "glasses": ((0.9, 0.0, 0.8), (80, -10, -25, 0), 0.95, "pinch"),
        "eye": ((0.5, 0.0, 1.0), (130, 0, -35, 0), 0.95, "point"),
        "neck": ((0.9, -2.4, -1.0), (60, -40, -25, 0), 0.9, "flat"),
    }
    where, angles, reach, shape = spots[str(random.choice(list(spots)))]
    turned = np.array(angles) + random.normal(0, 8, 4)
    place = body.face(side, *(np.array(where) + random.normal(0, 0.15, 3)))
    at = body.touching(side, place, turned, reach)
    pose = hand(at, turned, spread(random, family, 15, 60), shaped(random, shape))
    moves = (0.012, 0.03, 0.01, 6, 5, 7, 0, 2)
    strong = random.choice((0.0, 0.6, 1.2))
    path = _rubbing(pose, strong * np.array(moves), random.uniform(1.5, 5.5), 0, 8 * strong)
    look = trunk(nod=random.normal(4, 4), tip=random.normal(0, 5), turn=random.normal(0, 5))
    return Act(random.uniform(0.5, 1.8), {side: path}, still(look))


def _at_body(random: Random, body: Body, family: str, side: str) -> Act:
    """Scratching the other arm or the chest, smoothing the clothes, a hand on the other shoulder."""
    spots = (
        ((-0.16, -0.22, 0.2), (150, 40, -70, 0)),
        ((-0.12, -0.08, 0.14), (150, 5, -55, 0)),
        ((0.0, -0.16, 0.17), (170, 20, -60, 0)),
        ((0.05, -0.34, 0.2), (150, 50, -60, 0)),
    )
    where, angles = spots[int(random.integers(len(spots)))]
    turned = np.array(angles) + random.normal(0, 8, 4)
    at = body.touching(side, body.chest(side, *where), turned, 0.8)
    pose = hand(at, turned, spread(random, family, 20, 60), shaped(random, "relaxed"))
    path = _rubbing(pose, (0.02, 0.05, 0, 3, 4, 5), random.uniform(1, 4), 0, random.uniform(0, 10))
    return Act(random.uniform(0.6, 1.8), {side: path}, still(trunk(nod=random.uniform(0, 14))))


def _drink(random: Random, body: Body, family: str, side: str) -> Act:
    """A cup or glass from the desk to the mouth, tipped, and back."""
    desk = hand((0.05, -0.5, 0.7), (70, 80, 0, -10), 25, shaped(random, "cup"))
    angles = np.array([105, 25, -40, 0]) + random.normal(0, 6, 4)
    place = body.face(side, 0.15, -1.6, 2.1)
    mouth = hand(body.touching(side, place, angles, 0.6), angles, 35 + random.normal(0, 8), desk[FINGERS])
    tipped = mouth + np.concatenate([[0, 0.05, 0, 0, -25, 0, 0, 6], np.zeros(20)])
    ends = np.cumsum([0, random.uniform(0.5, 1), 0.3, random.uniform(0.4, 1), random.uniform(0.5, 1)])
    path = keyed(list(ends), [desk, mouth, tipped, tipped, desk])
    back = keyed(list(ends), [trunk(), trunk(nod=0), trunk(nod=-12), trunk(nod=-14), trunk()])
    return Act(float(ends[-1]), {side: path}, back)


def _telephone(random: Random, body: Body, family: str, side: str) -> Act:
    """A telephone at the ear, or looked at in the hand."""
    if random.random() < 0.5:
        angles = np.array([75, -15, -15, 0]) + random.normal(0, 6, 4)
        at = body.touching(side, body.face(side, 1.5, -0.6, -0.6), angles, 0.75)
        look = trunk(tip=random.normal(0, 6), turn=random.normal(0, 8))
    else:
        angles = np.array([165, 35, -25, 0]) + random.normal(0, 8, 4)
        at = np.array([-0.1, -0.35, 0.6]) + random.normal(0, 0.05, 3)
        look = trunk(nod=random.uniform(8, 24))
    pose = hand(at, angles, spread(random, family, 15, 50), shaped(random, "phone"))
    return Act(random.uniform(1, 3), {side: _rubbing(pose, (0.004, 0.01, 0.004, 3), 0.7, 0)}, still(look))


def _desk_work(random: Random, body: Body, family: str, side: str) -> Act:
    """Typing with both hands, writing, or moving a mouse."""
    kind = random.random()
    look = still(trunk(nod=random.uniform(0, 18), bend=random.uniform(0, 8)))
    hands: dict[str, Path] = {}
    if kind < 0.5:
        for each in "LR":
            pose = hand((-0.12, -0.62, 0.62), np.array([8, 80, 0, -18.0]), 28, shaped(random, "typing"))
            pose[:3] += random.normal(0, 0.03, 3)
            hands[each] = _fidgeting(random, pose, 12, random.uniform(2, 5))
    else:
        writes = kind < 0.75
        pose = hand((-0.1 if writes else 0.15, -0.62, 0.62), (40 if writes else 8, 80, 0, -25), 30,
                    shaped(random, "pinch" if writes else "relaxed"))  # fmt: skip
        hands[side] = _wandering(random, pose, 0.05 if writes else 0.08)
    return Act(random.uniform(0.8, 3), hands, look)


def _fidgeting(random: Random, pose: Floats, amount: float, rate: float) -> Path:
    """Every finger beats for itself."""
    rates, phases = rate * random.uniform(0.6, 1.4, 5), random.uniform(0, 6.3, 5)

    def path(times: Floats) -> Floats:
        waves = np.sin(2 * np.pi * rates * times[:, None] + phases)
        result = np.tile(pose, (len(times), 1))
        result[:, FINGERS] += amount * (waves[:, :, None] * np.array([1, 0, 0.5, 0.3])).reshape(-1, 20)
        result[:, :3] += 0.008 * waves[:, :3]
        return result

    return path


def _wandering(random: Random, pose: Floats, far: float) -> Path:
    """A pose whose place drifts about."""
    seed = int(random.integers(2**31))
    wide = np.concatenate([np.full(3, far), np.full(4, 60 * far), [20 * far], np.full(20, 40 * far)])
    return lambda times: pose + sway(np.random.Generator(np.random.PCG64(seed)), times, wide)


def _talking(random: Random, body: Body, family: str, side: str) -> Act:
    """Hands that accompany speech: beats and small sweeps, one hand or both, each pose loosely held."""
    duration = random.uniform(0.9, 3.0)
    hands = {}
    for each in "LR" if random.random() < 0.6 else side:
        knots, values = [0.0], []
        base = np.array([random.uniform(-0.15, 0.25), random.uniform(-0.6, -0.2), random.uniform(0.45, 0.65)])
        lively = random.uniform(0.4, 1.3)
        while True:
            at = base + lively * random.normal(0, (0.1, 0.12, 0.06))
            angles = np.array([100, 50, -25, -20]) + lively * random.normal(0, (40, 22, 20, 15))
            shape = shaped(random, str(random.choice(("relaxed", "open", "flat", "pinch", "point", "cup"))))
            values.append(hand(at, angles, random.uniform(12, 45), shape))
            if knots[-1] > duration:
                break
            knots.append(knots[-1] + random.uniform(0.22, 0.75))
        hands[each] = keyed(knots, values)
    return Act(duration, hands, nothing(random, duration).trunk)


def _stretch(random: Random, body: Body, family: str, side: str) -> Act:
    """Both arms up, or out to the sides, and back."""
    duration, wide = random.uniform(1.0, 2.2), random.random() < 0.5
    at = (0.75, 0.35, 0.1) if wide else (0.1, 0.92, 0.1)
    pose = hand(
        at, (40, 0, 70 if wide else 0, 0), 70, shaped(random, "fist" if random.random() < 0.5 else "open")
    )
    hands = {each: _wandering(random, pose, 0.05) for each in "LR"}
    return Act(duration, hands, still(trunk(bend=-8, nod=-10)))


def _crossed(random: Random, body: Body, family: str, side: str) -> Act:
    """Arms crossed before the chest."""
    hands = {}
    for each, lower in ((side, 0.0), ("L" if side == "R" else "R", -0.09)):
        pose = hand(
            (-0.42, -0.42 + lower, 0.36 + 0.1 * (lower == 0)),
            (130, 75, -20, -80),
            35,
            shaped(random, "relaxed"),
        )
        hands[each] = still(pose)
    return Act(random.uniform(0.8, 2.5), hands, still(trunk(bend=random.normal(0, 4))))


def _clap(random: Random, body: Body, family: str, side: str) -> Act:
    """Both hands beat together before the chest, or are rubbed."""
    up = random.uniform(-0.5, -0.15)
    pose = hand((-0.22, up, 0.6), (90, 40, 0, -12), 30, shaped(random, "flat"))
    wide = random.uniform(0.04, 0.12)
    path = _rubbing(
        pose + np.concatenate([[wide, 0, 0], np.zeros(25)]), (wide, 0, 0, 0, 0, 4), random.uniform(2, 4), 0
    )
    return Act(random.uniform(0.8, 2.0), {each: path for each in "LR"})


def _raise_only(random: Random, body: Body, family: str, side: str) -> Act:
    """A hand that is raised, held with a little sway and perhaps turned or closed a little: no gesture."""
    style = draw_style(random, family, side)
    pose = raised(random, style)
    pose[FINGERS] = (
        style.shape
        if random.random() < 0.5
        else shaped(random, str(random.choice(("fist", "open", "bunch", "two"))))
    )
    return Act(random.uniform(0.1, 1.6), {side: _wandering(random, pose, random.uniform(0.01, 0.05))})


def _anywhere(random: Random, body: Body, family: str, side: str) -> Act:
    """A hand on a smooth way through random poses, changing direction."""
    style = draw_style(random, family, side)
    knots, values = [0.0], [raised(random, style)]
    for _ in range(int(random.integers(2, 5))):
        knots.append(knots[-1] + random.uniform(0.25, 0.9))
        values.append(raised(random, draw_style(random, family, side)))
        values[-1][FINGERS] = draw_style(random, family, side).shape
    return Act(knots[-1], {side: keyed(knots, values)})


def _moves_about(random: Random, body: Body, family: str, side: str) -> Act:
    """The whole person: leaning in or out, to the side, turning away, standing up, walking past."""
    kind = random.random()
    duration = random.uniform(0.6, 2.0)
    sign = random.choice((-1.0, 1.0))
    if kind < 0.5:
        goal = trunk(
            bend=random.normal(0, 16),
            side=random.normal(0, 10),
            twist=random.normal(0, 14),
            z=random.normal(0, 0.1),
        )
    elif kind < 0.7:
        goal = trunk(yaw=sign * random.uniform(25, 80), turn=sign * random.uniform(0, 30))
    elif kind < 0.85:
        goal = trunk(sit=-1.0, bend=random.uniform(0, 12))
    else:
        goal = trunk(x=sign * random.uniform(0.3, 1.2), yaw=sign * random.uniform(40, 90))
    return Act(duration, {}, still(goal))


def _both_hands(random: Random, body: Body, family: str, side: str) -> Act:
    """Something that both hands do alike: headphones, rubbing the face or the hands, a shrug, hands folded."""
    face = random.random() < 0.5
    if face:
        spots = (((1.3, -0.3, -0.3), (85, -15, -15, 0), "cup"), ((0.5, -0.4, 1.2), (150, 0, -30, 0), "flat"),
                 ((0.9, 2.0, -0.8), (70, -20, -40, 0), "relaxed"))  # fmt: skip
        where, angles, shape = spots[int(random.integers(3))]
        turned = np.array(angles) + random.normal(0, 6, 4)
        at = body.touching(side, body.face(side, *where), turned, 0.8)
        amounts = np.array((0.01, 0.05, 0.0, 5, 4)) * random.choice((0.0, 0.5, 1.0))
    else:
        places = (((-0.26, -0.45, 0.58), (90, 60, 0, -25), "flat"), ((0.32, -0.4, 0.5), (190, 75, 10, 10), "open"),
                  ((-0.27, -0.62, 0.5), (100, 80, -10, -45), "relaxed"))  # fmt: skip
        place, angles, shape = places[int(random.integers(3))]
        at = np.array(place)
        turned = np.array(angles) + random.normal(0, 8, 4)
        amounts = np.array((0.0, 0.02, 0.04, 3, 3)) * random.choice((0.0, 0.5, 1.0))
    pose, rate = (
        hand(at, turned, spread(random, family, 20, 50), shaped(random, shape)),
        random.uniform(0.8, 3.5),
    )
    hands = {
        each: _rubbing(pose, amounts, rate, lag) for each, lag in (("L", 0.0), ("R", np.pi * (not face)))
    }
    return Act(random.uniform(0.6, 2.0), hands, still(trunk(nod=random.normal(3, 6))))


def _reach(random: Random, body: Body, family: str, side: str) -> Act:
    """To the camera or the screen, to something beside, or pointing somewhere, and back."""
    spots = (
        ((-0.2, 0.05, 0.95), (10, 45, 0, -10), "relaxed"),
        ((0.55, -0.5, 0.6), (40, 80, 0, 35), "cup"),
        ((0.75, -0.2, 0.3), (40, 70, 0, 65), "relaxed"),
        ((-0.1, -0.05, 0.9), (40, 75, 0, -8), "point"),
        ((0.6, 0.1, 0.5), (40, 60, 0, 45), "point"),
        ((0.1, 0.45, 0.5), (40, 15, 0, 0), "point"),
    )
    where, angles, shape = spots[int(random.integers(len(spots)))]
    sign = body.arms[side].sign
    pose = hand(np.array(where) + random.normal(0, 0.06, 3), np.array(angles) + random.normal(0, 8, 4),
                spread(random, family, 20, 50), shaped(random, shape))  # fmt: skip
    goal = trunk(
        bend=random.uniform(0, 10), twist=-sign * 12 * (where[2] - 0.6), turn=sign * random.normal(8, 12)
    )
    return Act(random.uniform(0.2, 1.2), {side: _wandering(random, pose, 0.03)}, still(goal))


def _jacket(random: Random, body: Body, family: str, side: str) -> Act:
    """A jacket: one arm pulls at the shoulder while the other goes through, and then the reverse."""
    holds = hand((-0.1, -0.05, 0.28), (130, 0, -40, 0), 60, shaped(random, "fist"))
    back = hand((0.35, -0.7, -0.2), (60, 160, 25, 0), 60, shaped(random, "fist"))
    through = hand((0.5, -0.45, 0.5), (60, 85, 0, 25), 45, shaped(random, "fist"))
    front = hand((-0.15, -0.35, 0.4), (120, 45, -50, 0), 35, shaped(random, "fist"))
    steps = np.cumsum([0.0, *random.uniform(0.45, 0.9, 4)])
    other = "R" if side == "L" else "L"
    near, far = [back, through, holds, holds, front], [holds, holds, back, through, front]
    lean = [trunk(twist=sign * 16, side=sign * 6) for sign in (1.0, -1.0)]
    looks = keyed(list(steps), [lean[0], lean[0], lean[1], lean[1], trunk()])
    hands = {side: keyed(list(steps), near), other: keyed(list(steps), far)}
    return Act(float(steps[-1]), hands, looks)


def _sign(random: Random, body: Body, family: str, side: str) -> Act:
    """One of Jester's other gestures."""
    name = str(random.choice([each for each in FURTHER if "Sliding" not in each]))
    return FURTHER[name](random, draw_style(random, family, side))


_ACTIVITIES: dict[_Make, float] = {
    _at_face: 3, _at_body: 1, _drink: 1.2, _telephone: 1.2, _desk_work: 1.5, _talking: 3, _stretch: 0.6,
    _crossed: 0.6, _clap: 0.6, _raise_only: 3.5, _anywhere: 2, _moves_about: 1.2, _both_hands: 1.5, _reach: 1.8,
    _jacket: 0.7, _sign: 3.5,
}  # fmt: skip


def draw_activity(random: Random, body: Body, family: str, sits: bool) -> Act:
    """Something that is no gesture."""
    makes, weights = list(_ACTIVITIES), np.array(list(_ACTIVITIES.values()))
    make = makes[int(random.choice(len(makes), p=weights / weights.sum()))]
    act = make(random, body, family, "L" if random.random() < 0.42 else "R")
    if not sits and act.trunk is not None:  # who stands does not stand up
        made, column = act.trunk, TRUNK.index("sit")
        return Act(act.duration, act.hands, lambda times: made(times) * (np.arange(len(TRUNK)) != column))
    return act
