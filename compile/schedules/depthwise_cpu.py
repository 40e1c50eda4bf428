"""Depthwise convolution on a CPU: one filter per channel, vectors along the channels.

Pattern: groups == channels, any kernel, stride and padding.

1. A work item is an output row. Its pixels are cut into tiles along x; inside a tile the loop runs over channel
   vectors, so memory is read in streams, one per input pixel of the tile.
2. For one channel vector the tile keeps `columns` accumulators. Each kernel row loads its inputs once and uses them for
   every tap that needs them: a tile of 4 at stride 1 reads 6 vectors for 12 multiply-adds.
3. Rows away from the top and bottom have every tap and are unrolled; the others run the taps that exist in a loop.
   Border tiles leave their outside taps out at compile time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tvm import tirx

from tsm_edge.compile import tir
from tsm_edge.compile.ops import Conv, Op
from tsm_edge.compile.tile import Epilogue, write
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

    return Kernel(
        op,
        "depthwise_cpu",
        pointers,
        op.out_height,
        body,
        {"w": packed, "b": bias.astype(np.float32)},
        f"{params.columns} columns",
    )


def inner_rows(op: Conv) -> tuple[int, int]:
    """Range of output rows whose window lies inside the image."""
    rows = [
        y
        for y in range(op.out_height)
        if y * op.stride[0] - op.pad[0] >= 0 and y * op.stride[0] - op.pad[0] + op.kernel[0] <= op.height
    ]
    return (rows[0], rows[-1] + 1) if rows else (0, 0)


def _row(
    op: Conv, params: Params, machine: Machine, buffers: dict[str, Buffer], y: Expr, inner: bool
) -> None:
    rows = Rows(buffers["x"], op.width, lambda row: row * op.width)
    emit_row(
        op, params, machine, rows, buffers, _rule.epilogue(op, machine, buffers), (y, y * op.out_width), inner
    )


@dataclass(frozen=True)
class Rows:
    """Where input rows are: the buffer and, for a row's number, the pixel its first column has there."""

    buffer: Buffer
    width: int
    first_pixel: Callable[[Expr], Expr]


def emit_row(
    op: Conv,
    params: Params,
    machine: Machine,
    source: Rows,
    weights: dict[str, Buffer],
    epilogue: Epilogue,
    where: tuple[Expr, Expr],
    inner: bool,
) -> None:
    """One output row. weights: `w` and `b`; where: (output row, its first pixel in the epilogue's buffers)."""
    top = tir.bind(where[0] * op.stride[0] - op.pad[0])
    emit = _Emit(op, machine, source, weights, epilogue, where[1], top, inner)
    for cut in params.x_tiles:
        if cut.count == 1:
            emit.tile(cut, cut.start)
        else:
            with tir.loop(0, cut.count) as index:
                emit.tile(cut, tir.bind(index * cut.rows + cut.start))


@dataclass(frozen=True)
class _Emit:
    """The statements of one output row."""

    op: Conv
    machine: Machine
    source: Rows
    weights: dict[str, Buffer]
    epilogue: Epilogue
    first_pixel: Expr
    top: Expr  # input row of the window's first tap
    inner: bool  # all taps exist in this row

    def tile(self, cut: XTile, column: Expr) -> None:
        """All channels of one tile."""
        lanes = self.machine.lanes
        whole = self.op.channels // lanes
        if whole:
            with tir.loop(0, whole) as c:
                self.vector(cut, column, c * lanes, lanes)
        for offset, narrow in tir.vectors(self.op.channels - whole * lanes, lanes):
            self.vector(cut, column, whole * lanes + offset, narrow)

    def vector(self, cut: XTile, column: Expr, channel: Expr, lanes: int) -> None:
        """One channel vector of one tile."""
        acc = tir.local(cut.rows * lanes)
        start = tir.bind(tir.load(self.weights["b"], channel, lanes))
        for row in range(cut.rows):
            tir.store(acc, row * lanes, start, lanes)
        if self.inner:
            for ky in range(self.op.kernel[0]):
                self.kernel_row(cut, acc, ky, column, channel, lanes)
        else:
            with vertical_taps(self.op, self.top) as ky:
                self.kernel_row(cut, acc, ky, column, channel, lanes)
        for row in range(cut.rows):
            pixel = self.first_pixel + column + row
            at = pixel * self.op.channels + channel
            write(self.epilogue, tir.load(acc, row * lanes, lanes), at, pixel, channel, lanes)

    def kernel_row(self, cut: XTile, acc: Buffer, ky: Expr, column: Expr, channel: Expr, lanes: int) -> None:
        """Every tap of one kernel row: weights and inputs are loaded once each."""
        op = self.op
        weights = [
            tir.bind(tir.load(self.weights["w"], (ky * op.kernel[1] + kx) * op.channels + channel, lanes))
            for kx in range(op.kernel[1])
        ]
        pixel = self.source.first_pixel(self.top + ky) + column * op.stride[1] - op.pad[1]
        left = pixel * op.channels + channel
        for position in range((cut.rows - 1) * op.stride[1] + op.kernel[1]):
            uses = [
                (row, position - row * op.stride[1])
                for row in range(cut.rows)
                if 0 <= position - row * op.stride[1] < op.kernel[1]
                and (not cut.border or valid(op, column + row, position - row * op.stride[1]))
            ]
            if not uses:
                continue
            value = tir.bind(tir.load(self.source.buffer, left + position * op.channels, lanes))
            for row, kx in uses:
                total = tir.multiply_add(
                    tir.load(acc, row * lanes, lanes), value, weights[kx], lanes, self.machine.fused
                )
                tir.store(acc, row * lanes, total, lanes)
