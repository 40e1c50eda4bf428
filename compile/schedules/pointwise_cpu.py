"""Pointwise convolution on a CPU: [pixels, CI] x [CI, CO] with bias, residual, clamp and both sides of the shift.

Pattern: 1x1, stride 1, dense. Every expand and project layer of MobileNetV2, conv1 and conv3 of a ResNet bottleneck, and
the classifier (one pixel).

1. Pixels are cut into register tiles of two neighbouring heights, so that no tile runs nearly empty (`tiling.split_rows`).
2. Output channels are cut into panels; weights are packed `[panel][k][width]` at compile time and read in one stream.
3. The reduction runs over two sources: the first `fold_in` channels from the state of the last frame, the rest from x.
   The shift therefore costs no instruction beyond the second loop's prologue.
4. The epilogue adds the residual, clamps, stores, and stores the first `fold_out` channels once more as the next state.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tsm_edge.compile import tiling
from tsm_edge.compile.ops import Conv, Op
from tsm_edge.compile.tile import Tile
from tsm_edge.compile.tiling import Machine, Order, Panels

from . import _rule
from ._rule import Kernel

FAMILY = "cpu"
CASES = (
    Conv(7, 7, 160, 960, low=0.0, high=6.0, fold_in=20),
    Conv(7, 7, 24, 24, residual=True, fold_out=3),
    Conv(5, 3, 19, 27),
    Conv(1, 1, 1280, 27),
    Conv(1, 1, 7, 1),
    Conv(14, 14, 33, 65, residual=True, low=0.0, fold_in=4, fold_out=8),
)


def claims(op: Op) -> bool:
    """Every pointwise convolution."""
    return isinstance(op, Conv) and op.pointwise


@dataclass(frozen=True)
class Params:
    """Tile height, channel panels and the walk over both."""

    rows: int
    panels: Panels
    tiles: tuple[tuple[int, int], ...]  # (count, height)
    order: Order

    @classmethod
    def from_machine(cls, machine: Machine, op: Conv) -> Params:
        rows, panels = tiling.choose(machine, ((1, op.pixels),), op.out_channels, op.channels)
        tiles = tuple(tiling.split_rows(op.pixels, rows))
        order = tiling.order(
            machine, sum(count for count, _ in tiles), len(panels.widths), rows * op.channels * 4,
            op.channels * op.out_channels * 4,
        )
        return cls(rows, panels, tiles, order)


def schedule(op: Conv, params: Params, machine: Machine, weight: np.ndarray, bias: np.ndarray) -> Kernel:
    """weight: [CO, CI, 1, 1]; bias: [CO]."""
    packed = _rule.pack_panels(weight.reshape(op.out_channels, op.channels).T, params.panels)
    pointers = _rule.conv_pointers(op, packed.size)

    def body(*arguments: _rule.Buffer) -> None:
        *tensors, begin, end = arguments
        buffers = dict(zip(pointers, tensors, strict=True))

        def item(tile: _rule.Expr, panel: _rule.Expr) -> None:
            def panel_case(width: int, channel: _rule.Expr, offset: _rule.Expr) -> None:
                _tiles(op, params, machine, buffers, tile, width, channel, offset)

            _rule.for_panel(params.panels, op.channels, panel, panel_case)

        _rule.for_items(params.order, begin, end, item)

    shape = f"{params.rows}x{params.panels.width}"
    return Kernel(op, "pointwise_cpu", pointers, params.order.tiles * params.order.panels, body,
                  {"w": packed, "b": bias.astype(np.float32)}, shape)


def _tiles(op: Conv, params: Params, machine: Machine, buffers: dict[str, _rule.Buffer], tile: _rule.Expr, width: int,
           channel: _rule.Expr, offset: _rule.Expr) -> None:
    """One register tile; a case per tile height."""
    bounds, cases, first_tile, first_pixel = [], [], 0, 0
    for count, height in params.tiles:
        def case(height: int = height, tile0: int = first_tile, pixel0: int = first_pixel) -> None:
            pixel = _rule.tir.bind((tile - tile0) * height + pixel0)
            registers = Tile(height, width, machine.lanes, machine.by_lane, machine.fused)
            acc = registers.accumulators(buffers["b"], channel)
            rows = range(height)
            if op.fold_in:
                bases = [(pixel + row) * op.fold_in for row in rows]
                registers.reduce(acc, buffers["state"], bases, op.fold_in, buffers["w"], offset)
            bases = [(pixel + row) * op.channels + op.fold_in for row in rows]
            registers.reduce(acc, buffers["x"], bases, op.channels - op.fold_in, buffers["w"], offset + op.fold_in * width)
            registers.finish(acc, _rule.epilogue(op, buffers), [pixel + row for row in rows], channel)

        bounds.append(first_tile)
        cases.append(case)
        first_tile, first_pixel = first_tile + count, first_pixel + count * height
    _rule.tir.switch(tile, bounds, cases)

