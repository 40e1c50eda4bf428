"""What a body looks like: skin, hair, clothes, glasses, as meshes on its bones.

Clothes are the body's own surface moved outwards; the skin below is left out. Nobody is without clothes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .. import photos, textures
from ..families import Family
from .bodies import Bodies, Part, normals
from .raster import Mesh

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Places = NDArray[np.float32] | NDArray[np.float64]
Corners = NDArray[np.int32]
Random = np.random.Generator

_SIDE = 128  # of a texture
#: sRGB skin tones from light to dark; a person's is between two of them
_TONES = np.array(
    [
        (0.97, 0.86, 0.78),
        (0.90, 0.74, 0.62),
        (0.78, 0.58, 0.44),
        (0.58, 0.40, 0.29),
        (0.36, 0.24, 0.18),
        (0.22, 0.15, 0.12),
    ]
)
_HAIR = np.array(
    [
        (0.05, 0.04, 0.04),
        (0.16, 0.10, 0.07),
        (0.34, 0.22, 0.13),
        (0.62, 0.46, 0.26),
        (0.50, 0.20, 0.09),
        (0.62, 0.61, 0.60),
        (0.88, 0.87, 0.85),
    ]
)


@dataclass(frozen=True)
class Person:
    """The meshes of one person; all have the bones of the body."""

    meshes: tuple[Mesh, ...]


@dataclass(frozen=True)
class _Shape:
    """The body's own surface: ``places`` and ``normals`` float32 [V, 3]."""

    bodies: Bodies
    places: NDArray[np.float32]
    normals: NDArray[np.float32]

    def shell(
        self, mask: Mask, thickness: Floats, colour: Floats, gloss: float, texture: Floats, scale: float
    ) -> Mesh:
        """The faces whose corners are all in ``mask``, moved outwards by ``thickness`` [V] metres."""
        faces = self.bodies.faces[mask[self.bodies.faces].all(1)]
        places = self.places + self.normals * thickness[:, None]
        return self._mesh(places, faces, np.broadcast_to(colour, places.shape), gloss, texture, scale)

    def skin(self, hidden: Mask, colour: Floats, texture: Floats) -> Mesh:
        """The faces of which a corner is not ``hidden``; colour [V, 3]."""
        faces = self.bodies.faces[~hidden[self.bodies.faces].all(1)]
        return self._mesh(self.places, faces, colour, 0.06, texture, 6.0)

    def _mesh(
        self, places: Places, faces: Corners, colour: Floats, gloss: float, texture: Floats, scale: float
    ) -> Mesh:
        used, corners = np.unique(faces, return_inverse=True)
        return Mesh.of(
            rest=places[used],
            normal=normals(places, self.bodies.faces)[used],
            bone=self.bodies.bones[used],
            weight=self.bodies.weights[used],
            face=corners.reshape(-1, 3),
            colour=colour[used],
            gloss=np.full(len(used), gloss),
            uv=places[used, :2] * scale,
            texture=texture,
        )


def dress(random: Random, bodies: Bodies, body: int, family: Family, own: Random | None = None) -> Person:
    """Draw skin, hair, clothes and what is worn on the head of a body; own: what draws all but the clothes."""
    own = own or random
    places = bodies.places[body]
    shape = _Shape(bodies, places, normals(places, bodies.faces))
    skin = linear(_between(own, _TONES) * own.uniform(0.92, 1.05, 3))
    hair = linear(np.clip(_between(own, _HAIR) + own.normal(0, 0.02, 3), 0.01, 1))
    if own.random() < 0.04:  # dyed
        hair = linear(own.uniform(0.1, 0.9, 3))
    cloth = _clothed(random, bodies)
    meshes = [shape.skin(cloth, _skin_colours(own, shape, skin, hair), _grain(own, 0.05))]
    meshes += _clothes(random, shape, cloth, family)
    meshes += _on_head(own, shape, hair, float(bodies.gender[body]), family)
    return Person(tuple(meshes))


def linear(srgb: Floats) -> Floats:
    """sRGB 0..1 to linear light, by the power law that is close to it."""
    return np.clip(srgb, 0, 1) ** 2.2


def _between(random: Random, colours: Floats) -> Floats:
    at = random.uniform(0, len(colours) - 1)
    low = int(at)
    high = min(low + 1, len(colours) - 1)
    mixed: Floats = colours[low] + (at - low) * (colours[high] - colours[low])
    return mixed


def _grain(random: Random, amount: float) -> Floats:
    """A texture about 1, [S, S, 3], the same for all colours."""
    noise = 0.6 * textures.noise(random, _SIDE, 12) + 0.4 * textures.noise(random, _SIDE, 40)
    return np.repeat(1 + amount * (2 * noise[..., None] - 1), 3, axis=2)


def _skin_colours(random: Random, shape: _Shape, skin: Floats, hair: Floats) -> Floats:
    """[V, 3]: the tone, redder lips and knuckles, light palms, brows, eyes, stubble or beard."""
    part, places = shape.bodies.part, shape.places
    colour = np.repeat(skin[None], len(places), 0)
    red = np.array([1.0, 0.62, 0.62])
    colour[part == Part.LIPS] = skin * (red if random.random() < 0.8 else red * (1.3, 0.5, 0.6))
    colour[part == Part.BROW] = 0.25 * skin + 0.75 * hair * 0.8
    colour[part == Part.SCALP] = 0.5 * skin + 0.5 * hair
    colour[part == Part.EYE] = 0.75
    colour[part == Part.IRIS] = linear(
        random.choice(((0.12, 0.08, 0.06), (0.25, 0.35, 0.45), (0.25, 0.3, 0.2)))
    )
    palm = (part == Part.HAND) & (_palm(shape) > 0.3)
    colour[palm] = colour[palm] * 0.72 + 0.28 * np.array([0.85, 0.52, 0.42])
    if random.random() < 0.2:
        mean, eye = shape.bodies.mean, shape.bodies.joint("eye.L")
        low = (part == Part.SKIN) & (mean[:, 1] < eye[1] - 0.045) & (mean[:, 2] > eye[2] - 0.075)
        colour[low] = colour[low] + random.uniform(0.3, 0.9) * (hair - colour[low])
    return colour


def _palm(shape: _Shape) -> Floats:
    """Cosine between the surface and the palm's direction at rest, [V]; hands only."""
    bodies = shape.bodies
    cosine = np.zeros(len(shape.places))
    for side, sign in (("L", 1.0), ("R", -1.0)):
        wrist, first, last, middle = (
            bodies.joint(f"{bone}.{side}") for bone in ("wrist", "finger2-1", "finger5-1", "finger3-1")
        )
        direction = sign * np.cross(last - first, middle - wrist)
        mine = np.sign(bodies.mean[:, 0]) == sign
        cosine[mine] = (shape.normals @ (direction / np.linalg.norm(direction)))[mine]
    return cosine


def _clothed(random: Random, bodies: Bodies) -> Mask:
    """Which vertices [V] a shirt or jacket and trousers cover."""
    part, along = bodies.part, bodies.along_arm
    sleeve = random.choice(
        (0.25, random.uniform(0.35, 0.8), random.uniform(0.9, 1.3), random.uniform(1.6, 2.0)),
        p=(0.06, 0.38, 0.12, 0.44),
    )
    cloth: Mask = np.isin(part, (Part.TORSO, Part.PELVIS, Part.LEG, Part.FOOT)) | ((along >= 0) & (along <= sleeve))
    mean, neck = bodies.mean, bodies.joint("neck01")
    if random.random() < 0.35:  # a neckline
        deep, wide = random.uniform(0.0, 0.09), random.uniform(0.04, 0.09)
        above = mean[:, 1] - (neck[1] - deep) > abs(mean[:, 0]) / wide * deep
        cloth &= ~(above & (abs(mean[:, 0]) < wide) & (mean[:, 2] > neck[2]))
    elif random.random() < 0.4:  # a collar or a hood
        cloth |= (part == Part.NECK) & (mean[:, 1] < neck[1] + random.uniform(0.02, 0.07))
    return cloth


def _clothes(random: Random, shape: _Shape, cloth: Mask, family: Family) -> list[Mesh]:
    """One or two shells of fabric: all of it, or above and below the waist."""
    part = shape.bodies.part
    below = np.isin(part, (Part.LEG, Part.FOOT, Part.PELVIS))
    loose = random.uniform(0.004, 0.022)
    folds = textures.noise(random, 64, int(random.integers(4, 14)))
    column, row = ((shape.places[:, axis] * 40 % 64).astype(int) for axis in (0, 1))
    thickness = loose * (0.6 + 0.8 * folds[row, column])
    upper = _fabric(random, family)
    meshes = [shape.shell(cloth & ~below, thickness, *upper)]
    lower = cloth & (
        below | (shape.places[:, 1] < shape.bodies.heads[:, shape.bodies.names.index("spine04"), 1].mean())
    )
    meshes.append(shape.shell(lower, np.full(len(part), 0.003), *_fabric(random, family)))
    return meshes


def _fabric(random: Random, family: Family) -> tuple[Floats, float, Floats, float]:
    """Colour [3], gloss, texture [S, S, 3] and its repeats a metre."""
    if random.random() < 0.5:  # plain
        colour = linear(textures.colour(random) / 255)
        return (
            colour,
            random.uniform(0, 0.04),
            _grain(random, random.uniform(0.02, 0.2)),
            random.uniform(2, 6),
        )
    name = str(random.choice(family.textures))
    picture = textures.DRAW[name](random, _SIDE, photos.available(family.photos))
    return np.ones(3), random.uniform(0, 0.04), linear(picture / 255.0), random.uniform(1.5, 5)


def _on_head(random: Random, shape: _Shape, hair: Floats, gender: float, family: Family) -> list[Mesh]:
    """Hair, a cap, glasses, headphones, a mask, or none of them."""
    bodies = shape.bodies
    part, mean, eye, neck = bodies.part, bodies.mean, bodies.joint("eye.L"), bodies.joint("neck01")
    meshes, grown = [], part == Part.SCALP
    back = (
        np.isin(part, (Part.SKIN, Part.NECK, Part.TORSO))
        & (mean[:, 2] < eye[2] - 0.085)
        & ~((part == Part.SKIN) & (abs(mean[:, 0]) > 0.07))
    )
    if random.random() < 0.2 + 0.6 * (1 - gender):  # gender: 1 is male
        grown = grown | (
            back & (mean[:, 1] > neck[1] - random.uniform(-0.03, 0.16)) & (abs(mean[:, 0]) < 0.11)
        )
    if random.random() < 0.92:
        thick = random.uniform(0.004, 0.03) * (
            0.7
            + 0.6
            * textures.noise(random, 64, 10)[tuple((mean[:, axis] * 150 % 64).astype(int) for axis in (1, 2))]
        )
        meshes.append(shape.shell(grown, thick, hair, 0.05, _grain(random, 0.35), 9.0))
    if random.random() < 0.08:  # a cap
        cap = (part == Part.SCALP) & (mean[:, 1] > eye[1] + 0.03)
        meshes.append(shape.shell(cap, np.full(len(part), 0.033), *_fabric(random, family)))
    if random.random() < 0.05:  # a mask before mouth and nose
        face = (
            np.isin(part, (Part.SKIN, Part.LIPS))
            & (mean[:, 1] < eye[1] - 0.025)
            & (mean[:, 2] > eye[2] - 0.06)
        )
        meshes.append(shape.shell(face, np.full(len(part), 0.007), *_fabric(random, family)))
    bone = bodies.names.index("head")
    own = shape.places[part == Part.IRIS]
    if random.random() < 0.3 and len(own):
        centre = own.mean(0)
        apart, dark = (
            float(abs(own[:, 0]).mean()),
            linear(random.uniform(0.02, 0.5, 3) * random.uniform(0.1, 1)),
        )
        for sign in (1, -1):
            rim = _ring(np.array([sign * apart, centre[1] - 0.004, centre[2] + 0.014]), 0.024, 0.0022, (0, 1))
            meshes.append(_rigid(*rim, bone, dark))
    if random.random() < 0.12:
        top = shape.places[part == Part.SCALP]
        middle = np.array([0, eye[1] - 0.005 + shape.places[:, 1].max() - mean[:, 1].max(), eye[2] - 0.085])
        wide = float(abs(top[:, 0]).max()) + 0.012
        band = _ring(
            middle, wide, 0.008, (0, 1), tall=float(top[:, 1].max() - middle[1] + 0.01) / wide, half=True
        )
        shade = linear(random.uniform(0.02, 0.9) * np.ones(3))
        meshes.append(_rigid(*band, bone, shade))
        for sign in (1, -1):
            cup = _ring(middle + np.array([sign * wide, -0.01, 0]), 0.022, 0.02, (2, 1))
            meshes.append(_rigid(*cup, bone, shade))
    return meshes


def _ring(
    centre: Floats,
    radius: float,
    thick: float,
    axes: tuple[int, int],
    *,
    tall: float = 1.0,
    half: bool = False,
) -> tuple[Floats, NDArray[np.int64]]:
    """A torus in the plane of two axes, or the upper half of one: vertices [V, 3], faces [F, 3]."""
    around, across = 20, 6
    turn = np.linspace(0, np.pi if half else 2 * np.pi, around, endpoint=half)
    tube = np.linspace(0, 2 * np.pi, across, endpoint=False)
    out = radius + thick * np.cos(tube)
    places = np.empty((around, across, 3))
    other = 3 - sum(axes)
    places[..., axes[0]] = np.cos(turn)[:, None] * out
    places[..., axes[1]] = np.sin(turn)[:, None] * out * tall
    places[..., other] = thick * np.sin(tube)
    at = np.arange(around if not half else around - 1)[:, None]
    side = np.arange(across)
    a, b = at * across + side, (at + 1) % around * across + side
    c, d = at * across + (side + 1) % across, (at + 1) % around * across + (side + 1) % across
    faces = np.concatenate(
        [np.stack(np.broadcast_arrays(*corners), -1).reshape(-1, 3) for corners in ((a, b, c), (b, d, c))]
    )
    return places.reshape(-1, 3) + centre, faces


def _rigid(places: Floats, faces: NDArray[np.int64], bone: int, colour: Floats) -> Mesh:
    """A mesh that moves with one bone, seen from both sides."""
    count = len(places)
    both = np.concatenate([faces, faces[:, ::-1]])
    weight = np.zeros((count, 4))
    weight[:, 0] = 1
    return Mesh.of(
        rest=places,
        normal=normals(places, faces),
        bone=np.full((count, 4), bone),
        weight=weight,
        face=both,
        colour=np.broadcast_to(colour, (count, 3)),
        gloss=np.full(count, 0.1),
        uv=np.zeros((count, 2)),
        texture=np.ones((1, 1, 3)),
    )
