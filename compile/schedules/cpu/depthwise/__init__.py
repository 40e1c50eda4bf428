"""Depthwise convolution on a CPU: one filter per channel, vectors along the channels.

Pattern: groups == channels, any kernel, stride and padding.

1. A work item is an output row. Its pixels are cut into tiles along x; inside a tile the loop runs over channel
   vectors, so memory is read in streams, one per input pixel of the tile.
2. For one channel vector the tile keeps `columns` accumulators. Each kernel row loads its inputs once and uses them for
   every tap that needs them: a tile of 4 at stride 1 reads 6 vectors for 12 multiply-adds.
3. Rows away from the top and bottom have every tap and are unrolled; the others loop over the taps inside the image.
   Border tiles omit the taps outside the image at compile time.
4. In blocked layout (NCHWc) the channel vectors are the outer loop: the filter stays in registers along a row, adjacent
   pixels are adjacent in memory, and a tile as wide as the image is two output rows high, which share their inputs. So
   is every tile of a loop on cores without paired loads. Where many tiles use it, the bias is repeated for every
   accumulator of a tile (docs/decisions/011-neon.md).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from ....ir.dtype import DType
from ....ir.ops import Conv, Op
from ....ir.plan import Cycles
from ....kernels.cpu import builder as tir
from ....kernels.cpu import cost
from ....kernels.cpu.builder import Buffer, Expr
from ....kernels.cpu.tiling import Machine
from ... import cases
from ...pointers import conv_pointers
from ...rule import Schedule
from .. import _rule
from .._rule import Kernel
from .._windows import XTile, valid
from .params import Params, bias_repeats_for, transposed
from .row import Emit, Rows, emit_row

CASES = (
    *cases.DEPTHWISE,
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


def variants(machine: Machine, op: Conv) -> list[Params]:
    """Narrower and wider tiles, and single rows."""
    best = Params.from_machine(machine, op)
    widths = range(max(1, best.columns - 3), min(op.out_width, best.columns + 3) + 1)
    return [Params.of(op, rows, columns) for rows in {best.rows, 1} for columns in widths]


def schedule(op: Conv, params: Params, machine: Machine, weight: np.ndarray, bias: np.ndarray) -> Kernel:
    """weight: [C, 1, KH, KW]; bias: [C]."""
    packed = pack(weight, machine, op.blocked_in, op.types.w)
    packed_bias = pack_bias(op, params, machine, bias)
    pointers = conv_pointers(op, packed.size, packed_bias.size)

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
        {"w": packed, "b": packed_bias},
        f"{params.rows}x{params.columns}",
        work=Cycles(cost.depthwise(machine, op, params.rows, params.columns)),
    )


def pack(weight: np.ndarray, machine: Machine, blocked: bool, dtype: DType) -> np.ndarray:
    """[C, 1, KH, KW] as [taps][C], or as [C / lanes][taps][lanes]; a flat array of the type."""
    taps = weight.reshape(weight.shape[0], -1)
    order = taps.reshape(-1, machine.lanes, taps.shape[1]).transpose(0, 2, 1) if blocked else taps.T
    return np.ascontiguousarray(order, dtype=dtype.numpy).ravel()


def pack_bias(op: Conv, params: Params, machine: Machine, bias: np.ndarray) -> np.ndarray:
    """Every vector of the bias `bias_repeats_for` times; a flat array of the operand's type."""
    bias_repeats, typed = bias_repeats_for(op, params, machine), bias.astype(op.types.b.numpy)
    return typed if bias_repeats == 1 else np.repeat(typed.reshape(-1, 1, machine.lanes), bias_repeats, axis=1).ravel()


def _rows(op: Conv, params: Params, machine: Machine, buffers: dict[str, Buffer], y: Expr) -> None:
    """Output row `y`, x in NHWC."""
    source = Rows(buffers["x"], _rule.layout_in(op, machine), lambda row: row * op.width)
    epilogue = _rule.epilogue(op, machine, buffers)
    emit_row(op, params, machine, source, buffers, epilogue, (y, y * op.out_width))


def _blocked_rows(op: Conv, params: Params, machine: Machine, buffers: dict[str, Buffer], item: Expr) -> None:
    """The output rows of tile `item`, x in blocks of channels; one case per cut."""
    source = Rows(buffers["x"], _rule.layout_in(op, machine), lambda row: row * op.width)
    epilogue = _rule.epilogue(op, machine, buffers)
    if any(cut.count > 1 for cut in params.x_tiles):
        # Opaque strides: each input row and each block gets a base address of its own, within the immediate offsets of
        # paired loads and stores (docs/decisions/011-neon.md). Without a loop along the row they would only cost.
        width, into, out = tir.opaque(op.width), source.layout, epilogue.layout
        into = replace(into, channel_step=tir.opaque(into.channel_step))
        source = replace(source, layout=into, first_pixel=lambda row: row * width)
        epilogue = replace(epilogue, layout=replace(out, channel_step=tir.opaque(out.channel_step)))
    bias_repeats = bias_repeats_for(op, params, machine)

    def run(cut: XTile, at: Expr) -> None:
        y = cut.start if cut.count == 1 else tir.bind(at * cut.rows + cut.start)
        top = y * op.stride[0] - op.pad[0]
        taps = [
            [not cut.border or valid(transposed(op), cut.start + row, ky) for ky in range(op.kernel[0])]
            for row in range(cut.rows)
        ]
        emit = Emit(op, machine, source, buffers, epilogue, y * op.out_width, top, bias_repeats, taps)
        emit.run(params.x_tiles)

    tir.switch_runs(item, ((cut.count, partial(run, cut)) for cut in params.y_tiles))


SCHEDULE = Schedule("depthwise_cpu", claims, Params.from_machine, schedule, CASES, variants=variants)
