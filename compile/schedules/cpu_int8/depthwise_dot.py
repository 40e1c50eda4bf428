"""Depthwise convolution in 8 bits with vpdpbusd, which sums four neighbouring taps of a kernel row.

Pattern: as `depthwise`, on x86 with VNNI.

1. The pixels under a kernel row are interleaved by fours (12 instructions for 64 channels); two neighbouring outputs of
   stride 1 take the same vectors with weights that are shifted by a pixel: a tile of 3x3 has 24 products for 128 sums.
2. Weights are packed [kernel row][shift][four][channel][tap] for each span of channels; taps beyond the kernel are 0.
3. Taps outside the image are a constant vector, so there is one bias.
4. Spans are 64 channels (32 with AVX-VNNI), then half as many, down to 16, of which any may be padding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from tvm import tirx

from ...ir.dtype import INT8, INT32
from ...ir.ops import Conv, Op, QConv
from ...ir.plan import Cycles
from ...kernels.cpu import builder as tir
from ...kernels.cpu import cost_int8, tiling
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.bytes_x86 import X86
from ...kernels.cpu.int8 import some
from ..cpu import Kernel
from ..rule import Schedule
from . import _rule
from ._rows import Rows

CASES = (
    QConv(Conv(9, 8, 200, 200, (3, 3), (1, 1), (1, 1, 1, 1), 200), -128),
    QConv(Conv(9, 12, 96, 96, (3, 3), (2, 2), (1, 1, 1, 1), 96), 77),
    QConv(Conv(7, 7, 20, 20, (5, 5), (1, 1), (2, 2, 2, 2), 20, fold_out=3), 17),
    QConv(Conv(6, 7, 77, 77, (3, 3), (2, 2), (0, 1, 1, 0), 77, residual=True), 0, 200, 9),
    QConv(Conv(1, 1, 16, 16, (3, 3), (1, 1), (1, 1, 1, 1), 16), 4),
)
SMALLEST = 16  # channels of a span


def claims(op: Op) -> bool:
    """Every depthwise convolution in 8 bits."""
    return isinstance(op, QConv) and op.conv.depthwise


def worthwhile(machine: tiling.Machine, op: QConv) -> bool:
    """Where the core has vpdpbusd."""
    return machine.vnni


@dataclass(frozen=True)
class Params:
    """Pixels of a tile, and channels of the widest span."""

    columns: int
    channels: int

    @classmethod
    def from_machine(cls, machine: tiling.Machine, op: QConv) -> Params:
        columns = 2 if op.conv.stride[1] == 1 and op.conv.out_width > 1 else 1
        return cls(columns, 4 * machine.lanes)


@dataclass(frozen=True)
class Span:
    """`kept` channels from `begin`, computed in vectors of `size`. place: channels of the spans before it."""

    begin: Expr
    kept: int
    size: int
    place: Expr


def spans(channels: int, widest: int) -> list[Span]:
    """The spans of all channels."""
    found, place = [], 0
    for begin, kept in tir.vectors(channels, widest):
        size = max(kept, SMALLEST)
        found.append(Span(begin, kept, size, place))
        place += size
    return found


def fours(conv: Conv, columns: int) -> int:
    """Groups of four pixels under a kernel row, for all pixels of a tile."""
    return -(-(conv.kernel[1] + (columns - 1) * conv.stride[1]) // 4)


def order(size: int) -> np.ndarray:
    """[4 vectors][lanes]: the channels of a span's sums."""
    return X86(size // 4, 0, True).scattered()


def filters_of(weight: np.ndarray, conv: Conv, params: Params, parts: list[Span]) -> np.ndarray:
    """weight: [C, KH, KW] -> for each span [KH][shift][four][4 vectors][lanes][4 taps]."""
    groups, found = fours(conv, params.columns), []
    for span in parts:
        window = np.zeros((span.size, conv.kernel[0], params.columns, 4 * groups), np.int8)
        for shift in range(params.columns):
            begin = shift * conv.stride[1]
            taps = weight[span.begin : span.begin + span.kept]
            window[: span.kept, :, shift, begin : begin + conv.kernel[1]] = taps
        by_group = window.reshape(*window.shape[:3], groups, 4).transpose(1, 2, 3, 0, 4)
        found.append(by_group[:, :, :, order(span.size)].ravel())
    return np.concatenate(found)


def scattered(array: np.ndarray, parts: list[Span]) -> np.ndarray:
    """Biases or multipliers in the order of the sums."""
    whole = [_rule.padded(array[span.begin : span.begin + span.kept], span.size)[order(span.size)] for span in parts]
    return np.concatenate([part.ravel() for part in whole])


def schedule(
    op: QConv, params: Params, machine: tiling.Machine, weight: np.ndarray, bias: np.ndarray, multiplier: np.ndarray
) -> Kernel:
    """weight: [C, 1, KH, KW] int8; bias, multiplier: [C] int32."""
    conv, isa = op.conv, X86(machine.lanes, machine.registers, True)
    parts = spans(conv.channels, params.channels)
    packed = filters_of(weight[:, 0], conv, params, parts)
    starts = scattered(isa.bias(bias, weight.sum((1, 2, 3))), parts)
    pointers = _rule.pointers(conv, packed.size, starts.size)

    def body(*arguments: Buffer) -> None:
        *tensors, first, last = arguments
        buffers = dict(zip(pointers, tensors, strict=True))
        rows = Fours(op, isa, params.columns, buffers, parts, fours(conv, params.columns))
        with tir.loop(first, last) as y:
            rows.emit(y)

    constants = {"w": packed, "b": starts, "m": scattered(multiplier, parts)}
    note, groups = f"{params.columns}x{params.channels}", fours(conv, params.columns)
    cycles = cost_int8.depthwise_dot(machine, conv, params.columns, groups, len(parts), starts.size)
    work = Cycles(cycles)
    return Kernel(op, "depthwise_dot_cpu_int8", pointers, conv.out_height, body, constants, note, work=work)


@dataclass(frozen=True)
class Fours(Rows):
    """Rows in products of four taps each. groups: fours of pixels under a kernel row."""

    parts: list[Span]
    groups: int

    def row(self, y: Expr, taps: tuple[int, int]) -> None:
        """All channels of a row: the spans of one size in a loop."""
        first = self.parts[0]
        same = [span for span in self.parts if span.kept == first.kept]
        if len(same) > 1:
            with tir.loop(0, len(same)) as index:
                at = tir.bind(index * first.size)
                self.span(y, taps, replace(first, begin=at, place=at))
        else:
            self.span(y, taps, first)
        for span in self.parts[len(same) :]:
            self.span(y, taps, span)

    def span(self, y: Expr, taps: tuple[int, int], span: Span) -> None:
        """So many channels of a row, tile by tile."""
        self.along(lambda columns, x, size: self.tile(y, taps, columns, x, size, span))

    def tile(
        self, y: Expr, rows: tuple[int, int], columns: tuple[int, int], x: Expr, size: int, span: Span
    ) -> None:
        """`size` neighbouring pixels that have the same taps."""
        conv, isa = self.op.conv, X86(span.size // 4, 0, True)
        again = tir.opaque_zero(x)  # weights are read from memory by the products, not kept over a row
        first = tir.bind(span.place + again)
        start = [tir.bind(tir.load(self.buffers["b"], first + at, isa.lanes)) for at in range(0, span.size, isa.lanes)]
        totals = [list(start) for _ in range(size)]
        origin = self.origin(y, x, span.begin)
        absent = tir.constant(self.op.x_zero, span.size, INT8)
        for ky in range(conv.kernel[0]):
            for group in range(self.groups):
                pixels = []
                for column in range(4 * group, 4 * group + 4):
                    inside = rows[0] <= ky < rows[1] and self.inside(column, columns, size)
                    at = origin + (ky * conv.width + column) * conv.channels
                    value = self.pixel(at, span) if inside else absent
                    pixels.append(tir.bind(isa.copied(value, span.size)))
                parts = isa.interleaved(*pixels)
                for shift in range(size):
                    if not self.taken(group, shift):
                        continue
                    place = ((ky * self.columns + shift) * self.groups + group) * 4 * span.size
                    place = first * (self.columns * conv.kernel[0] * self.groups * 4) + place
                    for vector, part in enumerate(parts):
                        weight = isa.weights(self.buffers["w"], place + vector * span.size)
                        totals[shift][vector] = tir.bind(isa.multiply(totals[shift][vector], weight, part))
        for shift in range(size):
            self.write(isa, totals[shift], y * conv.out_width + x + shift, span, first)

    def inside(self, column: int, columns: tuple[int, int], size: int) -> bool:
        """Whether a pixel under the tile's taps is in the image."""
        return columns[0] <= column < columns[1] + (size - 1) * self.op.conv.stride[1]

    def taken(self, group: int, shift: int) -> bool:
        """Whether an output pixel has taps in a four."""
        begin = shift * self.op.conv.stride[1]
        return 4 * group < begin + self.op.conv.kernel[1] and begin < 4 * group + 4

    def pixel(self, at: Expr, span: Span) -> Expr:
        """The bytes of a span."""
        return some(self.buffers["x"], at, span.kept, span.size)

    def write(self, isa: X86, totals: list[Expr], pixel: Expr, span: Span, first: Expr) -> None:
        """Requantise and store the channels of a pixel."""
        op = self.op
        at = tir.bind(pixel * op.conv.out_channels + span.begin)
        values = []
        residual = tir.bind(some(self.buffers["r"], at, span.kept, span.size)) if op.conv.residual else None
        for vector, total in enumerate(totals):
            multiplier = tir.load(self.buffers["m"], first + vector * isa.lanes, isa.lanes)
            value = isa.requantised(total, multiplier)
            if residual is not None:
                r = tirx.Shuffle([residual], isa.scattered()[vector].tolist())
                value = value + isa.shared(r, op.share) - tir.constant(op.r_zero * op.share, isa.lanes, INT32)
                value = isa.whole(value)
            values.append(value)
        whole = isa.packed(values)
        for offset, lanes in tir.vectors(span.kept, span.size):
            part = whole if lanes == span.size else tirx.Shuffle([whole], list(range(offset, offset + lanes)))
            tir.store(self.buffers["y"], at + offset, part, lanes)


SCHEDULE = Schedule(
    "depthwise_dot_cpu_int8",
    claims,
    Params.from_machine,
    schedule,
    CASES,
    worthwhile=worthwhile,
    dtypes=_rule.DTYPES,
)
