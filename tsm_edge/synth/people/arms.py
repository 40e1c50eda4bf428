"""Where the hands are -> how the bones of the arms turn: two-bone inverse kinematics for every frame at once.

A side is "L" or "R". A hand is placed in the axes of its own side: (out, up, forward), ``out`` away from the body's
middle, so that one description serves both hands; positions are from the rest place of the shoulder's joint, in lengths
of the arm (shoulder to wrist). Everything is relative to the chest (bone ``spine01``): arms move with the trunk.

The hand's orientation is four angles in radians. At zero the fingers point up and the palm looks forward; ``roll``
turns the palm inwards (pi/2) and to the person (pi), then ``tilt`` brings the fingertips forward (pi/2, palm down),
then ``lean`` brings them outwards, then ``yaw`` turns everything outwards about the vertical.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .skeleton import Floats, Skeleton

POLE_BACK = -0.35  # how far backwards the elbow points at any swivel
_STRAIGHT = 0.995  # of the arm's length: the farthest the wrist goes, an elbow that is not locked
_FOLDED = np.radians(148)  # the most that an elbow bends
_TURN_LIMIT = np.radians(105)  # of the forearm, to either side of a palm that looks inwards
_BEND_LIMIT = np.radians(78)  # of the wrist, any direction
#: how much of the forearm's turn about itself its two halves have; the wrist has all of it
_TURNED = (0.35, 0.7)


@dataclass(frozen=True)
class Arm:
    """An arm at rest. ``sign`` is +1 for the left; ``finger`` and ``palm`` are unit vectors [3] from the wrist to the
    middle knuckle and out of the palm; ``length`` is shoulder to wrist along the bones, metres.
    """

    side: str
    sign: float
    shoulder: Floats
    elbow: Floats
    wrist: Floats
    finger: Floats
    palm: Floats

    @property
    def upper(self) -> Floats:
        return self.elbow - self.shoulder

    @property
    def fore(self) -> Floats:
        return self.wrist - self.elbow

    @property
    def length(self) -> float:
        return float(np.linalg.norm(self.upper) + np.linalg.norm(self.fore))

    @property
    def hinge(self) -> Floats:
        """The axis about which the elbow bends, from the bend it has at rest; unit [3]."""
        return unit(np.cross(self.upper, self.fore))

    def place(self, position: Floats) -> Floats:
        """Metres in the person's axes of positions [..., 3] in the side's own."""
        return self.shoulder + self.length * position * [self.sign, 1, 1]

    def relative(self, place: Floats) -> Floats:
        """The reverse of :meth:`place`."""
        return (place - self.shoulder) / self.length * [self.sign, 1, 1]


@lru_cache(maxsize=64)
def _arm(key: bytes, names: tuple[str, ...], side: str) -> Arm:
    heads = dict(zip(names, np.frombuffer(key).reshape(-1, 3)))
    wrist, middle = heads[f"wrist.{side}"], heads[f"finger3-1.{side}"]
    across = heads[f"finger5-1.{side}"] - heads[f"finger2-1.{side}"]
    sign = 1.0 if side == "L" else -1.0
    finger = unit(middle - wrist)
    palm = unit(sign * np.cross(across, finger))
    return Arm(side, sign, heads[f"upperarm01.{side}"], heads[f"lowerarm01.{side}"], wrist, finger, palm)


def arm_of(skeleton: Skeleton, side: str) -> Arm:
    """The arm of a side at rest."""
    return _arm(np.ascontiguousarray(skeleton.heads, float).tobytes(), skeleton.names, side)


def unit(vectors: Floats) -> Floats:
    """Vectors [..., 3] of length one."""
    lengths: Floats = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-12)


def about(axis: Floats, angle: Floats) -> Floats:
    """Rotations [..., 3, 3] by ``angle`` [...] radians about unit vectors [..., 3]: Rodrigues' formula."""
    axis, angle = np.broadcast_arrays(axis, np.asarray(angle)[..., None])
    x, y, z = np.moveaxis(axis, -1, 0)
    cosine, sine = np.cos(angle[..., 0]), np.sin(angle[..., 0])
    zero = np.zeros_like(x)
    skew: Floats = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*x.shape, 3, 3)
    outer = axis[..., :, None] * axis[..., None, :]
    turned: Floats = cosine[..., None, None] * (np.eye(3) - outer) + outer + sine[..., None, None] * skew
    return turned


def frame(first: Floats, second: Floats) -> Floats:
    """Right-handed axes [..., 3, 3] in columns: ``first``, ``second`` made square to it, and their product."""
    first = unit(first)
    second = unit(second - np.sum(first * second, -1, keepdims=True) * first)
    return np.stack([first, second, np.cross(first, second)], axis=-1)


def hand_directions(sign: float, angles: Floats) -> tuple[Floats, Floats]:
    """Where fingers point and the palm looks, two [T, 3] in the person's axes, for (roll, tilt, lean, yaw) [T, 4]."""
    roll, tilt, lean, yaw = np.moveaxis(angles, -1, 0)
    x, y, z = np.eye(3)
    turned = about(y, yaw) @ about(z, -lean) @ about(x, tilt) @ about(y, -roll)
    mirror = np.array([sign, 1, 1])
    return turned[..., :, 1] * mirror, turned[..., :, 2] * mirror


def soft(values: Floats, limit: float) -> Floats:
    """Values that stay within +-limit: untouched below four fifths of it, then bent smoothly."""
    free = 0.8 * limit
    over = np.maximum(np.abs(values) - free, 0)
    bent = free + (limit - free) * np.tanh(over / (limit - free))
    return np.where(np.abs(values) <= free, values, np.sign(values) * bent)


def solve(skeleton: Skeleton, side: str, wrist: Floats, angles: Floats, swivel: Floats) -> dict[str, Floats]:
    """Local rotations [T, 3, 3] of the arm's bones, clavicle to wrist.

    Args:
        wrist: [T, 3], in the side's own axes; one too far or too near is moved along the line to the shoulder.
        angles: [T, 4] radians: roll, tilt, lean and yaw of the hand; turns that a wrist has not are bent smoothly.
        swivel: [T] radians: the elbow hangs down (0) or points outwards (pi/2).
    """
    arm = arm_of(skeleton, side)
    lift = _clavicle(arm, wrist)
    base = skeleton.head(f"clavicle.{side}")
    shoulder = base + lift @ (arm.shoulder - base)
    inverse = np.swapaxes(lift, -1, -2)
    reach = np.einsum(
        "tij,tj->ti", inverse, arm.place(wrist) - shoulder
    )  # in the axes of the lifted clavicle
    pole = np.stack([arm.sign * np.sin(swivel), -np.cos(swivel), np.full_like(swivel, POLE_BACK)], -1)
    upper, fore, hinge = _two_bones(arm, reach, np.einsum("tij,tj->ti", inverse, pole))
    upper_turn = frame(upper, hinge) @ frame(arm.upper, arm.hinge).T
    fore_turn = frame(fore, hinge) @ frame(arm.fore, arm.hinge).T
    finger, palm = hand_directions(arm.sign, angles)
    wanted = inverse @ frame(finger, palm) @ frame(arm.finger, arm.palm).T
    turn, bend = _wrist(arm, np.swapaxes(fore_turn, -1, -2) @ wanted)
    return {f"clavicle.{side}": lift} | _shared(skeleton, arm, upper_turn, fore_turn, turn, bend)


def _clavicle(arm: Arm, wrist: Floats) -> Floats:
    """How the shoulder comes along, [T, 3, 3]: up with a raised hand, forwards with one that reaches far or across."""
    up = np.radians(17) * np.clip(0.55 + 0.6 * wrist[:, 1], 0, 1.2)
    forward = np.radians(11) * np.clip(0.9 * wrist[:, 2] - 0.7 * wrist[:, 0] - 0.45, -0.3, 1)
    return about(np.array([0, 1.0, 0]), -arm.sign * forward) @ about(np.array([0, 0, 1.0]), arm.sign * up)


def _two_bones(arm: Arm, reach: Floats, pole: Floats) -> tuple[Floats, Floats, Floats]:
    """Upper arm and forearm as vectors and the hinge between them, three [T, 3], for the way from shoulder to wrist."""
    first, second = (float(np.linalg.norm(each)) for each in (arm.upper, arm.fore))
    nearest = np.sqrt(first**2 + second**2 + 2 * first * second * np.cos(_FOLDED))
    distance = np.clip(np.linalg.norm(reach, axis=-1), nearest, _STRAIGHT * (first + second))
    along = unit(reach)
    side = frame(along, pole)[..., 1]
    cosine = (first**2 + distance**2 - second**2) / (2 * first * distance)
    sine = np.sqrt(np.maximum(1 - cosine**2, 0))
    upper = first * (cosine[:, None] * along + sine[:, None] * side)
    return upper, distance[:, None] * along - upper, np.cross(side, along)


def _wrist(arm: Arm, turn: Floats) -> tuple[Floats, Floats]:
    """The hand's rotation relative to the forearm as a turn about the forearm [T] and a bend after it [T, 3, 3]."""
    axis = unit(arm.fore)
    angle = np.unwrap(_twist(turn, axis))
    angle -= 2 * np.pi * np.round(np.median(angle) / (2 * np.pi))
    bend = turn @ about(axis, -angle)
    return soft(angle, _TURN_LIMIT), _limited(bend, _BEND_LIMIT)


def _twist(turn: Floats, axis: Floats) -> Floats:
    """The part of rotations [T, 3, 3] that is about an axis [3], radians [T]."""
    # 2 atan2(v.axis, w) of the quaternion (w, v); the odd part is 4 w v and the trace 4 w^2 - 1
    angle: Floats = 2 * np.arctan2(_odd(turn) @ axis, np.trace(turn, axis1=-2, axis2=-1) + 1)
    return angle


def _odd(turn: Floats) -> Floats:
    """2 sin(angle) times the axis of rotations [T, 3, 3]."""
    back = np.swapaxes(turn, -1, -2)
    odd = turn - back
    return np.stack([odd[:, 2, 1], odd[:, 0, 2], odd[:, 1, 0]], axis=-1)


def _limited(turn: Floats, limit: float) -> Floats:
    """Rotations [T, 3, 3] whose angle stays below a limit."""
    vector = _odd(turn)
    angle = np.arctan2(np.linalg.norm(vector, axis=-1), np.trace(turn, axis1=-2, axis2=-1) - 1)
    return about(unit(vector), soft(angle, limit))


def _shared(
    skeleton: Skeleton, arm: Arm, upper: Floats, fore: Floats, turn: Floats, bend: Floats
) -> dict[str, Floats]:
    """Local rotations of the bones below the clavicle: the turns of upper arm and forearm about themselves are shared
    between their halves, each about the line from its own joint to the next, which keeps elbow and wrist in place.
    """
    side = arm.side
    half, low = (skeleton.head(f"{name}02.{side}") for name in ("upperarm", "lowerarm"))
    before, after = unit(arm.elbow - half), unit(arm.wrist - low)
    # the turn of the upper arm relative to the shortest way from its rest direction
    rest = unit(arm.upper)
    goal = np.einsum("tij,j->ti", upper, rest)
    normal = np.cross(rest, goal)
    swing = about(unit(normal), np.arctan2(np.linalg.norm(normal, axis=-1), goal @ rest))
    roll = _twist(np.swapaxes(swing, -1, -2) @ upper, rest)
    first = swing @ about(rest, 0.5 * roll)
    second = about(before, 0.5 * roll)
    axis = unit(arm.fore)
    near = fore @ about(axis, _TURNED[0] * turn)
    far = about(after, (_TURNED[1] - _TURNED[0]) * turn)
    hand = fore @ bend @ about(axis, turn)
    return {
        f"upperarm01.{side}": first,
        f"upperarm02.{side}": second,
        f"lowerarm01.{side}": np.swapaxes(first @ second, -1, -2) @ near,
        f"lowerarm02.{side}": far,
        f"wrist.{side}": np.swapaxes(near @ far, -1, -2) @ hand,
    }
