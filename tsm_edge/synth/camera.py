"""What is between the hand and the network, the same for every class: camera, light, bystanders, compression."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..pixels import Pixels, saturated
from .motion import sway
from .shapes import pixels
from .textures import colour

Floats = NDArray[np.float64]
Random = np.random.Generator


@dataclass(frozen=True)
class View:
    """How the camera stands at each time: shift [T, 2] in frame sides, turn [T] in radians, zoom [T].

    exposure: the share of a frame's time in which the shutter is open.
    """

    shift: Floats
    turn: Floats
    zoom: Floats
    exposure: float

    def matrix(self, at: int, size: int) -> Floats:
        """Units of the scene to pixels, 2 x 3."""
        cos, sin = self.zoom[at] * np.cos(self.turn[at]), self.zoom[at] * np.sin(self.turn[at])
        x, y = 0.5 + self.shift[at]
        return size * np.array([(cos, -sin, x), (sin, cos, y)])


def shake(random: Random, times: Floats, clutter: float = 1.0) -> View:
    """A camera on a desk (half), in a hand, or panning slowly; without clutter always on a desk."""
    kind = int(random.choice(3, p=(0.5, 0.38, 0.12))) if clutter else 0
    amount = (0.001, 0.008, 0.006)[kind]
    pan = random.uniform(-0.1, 0.1, 2) * times[:, None] if kind == 2 else 0.0
    tremble = np.stack([sway(random, 2 * times, amount) for _ in range(2)], 1)
    return View(
        shift=pan + tremble + random.normal(0, amount / 4, (len(times), 2)),
        turn=sway(random, times, 1.5 * amount),
        zoom=np.exp(sway(random, times, amount)),
        exposure=random.uniform(0.1, 0.6) if random.random() < 0.6 else 0.0,
    )


@dataclass(frozen=True)
class Distractor:
    """Something small that moves behind the hand: a disc or box on a straight or swinging way."""

    start: Floats
    speed: Floats
    swing: Floats
    beat: float
    radius: float
    colour: tuple[float, float, float]
    boxy: bool

    def draw(self, image: Pixels, to_frame: Floats, time: float) -> None:
        """Draw it where it is at ``time``."""
        import cv2

        place = self.start + self.speed * time + self.swing * np.sin(self.beat * time)
        reach = np.array([self.radius, 0.7 * self.radius])
        corners = place + np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * reach
        if self.boxy:
            cv2.fillPoly(image, [pixels(corners, to_frame)], self.colour, cv2.LINE_AA, 4)
            return
        centre = pixels(place[None], to_frame)[0]
        radius = round(self.radius * image.shape[0] * 16)
        cv2.circle(image, centre.tolist(), radius, self.colour, -1, cv2.LINE_AA, 4)


def distractor(random: Random) -> Distractor:
    """A small moving thing of one colour."""
    return Distractor(
        start=random.uniform(-0.5, 0.5, 2),
        speed=random.uniform(-0.5, 0.5, 2) * (random.random() < 0.6),
        swing=random.uniform(-0.12, 0.12, 2),
        beat=random.uniform(1, 14),
        radius=random.uniform(0.02, 0.075),
        colour=triple(colour(random)),
        boxy=bool(random.random() < 0.5),
    )


def occluder(random: Random) -> tuple[Floats, tuple[float, float, float]]:
    """A bar or corner in front of everything: its corners and colour."""
    angle, offset = random.uniform(0, 2 * np.pi), random.uniform(0.2, 0.45)
    outward, along = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    far = 1.0 if random.random() < 0.6 else offset + random.uniform(0.06, 0.15)
    corners = np.array(
        [offset * outward - along, offset * outward + along, far * outward + along, far * outward - along]
    )
    return corners, triple(colour(random))


def put_person(random: Random, background: Pixels) -> None:
    """Somebody in the background, in a few ellipses: head and shoulders."""
    import cv2

    side = background.shape[0]
    x, top, radius = random.uniform(0.25, 0.75), random.uniform(0.2, 0.5), random.uniform(0.09, 0.2)
    cloth, tone = triple(colour(random)), random.uniform(60, 240)
    shoulders = (int(x * side), int((top + 2.6 * radius) * side))
    cv2.ellipse(
        background, shoulders, (int(2.1 * radius * side), int(1.6 * radius * side)), 0, 0, 360, cloth, -1
    )
    head, hair = (int(x * side), int(top * side)), (int(x * side), int((top - 0.35 * radius) * side))
    dark = triple(np.full(3, random.uniform(10, 120)))
    cv2.ellipse(background, hair, (int(0.95 * radius * side), int(1.0 * radius * side)), 0, 0, 360, dark, -1)
    face = triple(tone * np.array([1, 0.78, 0.65]))
    cv2.ellipse(background, head, (int(0.8 * radius * side), int(1.05 * radius * side)), 0, 0, 360, face, -1)


def contrasted(random: Random, surface: Pixels, behind: Pixels) -> Pixels:
    """Make a surface lighter or darker when it would hardly be seen before the part of the background behind it."""
    under = float(behind.mean())
    apart = float(surface.mean()) - under
    wanted = random.uniform(28, 70)
    if abs(apart) >= wanted:
        return surface
    away = 1.0 if under < 128 else -1.0
    return saturated(surface + (away * wanted - apart))


def streak(step: Floats) -> NDArray[np.float32] | None:
    """The kernel that smears a picture along ``step`` pixels; None when that is less than a pixel and a half."""
    import cv2

    length = float(np.hypot(*step))
    if length < 1.5:
        return None
    reach = min(int(np.ceil(length / 2)), 12)
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    half = step / length * min(length / 2, reach)
    ends = np.round((np.array([reach, reach]) + np.array([-half, half])) * 16).astype(np.int32)
    cv2.line(kernel, ends[0].tolist(), ends[1].tolist(), 1.0, 1, cv2.LINE_8, 4)
    spread: NDArray[np.float32] = kernel / kernel.sum()
    return spread


def develop(random: Random, frames: list[Pixels], times: Floats, clutter: float = 1.0) -> Pixels:
    """Light, lens, sensor and codec, in this order; some strongly in a few clips, most weakly in many, none without
    clutter.
    """
    import cv2

    if not clutter:
        return np.stack(frames)
    size = frames[0].shape[0]
    gain = random.uniform(0.6, 1.25) * np.exp(sway(random, times, random.choice((0.0, 0.04, 0.15))))
    if random.random() < 0.06:  # a lamp is switched
        gain = gain * np.where(times > random.uniform(times[0], times[-1]), random.uniform(0.6, 1.6), 1)
    cast = random.uniform(0.88, 1.12, 3)
    curve = 255 * (np.arange(256) / 255) ** random.uniform(0.75, 1.35)
    sigma, grain = (
        (random.uniform(0.3, 1.1) if random.random() < 0.4 else 0.0),
        random.choice((0.0, 2.0, 5.0, 9.0)),
    )
    quality = int(random.uniform(25, 90)) if random.random() < 0.5 else 0
    # a stream's pictures get better and better until the next one that stands alone
    better, group, begun = random.choice((0, 0, 30)), int(random.integers(5, 25)), int(random.integers(25))
    grey, stuck = random.random() < 0.06, random.random() < 0.1
    speckle = random.standard_normal((size + 16, size + 16, 3), np.float32) * np.float32(grain)
    out = np.empty((len(frames), size, size, 3), np.uint8)
    for at, frame in enumerate(frames):
        if stuck and at and random.random() < 0.15:  # the camera delivers the last picture again
            out[at] = out[at - 1]
            continue
        table = saturated(curve[:, None] * (gain[at] * cast))
        image = cv2.LUT(frame, table.reshape(1, 256, 3))
        if sigma:
            image = cv2.GaussianBlur(image, (0, 0), sigma)
        if grain:
            top, left = random.integers(0, 17, 2)
            image = saturated(image + speckle[top : top + size, left : left + size])
        if grey:
            image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        if quality:
            now = min(95, quality + better * ((begun + at) % group) // group)
            coded = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, now))[1]
            image = cv2.imdecode(coded, cv2.IMREAD_COLOR)
        out[at] = image
    return out


def triple(values: Floats) -> tuple[float, float, float]:
    """A colour as OpenCV takes it."""
    return float(values[0]), float(values[1]), float(values[2])
