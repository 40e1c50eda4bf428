"""Pointwise convolution in 8 bits: [pixels, CI] x [CI, CO], with residual and both sides of the shift.

Pattern: 1x1, stride 1, dense; every expand and project layer of MobileNetV2, conv1 and conv3 of a ResNet bottleneck.

1. Pixels are cut into register tiles of two adjacent heights, output channels into panels (`_rule.choose` counts
   instructions); weights are packed for the instruction set's products (`kernels/cpu/int8.py`).
2. A shift that ends inside a group of four bytes costs one group more: the state's part is padded with zero weights,
   and x is read from the group's beginning, with zero weights for the channels that come from the state.
   On x86 a tile's pixels are copied first, the state's channels over x's, in the form that is multiplied (`_copies`).
3. The epilogue is one Q31 product and the narrowings; the residual is added with 8 fractional bits.
4. The first channels of a finished pixel are copied into the next state.
"""

from __future__ import annotations

import numpy as np

from ...ir.ops import Conv, Op, QConv
from ...ir.plan import Cycles
from ...kernels.cpu import builder as tir
from ...kernels.cpu import cost_int8, tiling
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.int8 import ByteSet, ByteTile, instructions
from ..cpu import Kernel, each_height
from ..rule import Schedule
from . import _rule
from ._copies import Scratch
from ._rule import Params

CASES = (
    QConv(Conv(7, 7, 160, 960, fold_in=20), -128),
    QConv(Conv(7, 7, 24, 24, residual=True, fold_out=3), 3, 300, 5),
    QConv(Conv(5, 3, 19, 27)),
    QConv(Conv(1, 1, 7, 1), 7),
    QConv(Conv(14, 14, 33, 65, residual=True, fold_in=4, fold_out=8), -17, 77, -128),
    QConv(Conv(5, 5, 16, 48, fold_in=2)),
    QConv(Conv(6, 5, 96, 24, residual=True, fold_in=3, fold_out=20), 0, 256, 0),
)


def claims(op: Op) -> bool:
    """Every pointwise convolution in 8 bits."""
    return isinstance(op, QConv) and op.conv.pointwise


def best(machine: tiling.Machine, op: QConv) -> Params:
    """The parameters for the image as one run of pixels."""
    return Params.of(op.conv.pixels, op.conv.out_channels, op.conv.channels, instructions(machine))


def parts(op: Conv, isa: ByteSet) -> tuple[int, int, int]:
    """Channels of the state's part, where x is read from, and the length of x's part; a copy has one part."""
    past = 0 if isa.copies else op.fold_in
    begin = past // isa.step * isa.step
    return past, begin, op.channels - begin


def schedule(
    op: QConv, params: Params, machine: tiling.Machine, weight: np.ndarray, bias: np.ndarray, multiplier: np.ndarray
) -> Kernel:
    """weight: [CO, CI, 1, 1] int8; bias, multiplier: [CO] int32."""
    conv, isa = op.conv, params.isa
    past, begin, length = parts(conv, isa)
    matrix = weight[:, :, 0, 0].T
    rest = matrix[begin:].copy()
    rest[: past - begin] = 0
    packed = _rule.pack(np.concatenate([matrix[:past], rest]), params.panels, (past, length), isa)
    channels = sum(params.panels.widths)
    copied = params.rows * conv.channels * isa.wide + _rule.TAIL if isa.copies else 0
    pointers = _rule.pointers(conv, packed.size, channels, copied)
    tiles = tuple(tiling.split_rows(conv.pixels, params.rows))

    def body(*arguments: Buffer) -> None:
        *tensors, first, last = arguments
        buffers = dict(zip(pointers, tensors, strict=True))
        with tir.loop(first, last) as tile:
            each_height(tiles, tile, lambda pixel, height: _tile(op, params, buffers, pixel, height))

    constants = {
        "w": packed,
        "b": _rule.padded(isa.bias(bias, weight.sum((1, 2, 3))), channels),
        "m": _rule.padded(multiplier, channels),
    }
    items = sum(count for count, _ in tiles)
    note = f"{params.rows}x{params.panels.width}"
    work = Cycles(cycles(machine, op, params))
    return Kernel(op, "pointwise_cpu_int8", pointers, items, body, constants, note, work=work)


def cycles(machine: tiling.Machine, op: QConv, params: Params) -> float:
    """Modelled cycles of one core with weights in its cache."""
    conv = op.conv
    past, _, length = parts(conv, params.isa)
    lengths = tuple(_rule.steps_of(part, params.isa) for part in (past, length) if part)
    copies = conv.pixels * conv.channels if params.isa.copies else 0
    tiles = cost_int8.dense(machine, 1, conv.pixels, params.rows, params.panels, lengths, conv.residual)
    return tiles + cost_int8.copied(machine, copies)


def gather(op: Conv, scratch: Scratch, buffers: dict[str, Buffer], pixel: Expr, height: int) -> None:
    """Copy neighbouring pixels of x, the state's channels over the first ones."""
    scratch.copy(buffers["x"], pixel * op.channels, 0, height * op.channels)
    for row in range(height if op.fold_in else 0):
        scratch.copy(buffers["state"], (pixel + row) * op.fold_in, row * op.channels, op.fold_in)


def _tile(op: QConv, params: Params, buffers: dict[str, Buffer], pixel: Expr, height: int) -> None:
    """`height` pixels, panel by panel."""
    conv, isa = op.conv, params.isa
    past, begin, length = parts(conv, isa)
    head = _rule.steps_of(past, isa)
    body = _rule.steps_of(length, isa)
    epilogue = _rule.epilogue(op, isa, buffers)
    pixels = [pixel + row for row in range(height)]
    if isa.copies:
        gather(conv, Scratch(isa, buffers["scratch"]), buffers, pixel, height)

    def panel(width: int, channel: Expr, place: Expr) -> None:
        registers = ByteTile(height, width, isa)
        acc = registers.accumulators(buffers["b"], channel)
        if past:
            bases = [tir.bind(each * past) for each in pixels]
            registers.reduce(acc, buffers["state"], bases, head, buffers["w"], place)
        if isa.copies:
            source, bases = buffers["scratch"], [row * conv.channels for row in range(height)]
        else:
            source, bases = buffers["x"], [tir.bind(each * conv.channels + begin) for each in pixels]
        registers.reduce(acc, source, bases, body, buffers["w"], place + head * width)
        kept = min(width, conv.out_channels - channel) if isinstance(channel, int) else width
        registers.finish(acc, epilogue, pixels, buffers["b"], channel, kept)

    _rule.for_panels(_rule.exact(params.panels, conv.out_channels), head + body, panel)
    for each in pixels:
        epilogue.keep(each)


SCHEDULE = Schedule("pointwise_cpu_int8", claims, best, schedule, CASES, dtypes=_rule.DTYPES)
