"""Modelled cycles of a CPU kernel on one core over all its items, with the parameters it is built with."""

from __future__ import annotations

from ...ir.ops import Conv
from .tiling import TILE_OVERHEAD, Machine, Panels, split_rows, tile_cycles

#: elements per cycle of kernels that only move or compare
COPIED = 2.0


def dense(
    machine: Machine, runs: tuple[tuple[int, int], ...], rows: int, panels: Panels, length: int
) -> float:
    """Cycles of a dense convolution. runs: (how many, pixels of each); a register tile never crosses a run."""
    return sum(
        count * tiles * tile_cycles(machine, height, width, length)
        for count, pixels in runs
        for tiles, height in split_rows(pixels, rows)
        for width in panels.widths
    )


def depthwise(machine: Machine, op: Conv, rows: int, columns: int) -> float:
    """Cycles of a depthwise convolution: per output vector the larger of arithmetic (taps, bias, clamps) and memory.

    A tile of rows x columns outputs shares its input loads and its overhead.
    """
    tile = rows * columns
    vectors = op.pixels * -(-op.channels // machine.lanes)
    clamps = (op.low is not None) + (op.high is not None)
    arithmetic = (op.kernel[0] * op.kernel[1] + 1 + clamps) / machine.fma_per_cycle
    window_height = (rows - 1) * op.stride[0] + op.kernel[0]
    window_width = (columns - 1) * op.stride[1] + op.kernel[1]
    moves = window_height * window_width / tile + 1
    arithmetic += machine.converts * moves / machine.fma_per_cycle
    return vectors * (max(arithmetic, moves / machine.loads_per_cycle) + TILE_OVERHEAD / tile)


def moved(numbers: int) -> float:
    """Cycles of a kernel without arithmetic that reads so many elements."""
    return numbers / COPIED
