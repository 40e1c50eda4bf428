"""Dense k x k convolution in 8 bits, over a window of padded rows in the thread's scratch.

Pattern: the stem (3x3 or 7x7 on 3 channels), ResNet's 3x3, strided 1x1 shortcuts.

1. For an output row its input rows are copied into the window: zero_x outside the image, the state's channels over the
   first ones. A copy costs two instructions for 16 bytes; the tiles then have no borders and one source.
2. Taps and channels of a kernel row are contiguous there, so a tile reduces over `kernel width x CI` bytes, padded with
   zero weights, for each kernel row: the stem's 9 bytes are 3 groups of four.
3. Tiles, panels and epilogue as in the pointwise schedule.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...ir.ops import Conv, Op, QConv
from ...ir.plan import Cycles
from ...kernels.cpu import builder as tir
from ...kernels.cpu import cost_int8, tiling
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.int8 import ByteSet, ByteTile, instructions
from ..cpu import Kernel
from ..rule import Schedule
from . import _rule
from ._copies import Scratch
from ._rule import Params

CASES = (
    QConv(Conv(9, 11, 3, 32, (3, 3), (2, 2), (1, 1, 1, 1)), -14),
    QConv(Conv(20, 18, 3, 24, (7, 7), (2, 2), (3, 3, 3, 3)), 9),
    QConv(Conv(7, 7, 16, 24, (3, 3), (1, 1), (1, 1, 1, 1), fold_in=2, residual=True, fold_out=3), -128, 256, -128),
    QConv(Conv(14, 14, 48, 40, (3, 3), (2, 2), (1, 1, 1, 1), fold_in=6), 4),
    QConv(Conv(13, 15, 8, 20, (1, 1), (2, 2)), -128),
    QConv(Conv(1, 1, 8, 8, (3, 3), (1, 1), (1, 1, 1, 1)), 31),
    QConv(Conv(2, 3, 5, 9, (3, 3), (1, 1), (1, 1, 1, 1)), -7),
    QConv(Conv(8, 8, 8, 16, (2, 2), (2, 2), (0, 0, 0, 0)), 1),
)


def claims(op: Op) -> bool:
    """Every dense convolution in 8 bits that is no matrix product over pixels."""
    return isinstance(op, QConv) and op.conv.groups == 1 and not op.conv.pointwise


def best(machine: tiling.Machine, op: QConv) -> Params:
    """The parameters for output rows as runs of pixels."""
    conv, isa = op.conv, instructions(machine)
    length = conv.kernel[0] * _rule.steps_of(conv.kernel[1] * conv.channels, isa)
    return Params.of(conv.out_width, conv.out_channels, length, isa)


def cycles(machine: tiling.Machine, op: QConv, params: Params) -> float:
    """Modelled cycles of one core with weights in its cache: register tiles, and the copies of windows."""
    conv = op.conv
    lengths = (_rule.steps_of(conv.kernel[1] * conv.channels, params.isa),) * conv.kernel[0]
    tiles = cost_int8.dense(
        machine, conv.out_height, conv.out_width, params.rows, params.panels, lengths, conv.residual
    )
    window = conv.kernel[0] * Window.of(conv, params.isa).pitch
    return tiles + conv.out_height * cost_int8.copied(machine, window)


@dataclass(frozen=True)
class Window:
    """The copied rows of an output row. columns: pixels of a row; pitch: its activations."""

    op: Conv
    isa: ByteSet
    columns: int
    pitch: int

    @classmethod
    def of(cls, op: Conv, isa: ByteSet) -> Window:
        """That of a convolution."""
        columns = (op.out_width - 1) * op.stride[1] + op.kernel[1]
        return cls(op, isa, columns, columns * op.channels)

    @property
    def size(self) -> int:
        """Bytes, including those that tails read past the end."""
        return self.op.kernel[0] * self.pitch * self.isa.wide + _rule.TAIL

    def fill(self, y: Expr, zero: int, buffers: dict[str, Buffer]) -> None:
        """Copy the input rows of output row y."""
        op, scratch = self.op, Scratch(self.isa, buffers["scratch"])
        top = tir.bind(y * op.stride[0] - op.pad[0])
        with tir.loop(0, op.kernel[0]) as ky:
            row, place = tir.bind(top + ky), tir.bind(ky * self.pitch)
            inside = (row >= 0) & (row < op.height)
            tir.branch(
                inside,
                lambda: self.row(row, place, zero, buffers, scratch),
                lambda: scratch.splash(place, self.pitch, zero),
            )

    def row(self, row: Expr, place: Expr, zero: int, buffers: dict[str, Buffer], scratch: Scratch) -> None:
        """One input row with its padding left and right."""
        op = self.op
        left = op.pad[1]
        copied = min(op.width, self.columns - left)
        right = self.columns - left - copied
        scratch.splash(place, left * op.channels, zero)
        begin = tir.bind(place + left * op.channels)
        scratch.copy(buffers["x"], row * (op.width * op.channels), begin, copied * op.channels)
        scratch.splash(begin + copied * op.channels, right * op.channels, zero)
        if op.fold_in:
            with tir.loop(0, copied) as x:
                past = tir.bind((row * op.width + x) * op.fold_in)
                scratch.copy(buffers["state"], past, tir.bind(begin + x * op.channels), op.fold_in)


def schedule(
    op: QConv, params: Params, machine: tiling.Machine, weight: np.ndarray, bias: np.ndarray, multiplier: np.ndarray
) -> Kernel:
    """weight: [CO, CI, KH, KW] int8; bias, multiplier: [CO] int32."""
    conv, isa = op.conv, params.isa
    length = conv.kernel[1] * conv.channels
    matrix = weight.transpose(2, 3, 1, 0).reshape(-1, conv.out_channels)
    packed = _rule.pack(matrix, params.panels, (length,) * conv.kernel[0], isa)
    channels = sum(params.panels.widths)
    window = Window.of(conv, isa)
    pointers = _rule.pointers(conv, packed.size, channels, window.size)

    def body(*arguments: Buffer) -> None:
        *tensors, first, last = arguments
        buffers = dict(zip(pointers, tensors, strict=True))
        with tir.loop(first, last) as y:
            window.fill(y, op.x_zero, buffers)
            _row(op, params, window, buffers, y)

    start = isa.bias(bias, weight.sum((1, 2, 3)))
    constants = {"w": packed, "b": _rule.padded(start, channels), "m": _rule.padded(multiplier, channels)}
    note = f"{params.rows}x{params.panels.width}"
    work = Cycles(cycles(machine, op, params))
    return Kernel(op, "conv_cpu_int8", pointers, conv.out_height, body, constants, note, work=work)


def _row(op: QConv, params: Params, window: Window, buffers: dict[str, Buffer], y: Expr) -> None:
    """One output row from its window, panel by panel."""
    conv, isa = op.conv, params.isa
    part = _rule.steps_of(conv.kernel[1] * conv.channels, isa)
    epilogue = _rule.epilogue(op, isa, buffers)
    start = tir.bind(y * conv.out_width)

    def tile(x: Expr, height: int, width: int, channel: Expr, place: Expr) -> None:
        registers = ByteTile(height, width, isa)
        acc = registers.accumulators(buffers["b"], channel)
        for ky in range(conv.kernel[0]):
            bases = [
                tir.bind((x + row) * (conv.stride[1] * conv.channels) + ky * window.pitch) for row in range(height)
            ]
            registers.reduce(acc, buffers["scratch"], bases, part, buffers["w"], place + ky * part * width)
        kept = min(width, conv.out_channels - channel) if isinstance(channel, int) else width
        pixels = [start + x + row for row in range(height)]
        registers.finish(acc, epilogue, pixels, buffers["b"], channel, kept)

    def panel(width: int, channel: Expr, place: Expr) -> None:
        first = 0
        for count, height in tiling.split_rows(conv.out_width, params.rows):
            if count > 1:
                with tir.loop(0, count) as index:
                    tile(tir.bind(index * height + first), height, width, channel, place)
            else:
                tile(first, height, width, channel, place)
            first += count * height

    _rule.for_panels(_rule.exact(params.panels, conv.out_channels), part * conv.kernel[0], panel)
    if epilogue.next is not None:
        with tir.loop(0, conv.out_width) as x:
            epilogue.keep(tir.bind(start + x))


SCHEDULE = Schedule("conv_cpu_int8", claims, best, schedule, CASES, dtypes=_rule.DTYPES)
