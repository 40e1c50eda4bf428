"""Modelled cycles of a kernel on one core, all its items, with the parameters that it was built with."""

from __future__ import annotations

from ...ir.ops import Conv
from .tiling import TILE_OVERHEAD, Machine, Panels, split_rows, tile_cycles

#: numbers a cycle of kernels that only move or compare them
COPIED = 2.0


def dense(
    machine: Machine, runs: tuple[tuple[int, int], ...], rows: int, panels: Panels, length: int
) -> float:
    """A dense convolution as register tiles. runs: (how many, pixels of each); a tile never crosses a run."""
    return sum(
        count * tiles * tile_cycles(machine, height, width, length)
        for count, pixels in runs
        for tiles, height in split_rows(pixels, rows)
        for width in panels.widths
    )


def depthwise(machine: Machine, op: Conv, rows: int, columns: int) -> float:
    """Every vector: its taps, bias and clamps in the arithmetic pipes, or its inputs and one store in the others.

    A tile of rows x columns outputs shares its inputs, and its own cost.
    """
    tile = rows * columns
    vectors = op.pixels * -(-op.channels // machine.lanes)
    clamps = (op.low is not None) + (op.high is not None)
    arithmetic = (op.kernel[0] * op.kernel[1] + 1 + clamps) / machine.fma_per_cycle
    high = (rows - 1) * op.stride[0] + op.kernel[0]
    wide = (columns - 1) * op.stride[1] + op.kernel[1]
    inputs = high * wide / tile
    return vectors * (max(arithmetic, (inputs + 1) / machine.loads_per_cycle) + TILE_OVERHEAD / tile)


def moved(numbers: int) -> float:
    """A kernel without multiply-adds that reads so many numbers."""
    return numbers / COPIED
