"""The statements of output rows of a depthwise convolution on a CPU; `__init__.py` describes the loops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tvm import tirx

from ....ir.ops import Conv
from ....kernels.cpu import builder as tir
from ....kernels.cpu.builder import Buffer, Expr
from ....kernels.cpu.epilogue import Epilogue, keep, write
from ....kernels.cpu.layout import Layout
from ....kernels.cpu.tiling import Machine
from .._windows import XTile, valid, vertical_taps
from .params import Params, bias_repeats_for, taps_in_registers


@dataclass(frozen=True)
class Rows:
    """Input rows: the buffer, its layout, and the index of a row's first pixel in it."""

    buffer: Buffer
    layout: Layout
    first_pixel: Callable[[Expr], Expr]


def emit_row(
    op: Conv,
    params: Params,
    machine: Machine,
    source: Rows,
    weights: dict[str, Buffer],
    epilogue: Epilogue,
    where: tuple[Expr, Expr],
) -> None:
    """One output row. weights: `w` and `b`; where: (output row, its first pixel in the epilogue's buffers).

    A row with all taps inside the image is unrolled over them; which case applies is tested at run time.
    """
    row, pixel = where
    bias_repeats = bias_repeats_for(op, params, machine)

    def emit(taps: list[list[bool]] | None) -> None:
        top = tir.bind(row * op.stride[0] - op.pad[0])
        Emit(op, machine, source, weights, epilogue, pixel, top, bias_repeats, taps).run(params.x_tiles)

    first, end = inner_rows(op)
    if end - first < 2:
        emit(None)
    else:
        whole = [[True] * op.kernel[0]]
        tir.branch(tirx.And(row >= first, row < end), lambda: emit(whole), lambda: emit(None))


def inner_rows(op: Conv) -> tuple[int, int]:
    """Range of output rows whose window lies inside the image."""
    rows = [
        y
        for y in range(op.out_height)
        if y * op.stride[0] - op.pad[0] >= 0 and y * op.stride[0] - op.pad[0] + op.kernel[0] <= op.height
    ]
    return (rows[0], rows[-1] + 1) if rows else (0, 0)


@dataclass(frozen=True)
class Emit:
    """The statements of one or several output rows."""

    op: Conv
    machine: Machine
    source: Rows
    weights: dict[str, Buffer]
    epilogue: Epilogue
    first_pixel: Expr  # of the first row in the output
    top: Expr  # input row of the first window's first tap
    bias_repeats: int  # of each vector of the packed bias
    taps: list[list[bool]] | None  # [row][ky]: kernel rows inside the image; None: one row, tested at run time

    @property
    def blocked(self) -> bool:
        """Whether x is in blocks of channels."""
        return self.op.blocked_in

    def run(self, x_tiles: tuple[XTile, ...]) -> None:
        """All channels of all tiles; the outer loop is the one with the longer stride in memory."""
        lanes = self.machine.lanes
        whole = self.op.channels // lanes
        if self.blocked:
            with tir.loop(0, whole) as c:
                loaded_taps = self.filter(c * lanes)
                for cut in x_tiles:
                    with columns_of(cut) as column:
                        self.vector(cut, column, c * lanes, lanes, loaded_taps)
            return
        for cut in x_tiles:
            with columns_of(cut) as column:
                if whole:
                    with tir.loop(0, whole) as c:
                        self.vector(cut, column, c * lanes, lanes, None)
                for offset, narrow in tir.vectors(self.op.channels - whole * lanes, lanes):
                    self.vector(cut, column, whole * lanes + offset, narrow, None)

    def filter(self, channel: Expr) -> list[Expr] | None:
        """The taps of a channel vector, loaded, where they stay in registers; else None."""
        if self.taps is None or not taps_in_registers(self.machine, self.op):
            return None
        rows, columns = self.op.kernel
        return [self.tap(ky, kx, channel, self.machine.lanes) for ky in range(rows) for kx in range(columns)]

    def tap(self, ky: Expr, kx: int, channel: Expr, lanes: int) -> Expr:
        """Load one tap of a channel vector."""
        taps = self.op.kernel[0] * self.op.kernel[1]
        layout = Layout.by_block(taps, lanes) if self.blocked else Layout.by_pixel(self.op.channels)
        return tir.bind(tir.load(self.weights["w"], layout.at(ky * self.op.kernel[1] + kx, channel), lanes))

    def vector(self, cut: XTile, column: Expr, channel: Expr, lanes: int, loaded_taps: list[Expr] | None) -> None:
        """One channel vector of one tile."""
        op, rows = self.op, 1 if self.taps is None else len(self.taps)
        acc = tir.local(rows * cut.rows * lanes, self.machine.dtype)
        bias, size = self.weights["b"], rows * cut.rows
        if self.bias_repeats > 1:
            first = tir.bind(channel * self.bias_repeats + tir.opaque_zero(column))
            starts = [tir.load(bias, first + index * lanes, lanes) for index in range(size)]
        else:
            starts = [tir.bind(tir.load(bias, channel, lanes))] * size
        for index, start in enumerate(starts):
            tir.store(acc, index * lanes, start, lanes)
        if self.taps is None:
            with vertical_taps(op, self.top) as ky:
                self.input_row(cut, acc, ky, [(0, ky)], column, channel, lanes, None)
        else:
            for offset in range((rows - 1) * op.stride[0] + op.kernel[0]):
                reaches = [(row, offset - row * op.stride[0]) for row in range(rows)]
                live = [(row, ky) for row, ky in reaches if 0 <= ky < op.kernel[0] and self.taps[row][ky]]
                self.input_row(cut, acc, offset, live, column, channel, lanes, loaded_taps)
        for index in range(rows * cut.rows):
            row, x = divmod(index, cut.rows)
            pixel = self.first_pixel + row * op.out_width + column + x
            at = self.epilogue.layout.at(pixel, channel)
            value = write(self.epilogue, tir.load(acc, index * lanes, lanes), at, lanes)
            keep(self.epilogue, value, at, pixel, channel, lanes)

    def input_row(
        self,
        cut: XTile,
        acc: Buffer,
        offset: Expr,
        live: list[tuple[int, Expr]],
        column: Expr,
        channel: Expr,
        lanes: int,
        loaded_taps: list[Expr] | None,
    ) -> None:
        """Every use of input row `top + offset`. live: the (tile row, kernel row) pairs that read it."""
        if not live:
            return
        op, width = self.op, self.op.kernel[1]
        weights = {
            row: [
                self.tap(ky, kx, channel, lanes) if loaded_taps is None else loaded_taps[ky * width + kx]
                for kx in range(width)
            ]
            for row, ky in live
        }
        pixel = self.source.first_pixel(self.top + offset) + column * op.stride[1] - op.pad[1]
        left = self.source.layout.at(pixel, channel)
        for position in range((cut.rows - 1) * op.stride[1] + width):
            uses = [
                (x, position - x * op.stride[1])
                for x in range(cut.rows)
                if 0 <= position - x * op.stride[1] < width
                and (not cut.border or valid(op, column + x, position - x * op.stride[1]))
            ]
            if not uses:
                continue
            at = left + position * self.source.layout.pixel_step
            value = tir.bind(tir.load(self.source.buffer, at, lanes))
            for row, _ in live:
                for x, kx in uses:
                    index = (row * cut.rows + x) * lanes
                    total, weight = tir.load(acc, index, lanes), weights[row][kx]
                    total = tir.multiply_add(
                        total, value, weight, lanes, self.machine.fused, self.machine.dtype
                    )
                    tir.store(acc, index, total, lanes)


@contextmanager
def columns_of(cut: XTile) -> Iterator[Expr]:
    """The first column of every tile of a cut; a constant where there is one tile."""
    if cut.count == 1:
        yield cut.start
    else:
        with tir.loop(0, cut.count) as index:
            yield tir.bind(index * cut.rows + cut.start)
