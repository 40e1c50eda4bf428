"""Boxes in the registers of a CPU kernel: their corners, and the statements over channels that both kernels share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tvm import tirx

from ...ir.dtype import FLOAT32
from ...ir.ops.regions import windows_aside
from ...kernels.cpu import builder as tir
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.tiling import Machine


@dataclass(frozen=True)
class Corners:
    """The sides of a box as fractions of the picture."""

    left: Expr
    top: Expr
    right: Expr
    bottom: Expr


def kept(value: Expr) -> Expr:
    """A float32 that is evaluated once, here, and read back from a register.

    TVM looks through a chain of bound selections, in time that grows with every link by a factor.
    """
    register = tir.local(1)
    tir.store(register, 0, value, 1)
    return register[0]


def real(value: Expr) -> Expr:
    """An integer as a float32."""
    return tirx.Cast(str(FLOAT32), value)


def corners(boxes: Buffer, frame: Expr, index: Expr, count: int) -> Corners:
    """Box `index` of a frame with `count` of them; four zeros are replaced by the grid's."""
    side = windows_aside(count)
    zero, step = tir.constant(0.0), tir.constant(1 / (side + 1))
    at = tir.bind((frame * count + index) * 4)
    given = [kept(tir.load(boxes, at + part, 1)) for part in range(4)]
    some = [tirx.NE(value, zero) for value in given]
    absent = tirx.Not(tirx.Or(tirx.Or(some[0], some[1]), tirx.Or(some[2], some[3])))
    window = index < side * side
    found = []
    for part, value in enumerate(given):
        place = index // side if part % 2 else index % side
        far = part // 2  # the right and the lower side
        own = tirx.Select(window, real(place + 2 * far) * step, tir.constant(float(far)))
        found.append(kept(tirx.Select(absent, own, value)))
    return Corners(*found)


def each_group(channels: int, machine: Machine, emit: Callable[[Expr, list[tuple[int, int]]], None]) -> None:
    """Call `emit(first channel, vectors)` for groups of four vectors and what is left; vectors: (offset, lanes)."""
    wide = 4 * machine.lanes
    whole, rest = divmod(channels, wide)
    if whole:
        with tir.loop(0, whole) as group:
            emit(tir.bind(group * wide), tir.vectors(wide, machine.lanes))
    if rest:
        emit(whole * wide, tir.vectors(rest, machine.lanes))
