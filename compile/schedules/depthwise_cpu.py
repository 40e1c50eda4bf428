"""Depthwise convolution on a CPU: one filter per channel, vectors along the channels.

Pattern: groups == channels, any kernel, stride and padding.

1. A work item is an output row. Its pixels are cut into tiles along x; inside a tile the loop runs over channel
   vectors, so memory is read in streams, one per input pixel of the tile.
2. For one channel vector the tile keeps `columns` accumulators. Each kernel row loads its inputs once and uses them for
   every tap that needs them: a tile of 4 at stride 1 reads 6 vectors for 12 multiply-adds.
3. Rows away from the top and bottom have every tap and are unrolled; the others run the taps that exist in a loop.
   Border tiles leave their outside taps out at compile time.
4. Where x lies in blocks of channels, the channel vectors are the outer loop: the filter stays in registers along a
   row, neighbouring pixels are neighbours in memory, and a tile as wide as the image is two output rows high, which
   share their inputs; where vectors are not loaded in pairs, so is every tile of a loop. Where many tiles use it, the
   bias stands in memory once for every accumulator of a tile, for loads in pairs in place of copies. A Cortex-A72 then
   needs 1.4 to 1.7 instructions a multiply-add where the other order needs 2.0 (`tests/helpers/kernel_lab.py` kernels
   counted under qemu-user).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from tvm import tirx

from tsm_edge.compile import tir
from tsm_edge.compile.ops import Conv, Op
from tsm_edge.compile.tile import Epilogue, Layout, keep, write
from tsm_edge.compile.tiling import Machine
from tsm_edge.compile.tir import Buffer, Expr

from . import _rule
from ._rule import Kernel
from ._windows import XTile, cut_row, valid, vertical_taps

FAMILY = "cpu"
CASES = (
    Conv(9, 11, 32, 32, (3, 3), (1, 1), (1, 1, 1, 1), 32, low=0.0, high=6.0),
    Conv(14, 14, 24, 24, (3, 3), (2, 2), (1, 1, 1, 1), 24, low=0.0, high=6.0),
    Conv(7, 7, 19, 19, (3, 3), (1, 1), (1, 1, 1, 1), 19),
    Conv(5, 6, 8, 8, (5, 5), (1, 1), (2, 2, 2, 2), 8, residual=True, low=0.0),
    Conv(1, 1, 4, 4, (3, 3), (1, 1), (1, 1, 1, 1), 4),
    Conv(2, 2, 12, 12, (3, 3), (2, 2), (0, 0, 1, 1), 12, fold_out=2),
    *(
        Conv(size, 7, 16, 16, (3, 3), (stride, stride), (1, 1, 1, 1), 16, blocked_in=True, blocked_out=True)
        for stride in (1, 2)
        for size in (1, 2, 9)
    ),
    Conv(6, 5, 16, 16, (5, 5), (1, 1), (2, 2, 2, 2), 16, low=0.0, blocked_in=True, blocked_out=True),
    Conv(9, 18, 16, 16, (3, 3), (1, 1), (1, 1, 1, 1), 16, high=6.0, blocked_in=True, fold_out=3),
    Conv(4, 9, 16, 16, (3, 3), (1, 1), (1, 1, 1, 1), 16, blocked_out=True),
)


def claims(op: Op) -> bool:
    """Every depthwise convolution without a shift on its input."""
    return isinstance(op, Conv) and op.depthwise and not op.fold_in


@dataclass(frozen=True)
class Params:
    """Output rows and columns a tile keeps in registers, and the cuts of the image in both directions."""

    rows: int
    columns: int
    x_tiles: tuple[XTile, ...]
    y_tiles: tuple[XTile, ...]

    @classmethod
    def from_machine(cls, machine: Machine, op: Conv, most_rows: int = 2) -> Params:
        """most_rows: 1 where rows are computed one by one."""
        paired = paired_rows(machine, op) if op.blocked_in and most_rows > 1 else 0
        if paired:
            return cls.of(op, 2, paired)
        if op.blocked_in:
            # Registers: accumulators, the filter if it is small, bias, both clamps, and inputs on their way. More than
            # eight columns make LLVM spill; a second row pays where both rows are a single tile.
            room = machine.registers - (held_taps(machine, op) or op.kernel[1]) - 6
            columns = max(1, min(op.out_width, room, 8))
            rows = 2 if op.stride == (1, 1) and columns == op.out_width and 2 * columns <= room else 1
            rows = min(rows, op.out_height)
        else:
            # Registers: one accumulator and about one input a column, plus a kernel row of weights.
            rows, room = 1, machine.registers - op.kernel[1] - 2
            columns = max(1, min(op.out_width, room // 2 - (op.stride[1] > 1), 8))
        return cls.of(op, rows, columns)

    @classmethod
    def of(cls, op: Conv, rows: int, columns: int) -> Params:
        """The parameters of a tile."""
        return cls(rows, columns, tuple(cut_row(op, columns)), tuple(cut_row(turned(op), rows)))


def variants(machine: Machine, op: Conv) -> list[Params]:
    """Narrower and wider tiles, and single rows."""
    best = Params.from_machine(machine, op)
    widths = range(max(1, best.columns - 3), min(op.out_width, best.columns + 3) + 1)
    return [Params.of(op, rows, columns) for rows in {best.rows, 1} for columns in widths]


def paired_rows(machine: Machine, op: Conv) -> int:
    """Columns of a tile of two rows, which share their inputs; 0 where such tiles do not pay.

    A core without loads in pairs waits for loads: 2 x 7 outputs need 36 inputs for 126 multiply-adds at stride 1, where
    8 need 30 for 72. Registers: as below, with three more inputs on their way; 2 x 8 outputs spill at stride 2, and so
    do two tiles beside each other without a loop.
    """
    taps = held_taps(machine, op)
    if machine.pairs or op.out_height == 1 or not taps:
        return 0
    columns = (machine.registers - taps - 9) // 2
    return columns if any(cut.count > 1 for cut in cut_row(op, columns)) else 0


def held_taps(machine: Machine, op: Conv) -> int:
    """Taps of the filter that stay in registers while a row is computed: all or none."""
    taps = op.kernel[0] * op.kernel[1]
    return taps if taps <= machine.registers // 3 else 0


def turned(op: Conv) -> Conv:
    """The same windows with rows and columns exchanged."""
    top, left, bottom, right = op.pad
    return replace(
        op,
        height=op.width,
        width=op.height,
        kernel=op.kernel[::-1],
        stride=op.stride[::-1],
        pad=(left, top, right, bottom),
    )


def schedule(op: Conv, params: Params, machine: Machine, weight: np.ndarray, bias: np.ndarray) -> Kernel:
    """weight: [C, 1, KH, KW]; bias: [C]."""
    packed = pack(weight, machine, op.blocked_in)
    copied = pack_bias(op, params, machine, bias)
    pointers = _rule.conv_pointers(op, packed.size, copied.size)

    def body(*arguments: Buffer) -> None:
        *tensors, begin, end = arguments
        buffers = dict(zip(pointers, tensors, strict=True))
        emit = _blocked_rows if op.blocked_in else _rows
        with tir.loop(begin, end) as item:
            emit(op, params, machine, buffers, item)

    return Kernel(
        op,
        "depthwise_cpu",
        pointers,
        sum(cut.count for cut in params.y_tiles) if op.blocked_in else op.out_height,
        body,
        {"w": packed, "b": copied},
        f"{params.rows}x{params.columns}",
    )


def pack(weight: np.ndarray, machine: Machine, blocked: bool) -> np.ndarray:
    """[C, 1, KH, KW] as [taps][C], or as [C / lanes][taps][lanes]; a flat float32 array."""
    taps = weight.reshape(weight.shape[0], -1)
    order = taps.reshape(-1, machine.lanes, taps.shape[1]).transpose(0, 2, 1) if blocked else taps.T
    return np.ascontiguousarray(order, dtype=np.float32).ravel()


def bias_copies(op: Conv, params: Params, machine: Machine) -> int:
    """How often a vector of the bias stands in memory: perhaps once for each accumulator of a tile."""
    return _rule.bias_copies(machine, params.rows * params.columns, op.pixels) if op.blocked_in else 1


def pack_bias(op: Conv, params: Params, machine: Machine, bias: np.ndarray) -> np.ndarray:
    """The copies of every vector one after the other; a flat float32 array."""
    copies = bias_copies(op, params, machine)
    if copies == 1:
        return bias.astype(np.float32)
    return np.repeat(bias.astype(np.float32).reshape(-1, 1, machine.lanes), copies, axis=1).ravel()


def _rows(op: Conv, params: Params, machine: Machine, buffers: dict[str, Buffer], y: Expr) -> None:
    """Output row `y` of an image that lies by pixel."""
    source = Rows(buffers["x"], _rule.layout_in(op, machine), lambda row: row * op.width)
    epilogue = _rule.epilogue(op, machine, buffers)

    def emit(inner: bool) -> None:
        emit_row(op, params, machine, source, buffers, epilogue, (y, y * op.out_width), inner)

    inner_top, inner_bottom = inner_rows(op)
    if inner_bottom - inner_top < 2:
        emit(False)
    else:
        tir.branch(tirx.And(y >= inner_top, y < inner_bottom), lambda: emit(True), lambda: emit(False))


def _blocked_rows(op: Conv, params: Params, machine: Machine, buffers: dict[str, Buffer], item: Expr) -> None:
    """The rows of tile `item` of an image that lies in blocks; a case per cut."""
    source = Rows(buffers["x"], _rule.layout_in(op, machine), lambda row: row * op.width)
    epilogue = _rule.epilogue(op, machine, buffers)
    if any(cut.count > 1 for cut in params.x_tiles):
        # Steps that LLVM cannot see: each input row and each block gets an address of its own, and what belongs to it
        # is near enough for paired loads and stores (1.81 to 1.69 instructions a multiply-add at 56x56). Without a loop
        # along the row they would only cost.
        width, into, out = tir.unknown(op.width), source.layout, epilogue.layout
        into = replace(into, channel_step=tir.unknown(into.channel_step))
        source = replace(source, layout=into, first_pixel=lambda row: row * width)
        epilogue = replace(epilogue, layout=replace(out, channel_step=tir.unknown(out.channel_step)))
    copies = bias_copies(op, params, machine)
    bounds: list[int] = []
    cases: list[Callable[[], None]] = []
    first = 0
    for cut in params.y_tiles:

        def case(cut: XTile = cut, first: int = first) -> None:
            y = cut.start if cut.count == 1 else tir.bind((item - first) * cut.rows + cut.start)
            top = y * op.stride[0] - op.pad[0]
            taps = [
                [not cut.border or valid(turned(op), cut.start + row, ky) for ky in range(op.kernel[0])]
                for row in range(cut.rows)
            ]
            emit = _Emit(op, machine, source, buffers, epilogue, y * op.out_width, top, copies, taps)
            emit.run(params.x_tiles)

        bounds.append(first)
        cases.append(case)
        first += cut.count
    tir.switch(item, bounds, cases)


def inner_rows(op: Conv) -> tuple[int, int]:
    """Range of output rows whose window lies inside the image."""
    rows = [
        y
        for y in range(op.out_height)
        if y * op.stride[0] - op.pad[0] >= 0 and y * op.stride[0] - op.pad[0] + op.kernel[0] <= op.height
    ]
    return (rows[0], rows[-1] + 1) if rows else (0, 0)


@dataclass(frozen=True)
class Rows:
    """Where input rows are: the buffer, its layout and, for a row's number, the pixel its first column has there."""

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
    inner: bool,
) -> None:
    """One output row. weights: `w` and `b`; where: (output row, its first pixel in the epilogue's buffers)."""
    top = tir.bind(where[0] * op.stride[0] - op.pad[0])
    taps = [[True] * op.kernel[0]] if inner else None
    copies = bias_copies(op, params, machine)
    _Emit(op, machine, source, weights, epilogue, where[1], top, copies, taps).run(params.x_tiles)


@dataclass(frozen=True)
class _Emit:
    """The statements of one or several output rows."""

    op: Conv
    machine: Machine
    source: Rows
    weights: dict[str, Buffer]
    epilogue: Epilogue
    first_pixel: Expr  # of the first row in the output
    top: Expr  # input row of the first window's first tap
    copies: int  # of each vector of the bias
    taps: list[list[bool]] | None  # [row][ky]: which kernel rows exist; None: one row, found out when it runs

    @property
    def blocked(self) -> bool:
        """Whether x lies in blocks."""
        return self.op.blocked_in

    def run(self, x_tiles: tuple[XTile, ...]) -> None:
        """All channels of all tiles; the outer loop is the one with the longer stride in memory."""
        lanes = self.machine.lanes
        whole = self.op.channels // lanes
        if self.blocked:
            with tir.loop(0, whole) as c:
                held = self.filter(c * lanes)
                for cut in x_tiles:
                    with columns_of(cut) as column:
                        self.vector(cut, column, c * lanes, lanes, held)
            return
        for cut in x_tiles:
            with columns_of(cut) as column:
                if whole:
                    with tir.loop(0, whole) as c:
                        self.vector(cut, column, c * lanes, lanes, None)
                for offset, narrow in tir.vectors(self.op.channels - whole * lanes, lanes):
                    self.vector(cut, column, whole * lanes + offset, narrow, None)

    def filter(self, channel: Expr) -> list[Expr] | None:
        """The taps of a channel vector where they are to stay in registers."""
        if self.taps is None or not held_taps(self.machine, self.op):
            return None
        rows, columns = self.op.kernel
        return [self.tap(ky, kx, channel, self.machine.lanes) for ky in range(rows) for kx in range(columns)]

    def tap(self, ky: Expr, kx: int, channel: Expr, lanes: int) -> Expr:
        """Load one tap of a channel vector."""
        taps = self.op.kernel[0] * self.op.kernel[1]
        layout = Layout.by_block(taps, lanes) if self.blocked else Layout.by_pixel(self.op.channels)
        return tir.bind(tir.load(self.weights["w"], layout.at(ky * self.op.kernel[1] + kx, channel), lanes))

    def vector(self, cut: XTile, column: Expr, channel: Expr, lanes: int, held: list[Expr] | None) -> None:
        """One channel vector of one tile."""
        op, rows = self.op, 1 if self.taps is None else len(self.taps)
        acc = tir.local(rows * cut.rows * lanes)
        bias, size = self.weights["b"], rows * cut.rows
        if self.copies > 1:
            first = tir.bind(channel * self.copies + tir.beside(column))
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
                self.input_row(cut, acc, offset, live, column, channel, lanes, held)
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
        held: list[Expr] | None,
    ) -> None:
        """Every use of input row `top + offset`: live says which (tile row, kernel row) need it."""
        if not live:
            return
        op, width = self.op, self.op.kernel[1]
        weights = {
            row: [
                self.tap(ky, kx, channel, lanes) if held is None else held[ky * width + kx]
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
                    total = tir.multiply_add(
                        tir.load(acc, index, lanes), value, weights[row][kx], lanes, self.machine.fused
                    )
                    tir.store(acc, index, total, lanes)


@contextmanager
def columns_of(cut: XTile) -> Iterator[Expr]:
    """The first column of every tile of a cut; a known number where there is one tile."""
    if cut.count == 1:
        yield cut.start
    else:
        with tir.loop(0, cut.count) as index:
            yield tir.bind(index * cut.rows + cut.start)
