"""Dense convolution along time, height and width on a CPU (5x7x7, 3x3x3, 3x1x1): a sum over frames of the 2-D one.

Frames lie one after the other, each of them NHWC, so that a tap along time is another frame of the same picture.

1. The output rows of all frames are divided among threads, each into register tiles as in `conv_cpu`.
2. A tile keeps its accumulators through the frames that exist under its window, and in each of these through the
   kernel rows that exist: the loops' bounds stand for the padding, and nothing is stored in between.
3. Where a tap is a single pixel that does not stride (3x1x1), a frame is one row of all its pixels: a matrix product
   whose reduction runs over three frames.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import numpy as np
from tvm import tirx

from ...ir.ops import Conv, Op, VolumeConv
from ...ir.plan import Cycles
from ...kernels.cpu import builder as tir
from ...kernels.cpu import cost, tiling
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.layout import Layout
from ...kernels.cpu.tiling import Machine, Panels
from ..pointers import typed
from ..rule import Schedule
from . import _rule
from ._conv_row import Row, RowTiles
from ._rule import Kernel, Operands, Panel
from ._windows import XTile, cut_row, parts, tap_runs, valid, vertical_taps

CASES = (
    VolumeConv(5, Conv(9, 11, 3, 16, (7, 7), (2, 2), (3, 3, 3, 3), low=0.0), 5, 1, 2, 2),
    VolumeConv(6, Conv(8, 9, 3, 20, (7, 7), (2, 2), (3, 3, 3, 3), low=0.0), 5, 2, 2, 2),
    VolumeConv(4, Conv(7, 7, 19, 24, low=0.0, high=6.0), 3, 1, 1, 1),
    VolumeConv(5, Conv(4, 3, 8, 17, residual=True), 3, 1, 1, 1, pitch=112, out_pitch=208),
    VolumeConv(4, Conv(5, 6, 16, 24, (3, 3), (1, 1), (1, 1, 1, 1), residual=True, low=0.0), 3, 1, 1, 1),
    VolumeConv(5, Conv(7, 6, 8, 12, (3, 3), (2, 2), (1, 1, 1, 1)), 3, 2, 1, 1, pitch=352, out_pitch=160),
    VolumeConv(1, Conv(3, 3, 5, 9, (3, 3), (1, 1), (1, 1, 1, 1)), 3, 1, 1, 1),
    VolumeConv(3, Conv(4, 4, 8, 8, (1, 3), (1, 1), (0, 1, 0, 1)), 2, 1),
    VolumeConv(4, Conv(14, 14, 32, 64, (3, 3), (1, 1), (1, 1, 1, 1)), 3, 1, 1, 1),
)


def claims(op: Op) -> bool:
    """Every dense convolution along time."""
    return isinstance(op, VolumeConv) and op.conv.groups == 1 and not (op.conv.fold_in or op.conv.fold_out)


def rows_of(op: VolumeConv) -> Conv:
    """The convolution of a tap, in rows as long as can be."""
    conv = op.conv
    if not conv.pointwise:
        return conv
    return replace(conv, height=1, width=conv.height * conv.width)


@dataclass(frozen=True)
class Params(RowTiles):
    """Register tiles along the output rows of all frames."""

    @classmethod
    def from_machine(cls, machine: Machine, op: VolumeConv) -> Params:
        return cls.of(machine, op, *ranked(machine, op)[0][1:])

    @classmethod
    def of(cls, machine: Machine, op: VolumeConv, rows: int, panels: Panels) -> Params:
        """The parameters of a register tile."""
        conv = rows_of(op)
        x_tiles = tuple(cut_row(conv, rows))
        tiles = sum(tile.count for tile in x_tiles) * conv.out_height * op.out_frames
        tile_bytes = rows * op.step * conv.stride[0] * conv.stride[1] * conv.channels * op.types.x.bytes
        weight_bytes = op.taps * conv.out_channels * op.types.w.bytes
        return cls(panels, x_tiles, tiling.order(machine, tiles, len(panels.widths), tile_bytes, weight_bytes))


def runs(op: VolumeConv) -> tuple[tuple[int, int]]:
    """Output rows of all frames, for `tiling.choose`."""
    conv = rows_of(op)
    return ((op.out_frames * conv.out_height, conv.out_width),)


def ranked(machine: Machine, op: VolumeConv) -> list[tuple[float, int, Panels]]:
    """Modelled cycles, tile height and panels of every candidate, the fastest first."""
    conv = rows_of(op)
    found = tiling.ranked_tiles(machine, runs(op), conv.out_channels, op.taps)
    return _rule.avoid_set_aliasing(machine, found, conv.stride[1] * conv.channels * op.types.x.bytes)


def variants(machine: Machine, op: VolumeConv) -> list[Params]:
    """The best register tiles of the model."""
    return [Params.of(machine, op, rows, panels) for _, rows, panels in ranked(machine, op)[: tiling.TRIED]]


@dataclass(frozen=True)
class FrameRow(Row):
    """The statements of one output row of one frame."""

    volume: VolumeConv | None = None
    frame: Expr = 0  # of the output

    def tile(self, cut: XTile, column: Expr, panel: Panel) -> None:
        """One register tile, over the frames under its window."""
        op, machine, volume = self.op, self.machine, self.volume
        assert volume is not None
        tile = _rule.tile_of(machine, cut.rows, panel.width)
        acc = tile.accumulators(self.operands.bias, panel.channel, self.operands.bias_repeats, column)
        top = tir.bind(self.y * op.stride[0] - op.pad[0])
        columns = [(column + row) * op.stride[1] - op.pad[1] for row in range(tile.rows)]
        whole = parts(op)[0]
        first = tir.bind(self.frame * volume.step - volume.lead)
        with frames_under(volume, first) as tap:
            part = replace(whole, start=tir.bind((first + tap) * volume.pitch))
            with vertical_taps(op, top) as ky:
                row_start = tir.bind((top + ky) * op.width)
                window = tir.bind(
                    panel.offset + (tap * op.kernel[0] + ky) * (op.kernel[1] * op.channels * tile.width)
                )
                for run in tap_runs(op, cut):
                    live = [valid(op, cut.start + row, run.start) for row in range(tile.rows)]
                    pixels = [row_start + x if ok else None for x, ok in zip(columns, live, strict=True)]
                    self.taps(tile, acc, part, pixels, run, window, lambda steps: [])
        layout = Layout(op.out_channels, 1, tir.bind(self.frame * volume.out_pitch))
        epilogue = replace(self.operands.epilogue, layout=layout)
        start = self.first_pixel + column
        tile.finish(acc, epilogue, [start + row for row in range(tile.rows)], panel.channel)


def frames_under(op: VolumeConv, first: Expr) -> AbstractContextManager[Expr]:
    """A loop over the taps along time whose frame exists, for a window that begins at frame `first`."""
    if op.lead == 0 and op.trail == 0:
        return tir.loop(0, op.depth)
    return tir.loop(tir.bind(tirx.max(0, -first)), tir.bind(tirx.min(op.depth, op.frames - first)))


def schedule(op: VolumeConv, params: Params, machine: Machine, weight: np.ndarray, bias: np.ndarray) -> Kernel:
    """weight: [CO, CI, KT, KH, KW]; bias: [CO]."""
    conv = rows_of(op)
    rows = weight.transpose(2, 3, 4, 1, 0).reshape(-1, weight.shape[0])
    packed = _rule.pack_panels(rows, params.panels, op.types.w)
    repeats = _rule.bias_repeats_for(machine, params.rows, conv.pixels)
    packed_bias = _rule.pack_bias(bias, params.panels, machine.lanes, repeats, op.types.b)
    last = (op.out_frames - 1) * op.out_pitch + conv.pixels * conv.out_channels
    sizes = {
        "x": (op.frames - 1) * op.pitch + conv.height * conv.width * conv.channels,
        "w": packed.size,
        "b": packed_bias.size,
        "r": last if conv.residual else 0,
        "y": last,
    }
    pointers = typed(sizes, op.types)

    def body(*arguments: Buffer) -> None:
        *tensors, begin, end = arguments
        operands = Operands.of(conv, machine, dict(zip(pointers, tensors, strict=True)), params.rows)

        def item(tile: Expr, panel: Expr) -> None:
            line, index = tir.bind(tile // params.per_row), tir.bind(tile % params.per_row)
            frame, y = (line, 0) if conv.out_height == 1 else (line // conv.out_height, line % conv.out_height)
            frame, y = tir.bind(frame), tir.bind(y)
            row = FrameRow(conv, machine, operands, y, y * conv.out_width, None, op, frame)
            _rule.for_panel(
                params.panels, op.taps, panel, lambda columns: row.case(params.x_tiles, index, columns)
            )

        _rule.for_items(params.order, begin, end, item, machine.fma_by_element)

    return Kernel(
        op,
        "volume_conv_cpu",
        pointers,
        params.order.tiles * params.order.panels,
        body,
        {"w": packed, "b": packed_bias},
        f"{params.rows}x{params.panels.width}",
        work=Cycles(cost.dense(machine, runs(op), params.rows, params.panels, op.taps)),
    )


SCHEDULE = Schedule("volume_conv_cpu", claims, Params.from_machine, schedule, CASES, variants=variants)
