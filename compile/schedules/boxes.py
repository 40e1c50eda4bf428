"""Boxes in registers, for kernels of every family: their corners, where samples lie, and how much two overlap.

`Keep` evaluates a float32 once and returns the register that holds it. TVM looks through a chain of bound selections in
time that grows with every link by a factor; it does not look into registers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tvm import tirx

from ..ir.dtype import FLOAT32
from ..ir.ops.regions import BINS, SAMPLES, windows_aside
from ..kernels.cpu.builder import Expr

Keep = Callable[[Expr], Expr]


@dataclass(frozen=True)
class Corners:
    """The sides of a box as fractions of the picture."""

    left: Expr
    top: Expr
    right: Expr
    bottom: Expr


@dataclass(frozen=True)
class Side:
    """The samples of a box along one side of a frame: the first one's border, and the way from one to the next."""

    start: Expr
    step: Expr
    extent: int

    def taps(self, first: Expr, keep: Keep) -> list[tuple[Expr, Expr]]:
        """The positions, as floats, and weights of the samples of a bin that begins with sample `first`."""
        found = []
        zero, one, last = number(0), number(1), number(self.extent - 1)
        for sample in range(SAMPLES):
            place = keep(self.start + (real(first + sample) + number(0.5)) * self.step)
            held = keep(tirx.Select(place > zero, place, zero))  # NaN becomes 0
            held = keep(tirx.Select(held < last, held, last))
            low = keep(real(tirx.Cast("int32", held)))
            high = keep(tirx.Select(low + one < last, low + one, last))
            above = keep(held - low)
            inside = tirx.And(place >= number(-1), place <= number(self.extent))
            share = keep(tirx.Select(inside, number(1 / SAMPLES), zero))
            found += [(low, keep((one - above) * share)), (high, keep(above * share))]
        return found


def number(value: float) -> Expr:
    """A float32 literal."""
    return tirx.const(float(value), str(FLOAT32))


def real(value: Expr) -> Expr:
    """An integer as a float32."""
    return tirx.Cast(str(FLOAT32), value)


def corners(given: Sequence[Expr], index: Expr, count: int, keep: Keep) -> Corners:
    """Box `index` of `count` from its four numbers; four zeros are replaced by the grid's."""
    side = windows_aside(count)
    some = [tirx.NE(value, number(0)) for value in given]
    absent = tirx.Not(tirx.Or(tirx.Or(some[0], some[1]), tirx.Or(some[2], some[3])))
    window = index < side * side
    found = []
    for part, value in enumerate(given):
        place = index // side if part % 2 else index % side
        far = part // 2  # the right and the lower side
        own = tirx.Select(window, real(place + 2 * far) * number(1 / (side + 1)), number(far))
        found.append(keep(tirx.Select(absent, own, value)))
    return Corners(*found)


def sides(box: Corners, height: int, width: int, keep: Keep) -> tuple[Side, Side]:
    """Its samples down and across a frame; a side is one position long at least."""
    found = []
    for low, high, extent in ((box.top, box.bottom, height), (box.left, box.right, width)):
        long = keep((high - low) * number(extent))
        long = keep(tirx.Select(long < number(1), number(1), long))
        found.append(Side(keep(low * number(extent)), keep(long * number(1 / (BINS * SAMPLES))), extent))
    return found[0], found[1]


def intersection_over_union(a: Corners, b: Corners, keep: Keep) -> Expr:
    """Of two boxes; 0 where they share nothing or are no numbers."""
    width = keep(shared(a.left, a.right, b.left, b.right))
    height = keep(shared(a.top, a.bottom, b.top, b.bottom))
    inside = keep(width * height)
    areas = [(box.right - box.left) * (box.bottom - box.top) for box in (a, b)]
    union = keep(areas[0] + areas[1] - inside)  # NaN where a box has one
    some = tirx.And(tirx.And(width > number(0), height > number(0)), union > number(0))
    divisor = keep(tirx.Select(some, union, number(1)))
    return keep(tirx.Select(some, inside / divisor, number(0)))


def shared(low: Expr, high: Expr, other_low: Expr, other_high: Expr) -> Expr:
    """The length that two spans have in common; not above 0 where they have none."""
    return tirx.Select(high < other_high, high, other_high) - tirx.Select(low > other_low, low, other_low)
