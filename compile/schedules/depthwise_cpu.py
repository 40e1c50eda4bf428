"""Depthwise convolution on a CPU: one filter per channel, vectors along the channels.

Pattern: groups == channels, any kernel, stride and padding.

1. A work item is an output row. Its pixels are cut into tiles along x; inside a tile the loop runs over channel vectors,
   so memory is read in streams, one per input pixel of the tile.
2. For one channel vector the tile keeps `columns` accumulators. Each kernel row loads its inputs once and uses them for
   every tap that needs them: a tile of 4 at stride 1 reads 6 vectors for 12 multiply-adds.
3. Rows away from the top and bottom have every tap and are unrolled; the others run the taps that exist in a loop.
   Border tiles leave their outside taps out at compile time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tvm import tirx

from tsm_edge.compile import tir
from tsm_edge.compile.ops import Conv, Op
from tsm_edge.compile.tile import write
from tsm_edge.compile.tiling import Machine
from tsm_edge.compile.tir import Buffer, Expr

from . import _rule
from ._rule import Kernel
from .conv_cpu import XTile, cut_row, valid, vertical_taps

FAMILY = "cpu"
CASES = (
    Conv(9, 11, 32, 32, (3, 3), (1, 1), (1, 1, 1, 1), 32, low=0.0, high=6.0),
    Conv(14, 14, 24, 24, (3, 3), (2, 2), (1, 1, 1, 1), 24, low=0.0, high=6.0),
    Conv(7, 7, 19, 19, (3, 3), (1, 1), (1, 1, 1, 1), 19),
    Conv(5, 6, 8, 8, (5, 5), (1, 1), (2, 2, 2, 2), 8, residual=True, low=0.0),
    Conv(1, 1, 4, 4, (3, 3), (1, 1), (1, 1, 1, 1), 4),
    Conv(2, 2, 12, 12, (3, 3), (2, 2), (0, 0, 1, 1), 12, fold_out=2),
)


def claims(op: Op) -> bool:
    """Every depthwise convolution without a shift on its input."""
    return isinstance(op, Conv) and op.depthwise and not op.fold_in


@dataclass(frozen=True)
class Params:
    """Output pixels a tile keeps in registers, and the cut of a row."""

    columns: int
    x_tiles: tuple[XTile, ...]

    @classmethod
    def from_machine(cls, machine: Machine, op: Conv) -> Params:
        # Registers: one accumulator and about one input a column, plus a kernel row of weights.
        room = machine.registers - op.kernel[1] - 2
        columns = max(1, min(op.out_width, room // 2 - (op.stride[1] > 1), 8))
        return cls(columns, tuple(cut_row(op, columns)))


def schedule(op: Conv, params: Params, machine: Machine, weight: np.ndarray, bias: np.ndarray) -> Kernel:
    """weight: [C, 1, KH, KW]; bias: [C]."""
    taps = op.kernel[0] * op.kernel[1]
    packed = np.ascontiguousarray(weight.reshape(op.channels, taps).T, dtype=np.float32).ravel()
    pointers = _rule.conv_pointers(op, packed.size)

    def body(*arguments: Buffer) -> None:
        *tensors, begin, end = arguments
        buffers = dict(zip(pointers, tensors, strict=True))
        inner_top, inner_bottom = inner_rows(op)
        with tir.loop(begin, end) as y:
            def inner() -> None:
                _row(op, params, machine, buffers, y, True)

            def outer() -> None:
                _row(op, params, machine, buffers, y, False)

            if inner_bottom - inner_top < 2:
                outer()
            else:
                tir.branch(tirx.And(y >= inner_top, y < inner_bottom), inner, outer)

    return Kernel(op, "depthwise_cpu", pointers, op.out_height, body,
                  {"w": packed, "b": bias.astype(np.float32)}, f"{params.columns} columns")


def inner_rows(op: Conv) -> tuple[int, int]:
    """Range of output rows whose window lies inside the image."""
    rows = [y for y in range(op.out_height)
            if y * op.stride[0] - op.pad[0] >= 0 and y * op.stride[0] - op.pad[0] + op.kernel[0] <= op.height]
    return (rows[0], rows[-1] + 1) if rows else (0, 0)


def _row(op: Conv, params: Params, machine: Machine, buffers: dict[str, Buffer], y: Expr, inner: bool) -> None:
    for cut in params.x_tiles:
        def tile(column: Expr, cut: XTile = cut) -> None:
            whole = op.channels // machine.lanes
            if whole:
                with tir.loop(0, whole) as c:
                    _vector(op, cut, machine, buffers, y, column, c * machine.lanes, machine.lanes, inner)
            for offset, lanes in tir.vectors(op.channels - whole * machine.lanes, machine.lanes):
                _vector(op, cut, machine, buffers, y, column, whole * machine.lanes + offset, lanes, inner)

        if cut.count == 1:
            tile(cut.start)
        else:
            with tir.loop(0, cut.count) as index:
                tile(tir.bind(index * cut.rows + cut.start))


def _vector(op: Conv, cut: XTile, machine: Machine, buffers: dict[str, Buffer], y: Expr, column: Expr, channel: Expr,
            lanes: int, inner: bool) -> None:
    """One channel vector of one tile."""
    acc = tir.local(cut.rows * lanes)
    start = tir.bind(tir.load(buffers["b"], channel, lanes))
    for row in range(cut.rows):
        tir.store(acc, row * lanes, start, lanes)
    top = y * op.stride[0] - op.pad[0]

    def taps(ky: Expr) -> None:
        _kernel_row(op, cut, buffers, acc, top + ky, ky, column, channel, lanes, machine.fused)

    if inner:
        for ky in range(op.kernel[0]):
            taps(ky)
    else:
        with vertical_taps(op, tir.bind(top)) as ky:
            taps(ky)
    epilogue = _rule.epilogue(op, buffers)
    for row in range(cut.rows):
        pixel = y * op.out_width + column + row
        write(epilogue, tir.load(acc, row * lanes, lanes), pixel * op.channels + channel, pixel, channel, lanes)


def _kernel_row(op: Conv, cut: XTile, buffers: dict[str, Buffer], acc: Buffer, source_row: Expr, ky: Expr, column: Expr,
                channel: Expr, lanes: int, fused: bool) -> None:
    """Every tap of one kernel row: weights and inputs are loaded once each."""
    weights = [tir.bind(tir.load(buffers["w"], (ky * op.kernel[1] + kx) * op.channels + channel, lanes))
               for kx in range(op.kernel[1])]
    left = (source_row * op.width + column * op.stride[1] - op.pad[1]) * op.channels + channel
    for position in range((cut.rows - 1) * op.stride[1] + op.kernel[1]):
        uses = [(row, position - row * op.stride[1]) for row in range(cut.rows)
                if 0 <= position - row * op.stride[1] < op.kernel[1]
                and (not cut.border or valid(op, column + row, position - row * op.stride[1]))]
        if not uses:
            continue
        value = tir.bind(tir.load(buffers["x"], left + position * op.channels, lanes))
        for row, kx in uses:
            total = tir.multiply_add(tir.load(acc, row * lanes, lanes), value, weights[kx], lanes, fused)
            tir.store(acc, row * lanes, total, lanes)
