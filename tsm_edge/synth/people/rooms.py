"""Places to be in: eighteen panoramas of Poly Haven (CC0-1.0) with their light, and what stands about in a room.

:mod:`.export_rooms` makes the panoramas' file.

Directions are in the axes of a person who looks into the camera (:mod:`.skeleton`): the camera looks along -z.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import photos, textures
from ..families import Family

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
Random = np.random.Generator

#: which panoramas a family of people may draw: indoors and outdoors in each
MEMBERS = {
    "train": (
        "apartment",
        "bridge",
        "city",
        "dawn",
        "hall",
        "lab",
        "night",
        "park",
        "sky",
        "studio",
        "warehouse",
    ),
    "dev": ("esplanade", "sunset", "workshop"),
    "test": ("forest", "lobby", "sunrise", "venice"),
}
_KEY_SHARE = 0.04  # of the directions are the key light
# irradiance from radiance, by spherical harmonics up to the second order: Ramamoorthi and Hanrahan, "An efficient
# representation for irradiance environment maps", 2001; here squared constants times the cosine lobe over pi
_SQUARED = (
    np.array([0.282095, 0.488603, 0.488603, 0.488603, 1.092548, 1.092548, 0.315392, 1.092548, 0.546274]) ** 2
)
_LOBE = np.array([1, *[2 / 3] * 3, *[1 / 4] * 5])


@dataclass(frozen=True)
class Light:
    """``harmonics``: [9, 3], irradiance as :class:`.raster.Look` has it. ``towards``: unit [3], to the strongest light;
    ``key``: its colour [3].
    """

    harmonics: Floats
    towards: Floats
    key: Floats


@dataclass(frozen=True)
class Room:
    """A place, seen all around.

    ``picture``: uint8 [256, 512, 3] RGB.
    ``radiance``: float64 [16, 32, 3], mean 1.
    """

    picture: Pixels
    radiance: Floats

    def view(self, yaw: float, pitch: float, fov: float, shape: tuple[int, int]) -> Pixels:
        """What a camera sees that looks to ``yaw`` and up by ``pitch``, uint8 [H, W, 3].

        Radians; fov: of the height.
        """
        import cv2

        height, width = shape
        focal = 0.5 * height / np.tan(fov / 2)
        x = (np.arange(width) + 0.5 - width / 2)[None, :] / focal
        y = (height / 2 - np.arange(height) - 0.5)[:, None] / focal
        forward, up = np.cos(pitch) - y * np.sin(pitch), np.sin(pitch) + y * np.cos(pitch)
        azimuth = yaw + np.arctan2(x, forward)
        elevation = np.arctan2(up, np.hypot(x, forward))
        rows, columns = self.picture.shape[:2]
        column = (azimuth / (2 * np.pi) % 1.0 * columns - 0.5).astype(np.float32)
        row = np.broadcast_to((0.5 - elevation / np.pi) * rows - 0.5, column.shape).astype(np.float32)
        return np.asarray(cv2.remap(self.picture, column, row, cv2.INTER_CUBIC, borderMode=cv2.BORDER_WRAP))

    def light(self, yaw: float) -> Light:
        """The light on a person before a camera that looks to ``yaw``."""
        rows, columns = self.radiance.shape[:2]
        azimuth = 2 * np.pi * (np.arange(columns) + 0.5) / columns - yaw
        elevation = np.pi * (0.5 - (np.arange(rows) + 0.5) / rows)
        cosine = np.cos(elevation)[:, None]
        directions = np.stack(
            [
                cosine * np.sin(azimuth),
                np.repeat(np.sin(elevation)[:, None], columns, 1),
                -cosine * np.cos(azimuth),
            ],
            -1,
        ).reshape(-1, 3)
        solid = np.repeat(cosine * (np.pi / rows) * (2 * np.pi / columns), columns, 1).ravel()
        radiance = self.radiance.reshape(-1, 3)
        bright = np.argsort(-radiance.mean(1), kind="stable")[: int(_KEY_SHARE * len(solid))]
        floor = np.median(radiance, axis=0)
        excess = np.zeros_like(radiance)
        excess[bright] = np.maximum(radiance[bright] - floor, 0)
        towards = (excess.mean(1) * solid) @ directions
        key = (excess * solid[:, None]).sum(0) / np.pi
        harmonics = (
            _SQUARED[:, None]
            * _LOBE[:, None]
            * (_basis(directions).T @ ((radiance - excess) * solid[:, None]))
        )
        strength = harmonics[0].mean() + 0.5 * key.mean()
        return Light(harmonics / strength, towards / (np.linalg.norm(towards) + 1e-9), key / strength)


def _basis(directions: Floats) -> Floats:
    """The polynomials of the spherical harmonics at directions [N, 3], [N, 9], in the order of raster.c."""
    x, y, z = directions.T
    return np.stack([np.ones_like(x), y, z, x, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y], 1)


@cache
def load(name: str) -> Room:
    """The panorama of that name."""
    import cv2

    with np.load(Path(__file__).with_name("rooms.npz"), allow_pickle=False) as file:
        at = file["names"].tolist().index(name)
        begin, end = (0, *file["ends"])[at], file["ends"][at]
        picture = cv2.imdecode(file["pictures"][begin:end], cv2.IMREAD_COLOR)
        return Room(np.ascontiguousarray(picture[:, :, ::-1]), file["lights"][at].astype(np.float64))


def backdrop(
    random: Random, names: tuple[str, ...], family: Family, fov: float, shape: tuple[int, int]
) -> tuple[Pixels, Light]:
    """What is behind a person, uint8 [H, W, 3] RGB, and the light: a panorama, a photograph or a drawn wall, with
    furniture before it in some.
    """
    import cv2

    room, yaw = load(str(random.choice(names))), random.uniform(0, 2 * np.pi)
    light = room.light(yaw)
    kind, side = random.random(), max(shape)
    if kind < 0.45:
        picture = room.view(yaw, random.uniform(-0.25, 0.2), fov, shape)
    else:
        usable = photos.available(family.photos)
        name = "photo" if kind < 0.65 else str(random.choice(family.backgrounds))
        square = textures.DRAW[name](random, side, usable)
        top, left = (side - shape[0]) // 2, (side - shape[1]) // 2
        picture = np.ascontiguousarray(square[top : top + shape[0], left : left + shape[1]])
    for _ in range(int(random.choice(5, p=(0.3, 0.25, 0.2, 0.15, 0.1)))):
        _FURNITURE[int(random.integers(len(_FURNITURE)))](random, picture)
    sigma = random.choice((0.0, 0.8, 2.5), p=(0.5, 0.3, 0.2)) * side / 160
    return (np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma)) if sigma else picture), light


def _box(random: Random, picture: Pixels, low: float, high: float) -> tuple[int, int, int, int]:
    """A rectangle inside or partly outside of the picture: left, top, right, bottom."""
    height, width = picture.shape[:2]
    wide, tall = random.uniform(low, high, 2) * (width, height)
    x, y = random.uniform(-0.1, 1.0) * width, random.uniform(-0.1, 0.8) * height
    return int(x), int(y), int(x + wide), int(y + tall)


def _colour(random: Random) -> tuple[float, ...]:
    return tuple(float(value) for value in textures.colour(random))


def _shelf(random: Random, picture: Pixels) -> None:
    """Boards with books between them."""
    import cv2

    left, top, right, bottom = _box(random, picture, 0.25, 0.7)
    cv2.rectangle(picture, (left, top), (right, bottom), _colour(random), -1)
    boards = np.linspace(top, bottom, int(random.integers(3, 6))).astype(int)
    for upper, lower in zip(boards, boards[1:]):
        x = left
        while x < right - 3:
            wide = int(random.integers(2, 8))
            tall = int((lower - upper) * random.uniform(0.5, 0.95))
            if random.random() < 0.8:
                cv2.rectangle(picture, (x, lower - tall), (min(x + wide, right), lower), _colour(random), -1)
            x += wide + 1


def _panel(random: Random, picture: Pixels) -> None:
    """A window, door, picture or screen: a frame around a surface, bright in some."""
    import cv2

    left, top, right, bottom = _box(random, picture, 0.12, 0.5)
    cv2.rectangle(picture, (left, top), (right, bottom), _colour(random), -1)
    edge = max(1, (right - left) // int(random.integers(8, 20)))
    inner = (255.0,) * 3 if random.random() < 0.25 else _colour(random)
    cv2.rectangle(picture, (left + edge, top + edge), (right - edge, bottom - edge), inner, -1)


def _plant(random: Random, picture: Pixels) -> None:
    """Leaves of one colour around a place."""
    import cv2

    left, top, right, bottom = _box(random, picture, 0.1, 0.35)
    green = np.array([60, 110, 50]) * random.uniform(0.4, 1.6)
    for _ in range(int(random.integers(12, 40))):
        centre = (int(random.uniform(left, right)), int(random.uniform(top, bottom)))
        axes = (int(random.integers(1, 5)), int(random.integers(4, 14)))
        shade = tuple(float(value) for value in np.clip(green * random.uniform(0.7, 1.3), 0, 255))
        cv2.ellipse(picture, centre, axes, random.uniform(0, 180), 0, 360, shade, -1, cv2.LINE_AA)


_FURNITURE = (_shelf, _panel, _panel, _plant)
