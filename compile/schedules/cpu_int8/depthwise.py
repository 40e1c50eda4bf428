"""Depthwise convolution in 8 bits, read in place by output rows.

Pattern: one filter per channel, any kernel, stride and padding: the middle of every inverted residual.

1. Two taps are multiplied and added in 16 bits (|x| <= 128, |w| <= 127, so two products fit) and widened together into
   32-bit sums: on NEON smull, smlal, saddw, saddw2 are 16 multiply-adds.
2. Taps outside the image are omitted; their contribution, zero_x * w, is in the bias. A layer has one bias per set of
   rows and columns inside the image: nine for 3x3 with padding 1.
3. 16 channels at a time, then 8, 4 and single ones; the filter stays in registers along a row.
4. An output row is cut into tiles of two pixels, and border pixels on their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tvm import tirx

from ...ir.dtype import INT32
from ...ir.ops import Conv, Op, QConv
from ...ir.plan import Cycles
from ...kernels.cpu import builder as tir
from ...kernels.cpu import cost_int8, tiling
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.int8 import ByteSet, Requantise, instructions
from ..cpu import Kernel
from ..rule import Schedule
from . import _rule
from ._borders import Borders
from ._rows import Rows

CASES = (
    QConv(Conv(9, 8, 24, 24, (3, 3), (1, 1), (1, 1, 1, 1), 24), -128),
    QConv(Conv(9, 12, 96, 96, (3, 3), (2, 2), (1, 1, 1, 1), 96), -128),
    QConv(Conv(3, 2, 8, 8, (3, 3), (1, 1), (1, 1, 1, 1), 8), -5),
    QConv(Conv(7, 7, 20, 20, (5, 5), (1, 1), (2, 2, 2, 2), 20, fold_out=3), 17),
    QConv(Conv(6, 7, 13, 13, (3, 3), (2, 2), (0, 1, 1, 0), 13, residual=True), 0, 200, 9),
    QConv(Conv(1, 1, 16, 16, (3, 3), (1, 1), (1, 1, 1, 1), 16), 4),
    QConv(Conv(14, 14, 48, 48, (3, 3), (1, 1), (1, 1, 1, 1), 48), -5),
)
COLUMNS = 2


def claims(op: Op) -> bool:
    """Every depthwise convolution in 8 bits."""
    return isinstance(op, QConv) and op.conv.depthwise


@dataclass(frozen=True)
class Params:
    """Pixels of a tile, and the instruction set."""

    columns: int
    isa: ByteSet

    @classmethod
    def from_machine(cls, machine: tiling.Machine, op: QConv) -> Params:
        return cls(min(COLUMNS, op.conv.out_width), instructions(machine))


def biases(op: QConv, weight: np.ndarray, bias: np.ndarray, channels: int) -> np.ndarray:
    """[sets][channels] int32: the bias plus the contribution of the omitted taps."""
    borders, found = Borders.of(op.conv), []
    filters = weight[:, 0].astype(np.int64)
    for rows in borders.row_sets:
        for columns in borders.column_sets:
            inside = filters[:, rows[0] : rows[1], columns[0] : columns[1]].sum((1, 2))
            absent = filters.sum((1, 2)) - inside
            found.append(_rule.padded((bias + op.x_zero * absent).astype(np.int32), channels))
    return np.concatenate(found)


def schedule(
    op: QConv, params: Params, machine: tiling.Machine, weight: np.ndarray, bias: np.ndarray, multiplier: np.ndarray
) -> Kernel:
    """weight: [C, 1, KH, KW] int8; bias, multiplier: [C] int32."""
    conv = op.conv
    lanes = params.isa.lanes
    channels = -(-conv.channels // lanes) * lanes
    past = lanes if conv.channels % lanes else 0  # the last channels are loaded as whole vectors
    packed = np.zeros((conv.kernel[0] * conv.kernel[1], channels), np.int8)
    packed[:, : conv.channels] = weight[:, 0].reshape(conv.channels, -1).T
    starts = np.pad(biases(op, weight, bias, channels), (0, past))
    pointers = _rule.pointers(conv, packed.size, channels + past)
    pointers["b"] = type(pointers["b"])(starts.size, INT32)

    def body(*arguments: Buffer) -> None:
        *tensors, first, last = arguments
        rows = Pairs(op, params.isa, params.columns, dict(zip(pointers, tensors, strict=True)), channels)
        with tir.loop(first, last) as y:
            rows.emit(y)

    constants = {"w": packed.ravel(), "b": starts, "m": _rule.padded(multiplier, channels + past)}
    note, work = f"1x{params.columns}", Cycles(cost_int8.depthwise(machine, conv, params.columns))
    return Kernel(op, "depthwise_cpu_int8", pointers, conv.out_height, body, constants, note, work=work)


@dataclass(frozen=True)
class Pairs(Rows):
    """Rows in products of two taps each. channels: padded."""

    channels: int

    def row(self, y: Expr, taps: tuple[int, int]) -> None:
        """All channels of a row."""
        channels = self.op.conv.channels
        tir.each_vector(channels, 16, lambda channel, lanes: self.span(y, taps, tir.bind(channel), lanes))

    def span(self, y: Expr, taps: tuple[int, int], channel: Expr, lanes: int) -> None:
        """So many channels of a row, tile by tile."""
        conv = self.op.conv
        width = conv.kernel[1]
        filters = {
            (ky, kx): self.weight((ky * width + kx) * self.channels + channel, lanes)
            for ky in range(taps[0], taps[1])
            for kx in range(width)
        }
        self.along(lambda columns, x, size: self.tile(y, taps, columns, x, size, channel, lanes, filters))

    def used(self, lanes: int) -> int:
        """Channels that are computed for so many: as many as the smallest vector has."""
        return max(lanes, 8, self.isa.lanes)

    def weight(self, at: Expr, lanes: int) -> Expr:
        """A tap of so many channels."""
        return tir.bind(widened(tir.load(self.buffers["w"], at, lanes), lanes, self.used(lanes)))

    def tile(
        self,
        y: Expr,
        rows: tuple[int, int],
        columns: tuple[int, int],
        x: Expr,
        size: int,
        channel: Expr,
        lanes: int,
        filters: dict[tuple[int, int], Expr],
    ) -> None:
        """`size` neighbouring pixels that have the same taps."""
        conv = self.op.conv
        number = Borders.of(conv).number(rows, columns)
        used, isa = self.used(lanes), self.isa
        vectors = range(0, max(lanes, isa.lanes), isa.lanes)
        first = number * self.channels + channel
        starts = [tir.bind(tir.load(self.buffers["b"], first + at, isa.lanes)) for at in vectors]
        scales = [tir.bind(tir.load(self.buffers["m"], channel + at, isa.lanes)) for at in vectors]
        origin = self.origin(y, x, channel)
        taps = [(ky, kx) for ky in range(*rows) for kx in range(*columns)]
        loaded: dict[tuple[int, int], Expr] = {}
        for ky, kx in taps:
            for pixel in range(size):
                place = (ky, kx + pixel * conv.stride[1])
                if place not in loaded:
                    at = origin + (place[0] * conv.width + place[1]) * conv.channels
                    loaded[place] = tir.bind(widened(tir.load(self.buffers["x"], at, lanes), lanes, used))
        epilogue = _rule.epilogue(self.op, self.isa, self.buffers)
        for pixel in range(size):
            products = [(loaded[ky, kx + pixel * conv.stride[1]], filters[ky, kx]) for ky, kx in taps]
            totals = isa.sums(products, starts, used)
            at = tir.bind(y * conv.out_width + x + pixel)
            self.write(epilogue, totals, at, channel, lanes, scales)

    def write(
        self, epilogue: Requantise, totals: list[Expr], pixel: Expr, channel: Expr, lanes: int, scales: list[Expr]
    ) -> None:
        """Requantise and store the channels of a pixel."""
        epilogue.write(totals[: len(scales)], pixel, channel, lanes, scales)


def widened(vector: Expr, lanes: int, used: int) -> Expr:
    """So many bytes, repeated in a vector of `used`."""
    if lanes == used:
        return vector
    return tirx.Shuffle([vector] * (used // lanes), list(range(used))) if lanes > 1 else tirx.Broadcast(vector, used)


SCHEDULE = Schedule("depthwise_cpu_int8", claims, Params.from_machine, schedule, CASES, dtypes=_rule.DTYPES)
