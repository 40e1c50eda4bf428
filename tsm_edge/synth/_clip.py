"""One clip from random numbers: the scene is drawn once, then every frame is put together from it.

A frame is: background and distractors, the foreground cut out by its shape, an occluder in front of some clips, all
seen by a camera that shakes; then light, blur, noise and compression. Coordinates: see :mod:`.motion`.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..pixels import Pixels, saturated
from . import camera, crowd, photos, shapes, textures
from .families import Family, family
from .motion import LABELS, MOVES, Track, draw_timing

Floats = NDArray[np.float64]
Random = np.random.Generator

#: frames of a clip: one second
FRAMES = 12
_TEXTURE = (
    96  # side of the foreground's surface in its own pixels; the shape is at most 1.6 of its units wide
)


@dataclass(frozen=True)
class Clip:
    """``frames``: uint8 [T, size, size, 3] RGB. ``track``: how the foreground moved (it is there even when unseen)."""

    frames: Pixels
    label: str
    track: Track


@dataclass(frozen=True)
class Scene:
    """What does not change during a clip. ``shape`` None: there is no foreground."""

    background: Pixels
    surface: Pixels
    shape: shapes.Shape | None
    distractors: tuple[camera.Distractor | crowd.Walker, ...]
    occluder: tuple[Floats, tuple[float, float, float]] | None


def render(split: str, seed: int, index: int, *, size: int = 110, frames: int = FRAMES) -> Clip:
    """Draw clip ``index`` of a split; its class is ``LABELS[index % 11]``. Same arguments, same bytes.

    size: side of the frames in pixels. frames: how many, at about ``RATE_FPS``.

    Raises:
        UnknownName: there is no such split.
    """
    kind = family(split)
    random = np.random.Generator(np.random.PCG64([seed, zlib.crc32(split.encode()), index]))
    label = LABELS[index % len(LABELS)]
    timing = draw_timing(random, kind.durations, frames)
    track = MOVES[label](random, timing)
    scene = draw_scene(random, kind, track, size, quiet=label == "No gesture")
    view = camera.shake(random, timing.times, kind.clutter)
    drawn = [draw_frame(scene, track, view, timing.times, at, size) for at in range(frames)]
    return Clip(camera.develop(random, drawn, timing.times, kind.clutter), label, track)


def draw_scene(random: Random, kind: Family, track: Track, size: int, *, quiet: bool) -> Scene:
    """Everything that stays as it is during a take; quiet: nobody makes a gesture, there may be no hand at all."""
    usable = photos.available(kind.photos)
    margin = int(1.3 * size)
    background = textures.DRAW[str(random.choice(kind.backgrounds))](random, margin, usable)
    if random.random() < 0.35 * kind.clutter:
        camera.put_person(random, background)
    name = str(random.choice(kind.shapes))
    shape = shapes.BUILD[name](random, kind.finger_width)
    surface_name = "skin" if name == "hand" and random.random() < 0.7 else str(random.choice(kind.textures))
    surface = textures.DRAW[surface_name](random, _TEXTURE, usable)
    surface = camera.contrasted(random, surface, _behind(background, track))
    absent = random.random() < 0.5 and quiet
    distractors: tuple[camera.Distractor | crowd.Walker, ...] = tuple(
        camera.distractor(random) for _ in range(int(kind.clutter * random.choice((0, 0, 1, 2))))
    )
    if random.random() < (0.5 if absent else 0.08) * kind.clutter:
        distractors = crowd.walkers(random)
    occluder = camera.occluder(random) if random.random() < 0.12 * kind.clutter else None
    return Scene(background, surface, None if absent else shape, distractors, occluder)


def _behind(background: Pixels, track: Track) -> Pixels:
    """The part of the background that the foreground passes."""
    side = background.shape[0]
    spans = []
    for places in (track.y, track.x):
        places = np.clip(places, -0.4, 0.4)
        first, last = (places.min() - 0.15 + 0.65) / 1.3, (places.max() + 0.15 + 0.65) / 1.3
        spans.append(slice(int(first * side), int(last * side) + 1))
    return background[spans[0], spans[1]]


def draw_frame(scene: Scene, track: Track, view: camera.View, times: Floats, at: int, size: int) -> Pixels:
    """Frame ``at``, as the camera sees it, before light and codec; ``times`` [T] in seconds."""
    import cv2

    to_frame = view.matrix(at, size)  # from units of the scene to pixels
    side = scene.background.shape[0]
    from_background = to_frame @ np.array([(1.3 / side, 0, -0.65), (0, 1.3 / side, -0.65), (0, 0, 1)])
    image: Pixels = cv2.warpAffine(scene.background, from_background, (size, size), borderMode=cv2.BORDER_REFLECT_101)
    for thing in scene.distractors:
        thing.draw(image, to_frame, times[at])
    if scene.shape is not None:
        image = _with_foreground(image, scene, track, view, to_frame, at)
    if scene.occluder is not None:
        corners, colour = scene.occluder
        cv2.fillPoly(image, [shapes.pixels(corners, to_frame)], colour, cv2.LINE_AA, 4)
    return image


def _with_foreground(
    image: Pixels, scene: Scene, track: Track, view: camera.View, to_frame: Floats, at: int
) -> Pixels:
    """Cut the surface out by the shape, blur both along the way they move, and lay them over the picture."""
    import cv2

    size = image.shape[0]
    cos, sin = np.cos(track.angle[at]) * track.size[at], np.sin(track.angle[at]) * track.size[at]
    place = np.array([(cos, -sin, track.x[at]), (sin, cos, track.y[at]), (0, 0, 1)])
    to_pixels = to_frame @ place
    shade = np.zeros((size, size), np.uint8)
    assert scene.shape is not None
    scene.shape(shade, to_pixels, float(track.openness[at]))
    scale = 1.6 / _TEXTURE
    on_shape = np.array([(scale, 0, -0.8), (0, scale, -0.8), (0, 0, 1)])
    surface = cv2.warpAffine(
        scene.surface, to_pixels @ on_shape, (size, size), borderMode=cv2.BORDER_REFLECT_101
    )
    cover = np.minimum(shade, 100)[..., None].astype(np.float32) * 0.01
    rounded = cv2.blur(shade, (5, 5)).astype(np.float32) * 0.0025 + shade.astype(np.float32) * 0.0025
    layer = np.concatenate([surface * (np.minimum(rounded, 1.15)[..., None] * cover), cover], axis=2)
    step = np.array([np.gradient(track.x)[at], np.gradient(track.y)[at]]) @ to_frame[:, :2].T
    kernel = camera.streak(step * view.exposure)
    if kernel is not None:
        layer = cv2.filter2D(layer, -1, kernel)
    seen = image * (1 - layer[..., 3:]) + layer[..., :3]
    return saturated(seen)
