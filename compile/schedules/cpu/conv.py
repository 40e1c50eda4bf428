"""Dense k x k convolution on a CPU, read in place: no im2col, no padded copy.

Pattern: any dense kernel, stride and padding: the stem (3x3 or 7x7 on 3 channels), ResNet's 3x3, strided 1x1 shortcuts.

1. Each output row is cut into register tiles along x. Tiles whose receptive field stays inside the row share
   one case; a tile at the left or right border is a case of its own, without the taps outside the image.
2. The vertical taps are a loop over the rows inside the image; its bounds depend on the output row.
3. Inside a row the taps and channels of one kernel row are contiguous in NHWC, so an inner tile reduces over
   `kernel width x CI` in one loop. The stem reduces over 9 or 21 elements per row and needs no special case.
4. With a shift, a kernel row reduces over the state's channels of all its taps first, and over the rest of x second
   (`_windows.py`).
5. Epilogue and software prefetch (`_prefetch.py`) as in the pointwise schedule.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...ir.ops import Conv, Op
from ...ir.plan import Cycles
from ...kernels.cpu import builder as tir
from ...kernels.cpu import cost, tiling
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.tiling import Machine, Panels
from .. import cases
from ..pointers import conv_pointers
from ..rule import Schedule
from . import _rule
from ._conv_row import Row, RowTiles, Walk
from ._rule import Kernel, Operands
from ._windows import cut_row, matrix

CASES = (
    *cases.CONV,
    Conv(14, 14, 16, 40, (3, 3), (2, 2), (1, 1, 1, 1), fold_in=2, low=0.0),
    Conv(8, 8, 8, 16, (2, 2), (2, 2), (0, 0, 0, 0), blocked_out=True),
)


def claims(op: Op) -> bool:
    """Every dense convolution with an NHWC input, except pointwise ones."""
    return isinstance(op, Conv) and op.groups == 1 and not op.pointwise and not op.blocked_in


@dataclass(frozen=True)
class Params(RowTiles):
    """Register tiles along output rows."""

    @classmethod
    def from_machine(cls, machine: Machine, op: Conv) -> Params:
        return cls.of(machine, op, *ranked(machine, op)[0][1:])

    @classmethod
    def of(cls, machine: Machine, op: Conv, rows: int, panels: Panels) -> Params:
        """The parameters of a register tile."""
        x_tiles = tuple(cut_row(op, rows))
        per_row = sum(tile.count for tile in x_tiles)
        tile_bytes = rows * op.stride[0] * op.stride[1] * op.channels * op.types.x.bytes
        weight_bytes = op.taps * op.out_channels * op.types.w.bytes
        order = tiling.order(machine, per_row * op.out_height, len(panels.widths), tile_bytes, weight_bytes)
        return cls(panels, x_tiles, order)


def runs(op: Conv) -> tuple[tuple[int, int]]:
    """Output rows, for `tiling.choose`."""
    return ((op.out_height, op.out_width),)


def ranked(machine: Machine, op: Conv) -> list[tuple[float, int, Panels]]:
    """Modelled cycles, tile height and panels of every candidate, the fastest first."""
    found = tiling.ranked_tiles(machine, runs(op), op.out_channels, op.taps)
    return _rule.avoid_set_aliasing(machine, found, op.stride[1] * op.channels * op.types.x.bytes)


def variants(machine: Machine, op: Conv) -> list[Params]:
    """The best register tiles of the model."""
    return [Params.of(machine, op, rows, panels) for _, rows, panels in ranked(machine, op)[: tiling.TRIED]]


def schedule(op: Conv, params: Params, machine: Machine, weight: np.ndarray, bias: np.ndarray) -> Kernel:
    """weight: [CO, CI, KH, KW]; bias: [CO]."""
    length = op.taps
    packed = _rule.pack_panels(matrix(op, weight), params.panels, op.types.w)
    bias_repeats = _rule.bias_repeats_for(machine, params.rows, op.pixels)
    packed_bias = _rule.pack_bias(bias, params.panels, machine.lanes, bias_repeats, op.types.b)
    pointers = conv_pointers(op, packed.size, packed_bias.size)

    def body(*arguments: Buffer) -> None:
        *tensors, begin, end = arguments
        operands = Operands.of(op, machine, dict(zip(pointers, tensors, strict=True)), params.rows)

        def item(tile: Expr, panel: Expr) -> None:
            y, index = tir.bind(tile // params.per_row), tir.bind(tile % params.per_row)
            walk = Walk(params.panels, params.order, tile) if machine.prefetch else None
            row = Row(op, machine, operands, y, y * op.out_width, walk)
            _rule.for_panel(
                params.panels, length, panel, lambda columns: row.case(params.x_tiles, index, columns)
            )

        _rule.for_items(params.order, begin, end, item, machine.fma_by_element)

    note = f"{params.rows}x{params.panels.width}"
    return Kernel(
        op,
        "conv_cpu",
        pointers,
        params.order.tiles * params.order.panels,
        body,
        {"w": packed, "b": packed_bias},
        note,
        work=Cycles(cost.dense(machine, runs(op), params.rows, params.panels, length)),
    )


SCHEDULE = Schedule("conv_cpu", claims, Params.from_machine, schedule, CASES, variants=variants)
