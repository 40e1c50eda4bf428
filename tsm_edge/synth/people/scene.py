"""A take of one person before a camera: who, where, the light, the lens, and what the sensor makes of it.

The picture is the square in the middle of the camera's. Every frame is the mean of a few moments of its exposure, which
is motion blur, drawn at twice the size.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...errors import UnknownName
from .. import camera, textures
from ..families import TEST, TRAIN, Family
from ..motion import LABELS, RATE_FPS
from . import bodies, raster, rooms, surface
from .performance import Performance, perform
from .skeleton import Skeleton

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
Random = np.random.Generator
#: what is drawn -> the generator that draws it: "movement", "bystander", or what stays in a session of one person
Dice = Callable[[str], Random]

#: frames of a take: three seconds
FRAMES = 36
MOMENTS = 3  # of an exposure
_TRIES = 12  # cameras that are drawn before one is good enough
_FAR = np.float32(1e9)


@dataclass(frozen=True)
class PeopleFamily:
    """What a split is drawn from. ``members``: of bodies, rooms and movement (:mod:`.bodies`, :mod:`.rooms`,
    :mod:`.performance`); ``surfaces``: textures, walls and photographs of the two-dimensional family.

    wrap, levels: ranges of how light falls on a surface (:class:`.raster.Look`). fov: degrees of the height.
    """

    members: str
    surfaces: Family
    wrap: tuple[float, float]
    levels: tuple[float, float]
    fov: tuple[float, float]


#: what the tests wear and what hangs behind them: the surfaces of the two-dimensional test, in two parts
_DEV = replace(TEST, textures=("checks", "photo"), backgrounds=("plaid", "photo"), photos=("china", "rocket"))
_TEST = replace(
    TEST, textures=("cells", "photo"), backgrounds=("cells", "photo"), photos=("flower", "hubble_deep_field")
)
FAMILIES = {
    "people": PeopleFamily("train", TRAIN, (0.0, 0.5), (0, 0), (36, 62)),
    "people-dev": PeopleFamily("dev", _DEV, (0.0, 0.3), (3, 6), (36, 62)),
    "people-test": PeopleFamily("test", _TEST, (0.5, 0.9), (0, 0), (32, 68)),
}


@dataclass(frozen=True)
class Take:
    """``frames``: uint8 [T, size, size, 3] RGB. ``cues``: (label, begin, end), in frames, the end exclusive."""

    frames: Pixels
    label: str
    cues: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Staging:
    """What is known of a take before it is drawn: which body, its posture, and ``places`` [N, 3] for the camera to see.

    places: where hands will be, in the person's axes.
    """

    body: int
    posture: str
    places: Floats


@dataclass(frozen=True)
class _Actor:
    """Somebody: meshes, and their bones [T * moments, B, 3, 4]."""

    meshes: tuple[raster.Mesh, ...]
    bones: Floats


def render_take(
    split: str, seed: int, index: int, *, size: int = 110, frames: int = FRAMES, rate_fps: float | None = None
) -> Take:
    """Draw take ``index`` of a split; its class is ``LABELS[index % 11]``. Same arguments, same bytes.

    size: side of the frames in pixels. rate_fps: an even rate; None for about ``RATE_FPS``, as a camera keeps it.

    Raises:
        UnknownName: there is no such split.
        ExtraMissing: there is no C compiler.
    """
    if split not in FAMILIES:
        raise UnknownName.of("split", split, FAMILIES)
    family = FAMILIES[split]
    random = np.random.Generator(np.random.PCG64([seed, zlib.crc32(split.encode()), index]))
    label = LABELS[index % len(LABELS)]
    rate = rate_fps or RATE_FPS * random.uniform(0.88, 1.14)
    late = random.uniform(-0.12, 0.12, frames) * (rate_fps is None)
    begins = (np.arange(frames) + late) / rate
    clock = Clock.of(begins, random.uniform(0.1, 0.95) / rate)
    return filmed(lambda _: random, family, label, clock, size)


@dataclass(frozen=True)
class Clock:
    """When frames begin, [T], and when the moments of their exposures are, [T * MOMENTS], from 0."""

    begins: Floats
    times: Floats

    @classmethod
    def of(cls, begins: Floats, exposure: float) -> Clock:
        """Frames whose shutter is open for ``exposure`` seconds."""
        times = begins[:, None] + exposure * np.linspace(0, 1, MOMENTS)
        return cls(begins, times.ravel() - times.min())


def filmed(
    dice: Dice, family: PeopleFamily, label: str, clock: Clock, size: int, staging: Staging | None = None
) -> Take:
    """Draw one take of a gesture; what is not in ``staging`` is drawn, too."""
    drawn, performance = _drawn(dice, family, label, clock.times, size, staging)
    view = camera.shake(dice("shake"), clock.begins)
    seen = [_framed(picture, view, at, size) for at, picture in enumerate(drawn)]
    frames = camera.develop(dice("sensor"), seen, clock.begins)
    return Take(frames, label, _in_frames(performance, clock.times[::MOMENTS]))


def _in_frames(performance: Performance, times: Floats) -> tuple[tuple[str, int, int], ...]:
    """The cues in frames that begin at ``times``: at least one frame each."""
    found = []
    for cue in performance.cues:
        begin, end = np.searchsorted(times, (cue.start_s, cue.end_s)).tolist()
        begin = min(begin, len(times) - 1)
        found.append((cue.label, begin, max(end, begin + 1)))
    return tuple(found)


def _drawn(
    dice: Dice, family: PeopleFamily, label: str, times: Floats, size: int, staging: Staging | None
) -> tuple[list[Floats], Performance]:
    """The pictures before the sensor, linear [2 size, 2 size, 3] each, and how the person moved."""
    body = staging.body if staging else int(dice("body").choice(bodies.MEMBERS[family.members]))
    people = bodies.load()
    skeleton = people.skeleton(body)
    posture = staging.posture if staging else ""
    performance = perform(dice("movement"), skeleton, label, times, family.members, posture=posture)
    person = surface.dress(dice("clothes"), people, body, family.surfaces, dice("person"))
    bones = skeleton.posed(performance.rotations, performance.root_rotation, performance.root_shift)
    actors = [_Actor(person.meshes, bones)]
    eye = skeleton.head("eye.L") * (0, 1, 1)
    random = dice("bystander")
    if random.random() < 0.15:
        actors.append(_bystander(random, family, times))
    places = staging.places if staging else hand_places(performance, skeleton, bones)
    look, fov = _framing(dice("camera"), family, eye, places, 2 * size)
    random = dice("room")
    backdrop, light = rooms.backdrop(
        random, rooms.MEMBERS[family.members], family.surfaces, fov, (2 * size, 2 * size)
    )
    behind = surface.linear(backdrop / 255.0).astype(np.float32) * np.float32(random.uniform(0.6, 1.3))
    look = _lit(dice("light"), family, look, light)
    fixed = _furniture(dice("furniture"), eye)
    pictures = []
    for at in range(len(times) // MOMENTS):
        total = np.zeros_like(behind)
        for moment in range(at * MOMENTS, (at + 1) * MOMENTS):
            picture, depth = behind.copy(), np.full(behind.shape[:2], _FAR)
            posed = [(mesh, actor.bones[moment]) for actor in actors for mesh in actor.meshes]
            raster.draw([*fixed, *posed], look, picture, depth)
            total += picture
        pictures.append(total / MOMENTS)
    return _exposed(dice("exposure"), pictures), performance


def _exposed(random: Random, pictures: list[Floats]) -> list[Floats]:
    """What a camera that measures the middle of its first picture makes of the light; not all the way."""
    side = len(pictures[0])
    middle = float(pictures[0][side // 5 : -side // 5, side // 5 : -side // 5].mean())
    gain = np.float32((random.uniform(0.14, 0.4) / (middle + 0.01)) ** random.uniform(0.3, 1.0))
    return [picture * gain for picture in pictures]


def hand_places(performance: Performance, skeleton: Skeleton, bones: Floats) -> Floats:
    """Where the hands that make the gesture are meanwhile, [N, 3]; empty in quiet takes."""
    places = [np.empty((0, 3))]
    for cue in performance.cues:
        moments = np.flatnonzero((performance.times >= cue.start_s) & (performance.times <= cue.end_s))
        for side in performance.hands:
            bone = skeleton.index[f"finger3-1.{side}"]
            places.append(bones[moments, bone] @ np.append(skeleton.heads[bone], 1.0))
    return np.concatenate(places)


def _framing(
    random: Random, family: PeopleFamily, eye: Floats, places: Floats, side: int
) -> tuple[raster.Look, float]:
    """A camera that sees most of a gesture: the first of some in whose picture the hand is for a drawn share of the
    time, else the best of them.
    """
    wanted, best, found = random.uniform(0.55, 1.0), -1.0, None
    for _ in range(_TRIES):
        look, fov = _look(random, family, eye, places, side)
        seen = places @ look.view[:, :3].T + look.view[:, 3]
        spots = seen[:, :2] / np.maximum(seen[:, 2:], 0.05) * look.focal / side
        share = float((abs(spots) < 0.46).all(1).mean()) if len(places) else 1.0
        if share > best:
            best, found = share, (look, fov)
        if best >= wanted:
            break
    assert found
    return found


def _look(
    random: Random, family: PeopleFamily, eye: Floats, places: Floats, side: int
) -> tuple[raster.Look, float]:
    """A camera before a person whose eyes are at ``eye``, without light; and its field of view in radians.

    It looks somewhere between the eyes and where the hands are, ``places`` [N, 3].
    """
    fov = np.radians(random.uniform(*family.fov))
    near = random.random() < 0.8
    tall = (
        random.uniform(0.55, 1.15) if near else random.uniform(1.1, 1.9)
    )  # metres of the picture where the person is
    distance = min(0.5 * tall / np.tan(fov / 2), 3.2)
    hands = places.mean(0) if len(places) else eye - (0, 0.25, 0)
    place = eye + (
        random.normal(0, 0.12) * distance,
        random.uniform(-0.3, 0.15) * min(distance, 1.2),
        distance,
    )
    aim = eye + random.uniform(0.1, 0.8) * (hands - eye) * (1, 1, 0)
    aim = aim + (random.normal(0, 0.06) * tall, random.normal(-0.02, 0.06) * tall, 0)
    away = (aim - place) / np.linalg.norm(aim - place)
    roll = random.normal(0, 0.03)
    right = np.cross(away, (np.sin(roll), np.cos(roll), 0))
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(away, right), away])
    view = np.concatenate([axes, -axes @ place[:, None]], axis=1)
    dark = np.zeros(3)
    return raster.Look(
        view, 0.5 * side / np.tan(fov / 2), (side / 2, side / 2), np.zeros((9, 3)), dark, dark
    ), fov


def _lit(random: Random, family: PeopleFamily, look: raster.Look, light: rooms.Light) -> raster.Look:
    """The camera in a light: that of the room, or one lamp, window or screen."""
    towards, key, harmonics = light.towards, light.key, light.harmonics
    if random.random() < 0.5:
        towards = random.normal(0, 1, 3) + (0, 0.7, 0.6)
        towards = towards / np.linalg.norm(towards)
        warm = np.array([1.0, 0.85, 0.7]) ** random.uniform(-0.6, 1.0)
        key = random.uniform(0.2, 1.6) * warm
        harmonics = np.zeros((9, 3))
        harmonics[0] = random.uniform(0.15, 0.7) * warm ** random.uniform(-1, 1)
        harmonics[1] = random.uniform(-0.1, 0.3) * harmonics[0]
    gain = random.uniform(0.55, 1.35)
    return raster.Look(
        look.view,
        look.focal,
        look.centre,
        harmonics * gain,
        towards,
        key * gain,
        random.uniform(*family.wrap),
        float(np.round(random.uniform(*family.levels))),
    )


def _bystander(random: Random, family: PeopleFamily, times: Floats) -> _Actor:
    """Somebody behind who does something else, and in some walks by."""
    people = bodies.load()
    body = int(random.choice(bodies.MEMBERS[family.members]))
    skeleton = people.skeleton(body)
    label = str(random.choice(("No gesture", "Doing other things")))
    performance = perform(random, skeleton, label, times, family.members)
    side = float(random.choice((-1, 1)))
    shift = performance.root_shift + (side * random.uniform(0.3, 1.2), 0, -random.uniform(0.5, 2.5))
    if random.random() < 0.4:
        shift[:, 0] += side * random.uniform(-1.2, 1.2) * (times - times[-1] / 2)
    bones = skeleton.posed(performance.rotations, performance.root_rotation, shift)
    return _Actor(surface.dress(random, people, body, family.surfaces).meshes, bones)


def _furniture(random: Random, eye: Floats) -> list[tuple[raster.Mesh, Floats]]:
    """A desk before the person, the back of a chair behind, or neither; each with the one bone that keeps it still."""
    still = np.eye(3, 4)[None]
    made = []
    if random.random() < 0.25:
        top = eye[1] - random.uniform(0.42, 0.6)
        made.append(_board(random, (-1.2, top - 0.04, 0.28), (1.2, top, 1.5)))
    if random.random() < 0.25:
        wide = random.uniform(0.17, 0.3)
        made.append(
            _board(random, (-wide, eye[1] - 0.9, -0.3), (wide, eye[1] - random.uniform(-0.08, 0.3), -0.22))
        )
    return [(mesh, still) for mesh in made]


def _board(random: Random, low: tuple[float, float, float], high: tuple[float, float, float]) -> raster.Mesh:
    """A box of one colour between two corners."""
    places: list[Floats] = []
    normal: list[Floats] = []
    faces: list[tuple[int, int, int]] = []
    for axis in range(3):
        for end, sign in ((low, -1.0), (high, 1.0)):
            first, second = ((axis + 1) % 3, (axis + 2) % 3) if sign > 0 else ((axis + 2) % 3, (axis + 1) % 3)
            corners = np.empty((4, 3))
            corners[:, axis] = end[axis]
            corners[:, first] = np.array([low, high, high, low])[:, first]
            corners[:, second] = np.array([low, low, high, high])[:, second]
            base = 4 * len(places)
            places.append(corners)
            normal.append(np.repeat(sign * np.eye(3)[axis][None], 4, 0))
            faces += [(base, base + 1, base + 2), (base, base + 2, base + 3)]
    count = 4 * len(places)
    weight = np.zeros((count, 4))
    weight[:, 0] = 1
    return raster.Mesh.of(
        rest=np.concatenate(places),
        normal=np.concatenate(normal),
        bone=np.zeros((count, 4)),
        weight=weight,
        face=np.array(faces),
        colour=np.repeat(surface.linear(textures.colour(random) / 255)[None], count, 0),
        gloss=np.full(count, 0.02),
        uv=np.zeros((count, 2)),
        texture=np.ones((1, 1, 3)),
    )


def _framed(picture: Floats, view: camera.View, at: int, size: int) -> Pixels:
    """A linear picture of twice the size as the shaking camera's sensor has it, uint8 [size, size, 3]."""
    import cv2

    small = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
    srgb = (255 * np.clip(small, 0, 1) ** np.float32(1 / 2.2)).astype(np.uint8)
    matrix = view.matrix(at, size) @ np.array([(1 / size, 0, -0.5), (0, 1 / size, -0.5), (0, 0, 1)])
    return np.asarray(cv2.warpAffine(srgb, matrix, (size, size), borderMode=cv2.BORDER_REFLECT_101))
