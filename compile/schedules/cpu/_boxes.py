"""What both CPU kernels over boxes share: a box in registers, and statements over groups of channels."""

from __future__ import annotations

from collections.abc import Callable

from ...kernels.cpu import builder as tir
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.tiling import Machine
from .. import boxes
from ..boxes import Corners


def kept(value: Expr) -> Expr:
    """A float32 in a register (`boxes.Keep`)."""
    register = tir.local(1)
    tir.store(register, 0, value, 1)
    return register[0]


def corners(memory: Buffer, frame: Expr, index: Expr, count: int) -> Corners:
    """Box `index` of a frame with `count` of them."""
    at = tir.bind((frame * count + index) * 4)
    return boxes.corners([kept(tir.load(memory, at + part, 1)) for part in range(4)], index, count, kept)


def each_group(channels: int, machine: Machine, emit: Callable[[Expr, list[tuple[int, int]]], None]) -> None:
    """Call `emit(first channel, vectors)` for groups of four vectors and what is left; vectors: (offset, lanes)."""
    wide = 4 * machine.lanes
    whole, rest = divmod(channels, wide)
    if whole:
        with tir.loop(0, whole) as group:
            emit(tir.bind(group * wide), tir.vectors(wide, machine.lanes))
    if rest:
        emit(whole * wide, tir.vectors(rest, machine.lanes))
