"""Shapes of the hand: numbers for the joints of the fingers, and the rotations of the bones that they mean.

A shape is float64 [20], degrees: for the thumb (opposition in front of the palm, away from the index finger, bends of
its two joints), then for index to little finger (bend at the knuckle, spread towards the thumb, bends of the two joints
behind it). Shapes blend by blending the numbers. The axes are derived from the rest geometry of a hand.
"""

from __future__ import annotations

import numpy as np

from .arms import about, arm_of, unit
from .skeleton import Floats, Skeleton

Random = np.random.Generator

#: how many numbers a shape has
SIZE = 20


def _shape(thumb: tuple[float, ...], *fingers: tuple[float, ...]) -> Floats:
    return np.array([*thumb, *(number for finger in fingers for number in finger)], dtype=float)


#: name -> the shape
SHAPES: dict[str, Floats] = {
    "open": _shape(
        (0, 28, -8, -8), (-12, 13, -4, -3), (-12, 2, -4, -3), (-12, -9, -4, -3), (-10, -21, -4, -3)
    ),
    "flat": _shape((-14, -10, 4, 2), (-10, -7, 0, 0), (-11, -1, 0, 0), (-10, 5, 0, 0), (-8, 12, 0, 0)),
    "relaxed": _shape((14, 4, 10, 12), (12, 2, 18, 9), (16, 0, 22, 11), (19, -2, 26, 13), (21, -4, 26, 13)),
    "fist": _shape((-14, -26, 44, 62), (68, 0, 88, 52), (70, 0, 90, 54), (70, 2, 90, 54), (70, 6, 88, 52)),
    "bunch": _shape((32, 4, 34, 44), (66, -3, 34, 9), (60, 2, 46, 19), (62, 8, 44, 19), (74, 12, 24, 7)),
    "two": _shape((-12, -26, 42, 60), (-10, -7, 0, 0), (-11, 6, 0, 0), (64, 2, 86, 50), (64, 6, 84, 48)),
    "vee": _shape((-12, -26, 42, 60), (-10, 8, 0, 0), (-11, -4, 0, 0), (64, 2, 86, 50), (64, 6, 84, 48)),
    "point": _shape((-12, -26, 42, 60), (-10, 0, 0, 0), (66, 0, 88, 52), (66, 2, 88, 52), (66, 6, 86, 50)),
    "thumb": _shape((-18, 26, -14, -12), (68, 0, 88, 52), (70, 0, 90, 54), (70, 2, 90, 54), (70, 6, 88, 52)),
    "phone": _shape((24, 6, 14, 18), (28, 2, 46, 22), (32, 0, 48, 24), (36, 0, 50, 24), (40, 0, 50, 24)),
    "cup": _shape((38, 8, 18, 18), (24, 4, 44, 24), (28, 0, 46, 26), (32, -2, 48, 26), (36, -4, 48, 26)),
    "pinch": _shape((17, -8, 4, 48), (66, -5, 19, 6), (30, 0, 40, 20), (30, 0, 42, 20), (30, 2, 40, 18)),
    "apart": _shape((16, 30, -8, -6), (-6, 8, 4, 2), (30, 0, 44, 22), (32, 0, 46, 22), (32, 2, 44, 20)),
    "typing": _shape((16, 8, 8, 12), (20, 5, 34, 16), (20, 1, 36, 18), (20, -3, 36, 18), (20, -8, 32, 16)),
}


def personal(random: Random, shape: Floats, amount: float = 1.0) -> Floats:
    """A shape as one person makes it: every finger a little more or less bent, all fingers more or less spread."""
    noise = random.normal(0, (4.0, 4.0, 4.0, 4.0), (5, 4))
    noise[1:, 0] += random.normal(0, 4.0)
    noise[1:, 2:] += random.normal(0, 4.0)
    noise[1:, 1] *= 0.5
    spread = np.zeros((5, 4))
    spread[:, 1] = random.normal(0, 0.13) * shape.reshape(5, 4)[:, 1]
    result: Floats = shape + amount * (noise + spread).reshape(SIZE)
    return result


def rotations(skeleton: Skeleton, side: str, joints: Floats) -> dict[str, Floats]:
    """Local rotations [T, 3, 3] of the fifteen bones of a hand's fingers for shapes [T, 20]."""
    arm = arm_of(skeleton, side)
    bends = np.radians(joints.reshape(-1, 5, 4))
    thumbwards = unit(skeleton.head(f"finger2-1.{side}") - skeleton.head(f"finger5-1.{side}"))
    result = {}
    for finger in range(5):
        bones = [f"finger{finger + 1}-{part}.{side}" for part in (1, 2, 3)]
        heads = [skeleton.head(bone) for bone in bones]
        first, second = unit(heads[1] - heads[0]), unit(heads[2] - heads[1])
        # a thumb folds across the palm, other fingers into it
        goal = unit(0.6 * arm.palm - 0.8 * thumbwards) if finger == 0 else arm.palm
        spread = about(unit(np.cross(first, _square(thumbwards, first))), bends[:, finger, 1])
        if finger == 0:
            base = about(unit(np.cross(thumbwards, arm.palm)), bends[:, 0, 0]) @ spread
        else:
            base = spread @ about(_axis(first, goal), bends[:, finger, 0])
        result[bones[0]] = base
        result[bones[1]] = about(_axis(second, goal), bends[:, finger, 2])
        result[bones[2]] = about(_axis(second, goal), bends[:, finger, 3])
    return result


def _axis(along: Floats, goal: Floats) -> Floats:
    """The axis about which a positive angle brings ``along`` to ``goal``."""
    return unit(np.cross(along, goal))


def _square(vector: Floats, along: Floats) -> Floats:
    return vector - (vector @ along) * along


def tips(skeleton: Skeleton, side: str, posed: Floats) -> Floats:
    """Where the fingertips of a posed skeleton are, [T, 5, 3] metres: the last bone goes on as the one before it."""
    places = []
    for finger in range(1, 6):
        middle, last = (skeleton.head(f"finger{finger}-{part}.{side}") for part in (2, 3))
        bone = posed[:, skeleton.index[f"finger{finger}-3.{side}"]]
        places.append(bone[:, :, :3] @ (last + 0.9 * (last - middle)) + bone[:, :, 3])
    return np.stack(places, axis=1)
