"""The bodies: forty people of one mesh and one rig, from MakeHuman's data (CC0-1.0) by :mod:`.export_bodies`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .skeleton import Skeleton

Single = NDArray[np.float32]
_UNIT = 1e-4  # metres of a stored step


class Part(IntEnum):
    """What a vertex belongs to."""

    SKIN = 0  # of face and head, without hair
    SCALP = 1
    BROW = 2
    EYE = 3
    IRIS = 4
    LIPS = 5
    NECK = 6
    TORSO = 7
    UPPER_ARM = 8
    FOREARM = 9
    HAND = 10
    PELVIS = 11
    LEG = 12
    FOOT = 13


#: which bodies a family of people may draw
MEMBERS = {"train": range(0, 28), "dev": range(28, 34), "test": range(34, 40)}
_OF_BONE = (  # prefixes of bones' names, the first that fits
    ("head", Part.SKIN),
    ("eye", Part.EYE),
    ("neck", Part.NECK),
    ("upperarm", Part.UPPER_ARM),
    ("lowerarm", Part.FOREARM),
    ("wrist", Part.HAND),
    ("metacarpal", Part.HAND),
    ("finger", Part.HAND),
    ("spine", Part.TORSO),
    ("clavicle", Part.TORSO),
    ("shoulder", Part.TORSO),
    ("upperleg", Part.LEG),
    ("lowerleg", Part.LEG),
    ("foot", Part.FOOT),
    ("toe", Part.FOOT),
)


@dataclass(frozen=True)
class Bodies:
    """All bodies. Metres, in the person's own axes (:mod:`.skeleton`).

    faces: int32 [F, 3], counter-clockwise from outside. bones: uint8 [V, 4]. weights: float32 [V, 4], together 1.
    places: float32 [N, V, 3], the rest pose. heads: float32 [N, B, 3]. age: 0..1, adults from 0.6. gender: 0..1.
    """

    faces: NDArray[np.int32]
    bones: NDArray[np.uint8]
    weights: Single
    places: Single
    heads: Single
    names: tuple[str, ...]
    parents: NDArray[np.int64]
    age: Single
    gender: Single

    @cached_property
    def mean(self) -> Single:
        """The mean body's vertices [V, 3]: what decides which part a vertex belongs to."""
        return np.asarray(self.places.mean(0))

    @cached_property
    def _joints(self) -> Single:
        return np.asarray(self.heads.mean(0))

    def joint(self, name: str) -> Single:
        """Where a bone's joint is in the mean body, [3]."""
        return np.asarray(self._joints[self.names.index(name)])

    def skeleton(self, body: int) -> Skeleton:
        """The joints of a body."""
        return Skeleton(self.names, self.parents, self.heads[body].astype(np.float64))

    @cached_property
    def part(self) -> NDArray[np.uint8]:
        """The :class:`Part` of every vertex, uint8 [V]."""
        of_bone = [
            next((part for start, part in _OF_BONE if name.startswith(start)), Part.PELVIS)
            for name in self.names
        ]
        part = np.array(of_bone, np.uint8)[self.bones[:, 0]]
        mean, eye = self.mean, self.joint("eye.L")
        x, y, z = abs(mean[:, 0]), mean[:, 1] - eye[1], mean[:, 2] - eye[2]
        skin = part == Part.SKIN
        ear = (x > 0.066) & (abs(y + 0.01) < 0.045) & (z > -0.12)
        part[skin & ~ear & ((y > 0.052) | ((z < -0.055) & (y > -0.045)))] = Part.SCALP
        part[skin & (z > -0.02) & (abs(y - 0.0215) < 0.0065) & (abs(x - 0.032) < 0.021)] = Part.BROW
        part[skin & (z > 0) & (abs(y + 0.071) < 0.0095) & (x < 0.024)] = Part.LIPS
        part[(part == Part.EYE) & (np.hypot(x - eye[0], y) < 0.0062)] = Part.IRIS
        return part

    @cached_property
    def along_arm(self) -> Single:
        """How far along its arm a vertex is, float32 [V]: 0 at the shoulder's joint, 1 at the elbow's, 2 at the
        wrist's; -1 for those of no arm.
        """
        mean = self.mean
        along = np.full(len(mean), -1, np.float32)
        arms = np.isin(self.part, (Part.UPPER_ARM, Part.FOREARM, Part.HAND))
        for side, sign in (("L", 1), ("R", -1)):
            points = [self.joint(f"{bone}.{side}") for bone in ("upperarm01", "lowerarm01", "wrist")]
            mine = arms & (np.sign(mean[:, 0]) == sign)
            for step, (begin, end) in enumerate(zip(points, points[1:])):
                share = (mean - begin) @ (end - begin) / ((end - begin) @ (end - begin))
                here = mine & (self.part == (Part.UPPER_ARM, Part.FOREARM)[step])
                along[here] = step + np.clip(share[here], 0, 1)
            along[mine & (self.part == Part.HAND)] = 2
        return along


@cache
def load() -> Bodies:
    """The bodies that come with the package."""
    with np.load(Path(__file__).with_name("bodies.npz"), allow_pickle=False) as file:
        places = (file["mean"] + file["differences"].transpose(0, 2, 1)).astype(np.float32) * np.float32(
            _UNIT
        )
        return Bodies(
            faces=file["faces"].astype(np.int32),
            bones=file["bones"],
            weights=(file["weights"] / np.float32(255)).astype(np.float32),
            places=places,
            heads=file["heads"],
            names=tuple(file["names"].tolist()),
            parents=file["parents"].astype(np.int64),
            age=file["age"],
            gender=file["gender"],
        )


def normals(places: NDArray[np.floating], faces: NDArray[np.integer]) -> Single:
    """Unit normals [V, 3] of a mesh: the sum of those of the faces around, each as large as its face."""
    a, b, c = (places[faces[:, at]] for at in range(3))
    face = np.cross(b - a, c - a)
    total = np.stack(
        [np.bincount(faces.ravel(), np.repeat(face[:, axis], 3), len(places)) for axis in range(3)],
        1,
    )
    lengths: NDArray[np.float64] = np.linalg.norm(total, axis=1, keepdims=True)
    unit: NDArray[np.float64] = total / np.maximum(lengths, 1e-12)
    return unit.astype(np.float32)
