"""The roofline picture: one dot for each operation, below what the machine can do at most.

Both axes are logarithmic: FLOP per byte to the right, GFLOP/s upwards. The sloped roof is memory, the flat one
arithmetic. A dot's area is its share of the step's time; the dots that take most are numbered and listed. Drawn with
OpenCV, a base dependency, whose fonts are ASCII only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..files import atomic
from .ceiling import Ceiling
from .per_op import NOT_COMPUTED, OpTime

WIDTH, HEIGHT = 1600, 900
LEFT, TOP, RIGHT, BOTTOM = (
    110,
    90,
    1080,
    780,
)  # the plot's corners in pixels; the lists stand to the right of it
LISTED = 12
INK, GREY, GRID = (40, 40, 40), (120, 120, 120), (228, 228, 228)  # BGR
#: distinguishable also by those who do not tell red from green (Okabe and Ito), BGR
PALETTE = (
    (178, 114, 0),
    (0, 94, 213),
    (115, 158, 0),
    (0, 159, 230),
    (167, 121, 204),
    (233, 180, 86),
    (66, 228, 240),
)

Image = NDArray[np.uint8]
Colours = dict[str, tuple[int, int, int]]


@dataclass(frozen=True)
class Axes:
    """The decades shown: powers of ten of the left, right, lower and upper edge."""

    left: float
    right: float
    low: float
    high: float

    @classmethod
    def around(cls, ops: Sequence[OpTime], ceiling: Ceiling) -> Axes:
        """Room for every dot, the flat roof and the ridge where it begins."""
        ridge = ceiling.gflop_per_s / ceiling.gb_per_s
        x = [op.flop_per_byte for op in ops] + [ridge]
        y = [op.gflop_per_s for op in ops] + [ceiling.gflop_per_s]
        logs = [math.log10(value) for value in (min(x), max(x), min(y), max(y))]
        return cls(logs[0] - 0.3, logs[1] + 0.4, logs[2] - 0.3, logs[3] + 0.3)

    def at(self, flop_per_byte: float, gflop_per_s: float) -> tuple[int, int]:
        """Pixel of a point."""
        x = (math.log10(flop_per_byte) - self.left) / (self.right - self.left)
        y = (math.log10(gflop_per_s) - self.low) / (self.high - self.low)
        return round(LEFT + x * (RIGHT - LEFT)), round(BOTTOM - y * (BOTTOM - TOP))


def draw(ops: Sequence[OpTime], ceiling: Ceiling, title: str) -> Image:
    """Return the picture, uint8 BGR [900, 1600, 3].

    Dots above a roof are no mistake, and a note below says why: arguments came from a cache, which is faster than
    memory, or multiply-adds of the network did not have to be computed (see `per_op.NOT_COMPUTED`).
    """
    image = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    shown = sorted((op for op in ops if op.macs and op.bytes and op.ns), key=lambda op: -op.ns)
    total = sum(op.ns for op in ops)
    axes = Axes.around(shown, ceiling)
    kinds = sorted({kind_of(op) for op in shown})
    colours = {kind: PALETTE[index % len(PALETTE)] for index, kind in enumerate(kinds)}
    put_text(image, title, (LEFT, 50), 0.9, INK, 2)
    _grid(image, axes)
    _roofs(image, axes, ceiling)
    for number, op in reversed(list(enumerate(shown, 1))):  # the most important on top
        _dot(image, axes.at(op.flop_per_byte, op.gflop_per_s), number, op.ns / total, colours[kind_of(op)])
    _legend(image, colours)
    _list(image, shown, total, colours)
    notes = list(_notes(ops, shown, ceiling))
    for line, note in enumerate(notes):
        put_text(image, note, (LEFT, HEIGHT - 8 - 22 * (len(notes) - 1 - line)), 0.5, GREY)
    return image


def _notes(ops: Sequence[OpTime], shown: Sequence[OpTime], ceiling: Ceiling) -> Iterator[str]:
    """What a reader may stumble over, in a line each."""
    hidden = len(ops) - len(shown)
    if hidden:
        rest = (sum(op.ns for op in ops) - sum(op.ns for op in shown)) / 1e6
        plural = "s" if hidden > 1 else ""
        yield f"not shown: {hidden} operation{plural} without multiply-accumulates, {rest:.3f} ms"
    reasons = []
    if any(op.gflop_per_s > op.flop_per_byte * ceiling.gb_per_s for op in shown):
        reasons.append("above the slope: arguments from a cache")
    if any(op.gflop_per_s > ceiling.gflop_per_s for op in shown):
        reasons.append(f"above the flat roof: {NOT_COMPUTED}")
    if reasons:
        yield "; ".join(reasons)


def write(path: Path, image: Image) -> None:
    """Write a PNG; OutputError when that fails. An existing file stays whole until the new one is complete."""
    import cv2

    atomic.write_bytes(path, cv2.imencode(".png", image)[1].tobytes())


def kind_of(op: OpTime) -> str:
    """Name of the schedule without its parameters."""
    return op.schedule.partition(":")[0]


def _grid(image: Image, axes: Axes) -> None:
    import cv2

    for exponent in range(math.floor(min(axes.left, axes.low)), math.ceil(max(axes.right, axes.high))):
        for digit in range(1, 10):
            value = digit * 10.0**exponent
            place, label = math.log10(value), f"{value:g}" if digit in (1, 2, 5) else ""
            if axes.left <= place <= axes.right:
                x, _ = axes.at(value, 10**axes.low)
                cv2.line(image, (x, TOP), (x, BOTTOM), GRID, 1)
                put_text(image, label, (x, BOTTOM + 28), 0.55, INK, centred=True)
            if axes.low <= place <= axes.high:
                _, y = axes.at(10**axes.left, value)
                cv2.line(image, (LEFT, y), (RIGHT, y), GRID, 1)
                put_text(image, label, (LEFT - 60, y + 6), 0.55, INK)
    cv2.rectangle(image, (LEFT, TOP), (RIGHT, BOTTOM), INK, 1)
    put_text(image, "FLOP per byte of arguments", ((LEFT + RIGHT) // 2, BOTTOM + 60), 0.65, INK, centred=True)
    put_text(image, "GFLOP/s", (LEFT - 90, TOP - 14), 0.65, INK)


def _roofs(image: Image, axes: Axes, ceiling: Ceiling) -> None:
    import cv2

    ridge = ceiling.gflop_per_s / ceiling.gb_per_s
    foot = max(10**axes.left, 10**axes.low / ceiling.gb_per_s)
    points = [axes.at(foot, foot * ceiling.gb_per_s), axes.at(ridge, ceiling.gflop_per_s)]
    points.append(axes.at(10**axes.right, ceiling.gflop_per_s))
    cv2.polylines(image, [np.array(points, np.int32)], False, INK, 2, cv2.LINE_AA)
    flat = f"{ceiling.gflop_per_s:.0f} GFLOP/s: {ceiling.arithmetic}"
    put_text(image, flat, (points[1][0] + 8, points[1][1] - 10), 0.55, INK)
    put_text(
        image, f"{ceiling.gb_per_s:.1f} GB/s: memory copy", (points[0][0] + 80, points[0][1] - 22), 0.55, INK
    )


def _dot(image: Image, at: tuple[int, int], number: int, share: float, colour: tuple[int, int, int]) -> None:
    import cv2

    radius = round(max(5.0, 60.0 * math.sqrt(share)))
    cv2.circle(image, at, radius, colour, -1, cv2.LINE_AA)
    cv2.circle(image, at, radius, (255, 255, 255), 1, cv2.LINE_AA)
    if number <= LISTED:
        put_text(image, str(number), (at[0], at[1] + 5), 0.45, (255, 255, 255), centred=True)


def _legend(image: Image, colours: Colours) -> None:
    import cv2

    for row, (kind, colour) in enumerate(colours.items()):
        y = TOP + 10 + 28 * row
        cv2.circle(image, (RIGHT + 50, y), 8, colour, -1, cv2.LINE_AA)
        put_text(image, kind, (RIGHT + 70, y + 6), 0.55, INK)


def _list(image: Image, shown: Sequence[OpTime], total: float, colours: Colours) -> None:
    y = TOP + 60 + 28 * len(colours)
    put_text(image, "most of the time", (RIGHT + 40, y), 0.6, INK, 1)
    for number, op in enumerate(shown[:LISTED], 1):
        y += 40
        facts = f"{op.ns / 1e6:.3f} ms  {op.ns / total:.1%}  {op.gflop_per_s:.0f} GFLOP/s"
        put_text(image, f"{number}  {op.layer}"[:44], (RIGHT + 40, y), 0.5, colours[kind_of(op)], 1)
        put_text(image, facts, (RIGHT + 66, y + 18), 0.45, GREY)


def put_text(
    image: Image,
    text: str,
    at: tuple[int, int],
    scale: float,
    colour: tuple[int, int, int],
    thickness: int = 1,
    *,
    centred: bool = False,
) -> None:
    """Write ASCII text with its lower left corner, or the middle of its base line, at a pixel."""
    import cv2

    plain = text.encode("ascii", "replace").decode()
    if centred:
        (width, _), _ = cv2.getTextSize(plain, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
        at = (at[0] - width // 2, at[1])
    cv2.putText(image, plain, at, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thickness, cv2.LINE_AA)
