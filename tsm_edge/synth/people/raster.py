"""Pictures of skinned meshes: :file:`raster.c`, built with the C compiler that is here.

The library is built once a process, in a folder for temporary files that is gone when it is loaded.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import ExtraMissing, install_hint
from ...files.temporaries import scratch
from ...processes import cc, children

Floats = NDArray[np.float64]
Single = NDArray[np.float32]
FLAGS = ("-O3", "-ffp-contract=off", "-fno-math-errno", "-shared", "-fPIC", "-std=c11")


_PER_VERTEX = ("rest", "normal", "bone", "weight", "colour", "gloss", "uv")
_ARRAYS = ("rest", "normal", "bone", "weight", "face", "colour", "gloss", "uv", "texture", "seen")


class _Mesh(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int32) for name in ("vertices", "faces", "bones", "texture_side")),
        *((name, ctypes.c_void_p) for name in _ARRAYS),
    ]


class _Look(ctypes.Structure):
    _fields_ = [
        ("view", ctypes.c_float * 12),
        *((name, ctypes.c_float) for name in ("focal", "x", "y")),
        ("harmonics", ctypes.c_float * 27),
        ("towards", ctypes.c_float * 3),
        ("key", ctypes.c_float * 3),
        ("wrap", ctypes.c_float),
        ("levels", ctypes.c_float),
    ]


@dataclass(frozen=True)
class Mesh:
    """Triangles on bones.

    rest, normal: float32 [V, 3], metres. bone: uint8 [V, 4]. weight: float32 [V, 4], together 1. face: int32 [F, 3],
    counter-clockwise from outside. colour: float32 [V, 3], linear. gloss: float32 [V]. uv: float32 [V, 2]. texture:
    float32 [S, S, 3], repeats and multiplies the colour.
    """

    rest: Single
    normal: Single
    bone: NDArray[np.uint8]
    weight: Single
    face: NDArray[np.int32]
    colour: Single
    gloss: Single
    uv: Single
    texture: Single
    seen: Single = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        corners = len(self.rest)
        assert {len(getattr(self, name)) for name in _PER_VERTEX} == {corners}, "arrays of different meshes"
        assert self.texture.shape[0] == self.texture.shape[1] and self.texture.shape[2] == 3
        assert len(self.face) == 0 or 0 <= self.face.min() <= self.face.max() < corners
        object.__setattr__(self, "seen", np.empty((corners, 8), np.float32))

    @classmethod
    def of(cls, *, bone: ArrayLike, face: ArrayLike, **others: ArrayLike) -> Mesh:
        """A mesh of arrays of any number type."""
        single = {name: np.ascontiguousarray(value, np.float32) for name, value in others.items()}
        return cls(
            bone=np.ascontiguousarray(bone, np.uint8), face=np.ascontiguousarray(face, np.int32), **single
        )


@dataclass(frozen=True)
class Look:
    """Camera and light.

    view: [3, 4], metres to the camera's axes (x right, y down, z away). focal: pixels. centre: pixels, x and y.
    harmonics: [9, 3], irradiance of red, green and blue as :class:`.rooms.Light` has it. towards: [3], to the key
    light. key: its colour [3]. wrap: how far around the key light reaches, 0 as Lambert has it. levels: number of steps
    of the key light, 0 for smooth.
    """

    view: Floats
    focal: float
    centre: tuple[float, float]
    harmonics: Floats
    towards: Floats
    key: Floats
    wrap: float = 0.0
    levels: float = 0.0


def draw(meshes: Sequence[tuple[Mesh, Floats]], look: Look, picture: Single, depth: Single) -> None:
    """Draw meshes, each with its bones [B, 3, 4], over ``picture`` [H, W, 3] (linear) and ``depth`` [H, W] (metres)."""
    height, width = depth.shape
    assert picture.shape == (height, width, 3) and picture.dtype == depth.dtype == np.float32
    assert picture.flags.c_contiguous and depth.flags.c_contiguous
    seen = _Look(
        (ctypes.c_float * 12)(*look.view.ravel()),
        look.focal,
        *look.centre,
        (ctypes.c_float * 27)(*look.harmonics.ravel()),
        (ctypes.c_float * 3)(*look.towards),
        (ctypes.c_float * 3)(*look.key),
        look.wrap,
        look.levels,
    )
    function = _library().tsm_draw
    for mesh, bones in meshes:
        placed = np.ascontiguousarray(bones, np.float32)
        assert placed.shape[1:] == (3, 4) and mesh.bone.max(initial=0) < len(placed)
        counts = (len(mesh.rest), len(mesh.face), len(placed), len(mesh.texture))
        record = _Mesh(*counts, *(getattr(mesh, name).ctypes.data for name in _ARRAYS))
        function(
            ctypes.byref(record),
            ctypes.c_void_p(placed.ctypes.data),
            ctypes.byref(seen),
            ctypes.c_int32(width),
            ctypes.c_int32(height),
            ctypes.c_void_p(picture.ctypes.data),
            ctypes.c_void_p(depth.ctypes.data),
        )


@cache
def _library() -> ctypes.CDLL:
    """The built library; ExtraMissing without a C compiler."""
    source, said = Path(__file__).with_suffix(".c"), ["no cc, no module 'ziglang'"]
    with scratch() as folder:
        built = folder / "raster.so"
        for command in cc.compilers():
            done = children.run_text([*command, *FLAGS, "-o", str(built), str(source), "-lm"])
            if done.returncode == 0 and built.is_file():
                library = ctypes.CDLL(str(built))
                library.tsm_draw.restype = None
                return library
            said = (done.stderr or "").strip().splitlines() or said
    raise ExtraMissing(
        "People cannot be rendered without a C compiler.",
        found=said[0],
        allowed="cc, or the extra 'compile'",
        hint=install_hint("compile"),
    )
