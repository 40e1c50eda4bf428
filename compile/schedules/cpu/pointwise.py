"""Pointwise convolution on a CPU: [pixels, CI] x [CI, CO] with bias, residual, clamp and both sides of the shift.

Pattern: 1x1, stride 1, dense. Every expand and project layer of MobileNetV2, conv1 and conv3 of a ResNet
bottleneck, and the classifier (one pixel).

1. Pixels are cut into register tiles of two neighbouring heights, so that no tile runs nearly empty
   (`tiling.split_rows`).
2. Output channels are cut into panels; weights are packed `[panel][k][width]` at compile time and read in order.
3. The reduction runs over two sources: the first `fold_in` channels from the state of the last frame, the rest from x.
   The shift costs no instruction beyond the second loop's prologue.
4. Epilogue: residual, clamp, store; the first `fold_out` channels are also stored to the next state.

On AArch64 (docs/decisions/011-neon.md has the instruction counts):

- Where many tiles use it, the bias is repeated for every row of a tile: accumulators start by paired loads (LDP).
- Every block of the output gets an opaque base address, for paired stores (STP); the next state is stored after them,
  since a branch between two stores keeps LLVM from pairing them.
- A shift may end inside a vector, so that 24 channels with 3 from the state can be blocked.
- Two nested loops replace a division per item.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...ir.ops import Conv, Op
from ...ir.plan import Cycles
from ...kernels.cpu import builder as tir
from ...kernels.cpu import cost, tiling
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.prefetch import Prefetch
from ...kernels.cpu.tiling import Machine, Order, Panels
from .. import cases
from ..pointers import conv_pointers
from ..rule import Schedule
from . import _prefetch, _rule
from ._prefetch import Place
from ._rule import Kernel, Operands, Panel

CASES = (
    *cases.POINTWISE,
    Conv(7, 7, 160, 960, low=0.0, high=6.0, fold_in=20),
    Conv(1, 1, 1280, 27),
    Conv(1, 1, 7, 1),
    Conv(15, 13, 8, 200, low=0.0, fold_in=3),
    Conv(5, 5, 16, 48, low=0.0, high=6.0, fold_in=2, blocked_out=True),
    Conv(6, 5, 48, 48, low=0.0, fold_in=3, blocked_in=True, blocked_out=True),
    Conv(5, 5, 48, 17, residual=True, fold_out=2, blocked_in=True),
    Conv(6, 5, 48, 48, residual=True, fold_in=16, fold_out=6, blocked_in=True, blocked_out=True),
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
        _, rows, panels = ranked(machine, op)[0]
        return cls.of(machine, op, rows, panels)

    @classmethod
    def of(cls, machine: Machine, op: Conv, rows: int, panels: Panels) -> Params:
        """The parameters of a register tile."""
        if sum(panels.widths) > op.out_channels and not panels.rest:
            # Padded channels must not be stored: their panel goes into the rest, where its channel is a constant.
            panels = Panels(panels.width, panels.full - 1, (panels.width,))
        tiles = tuple(tiling.split_rows(op.pixels, rows))
        order = tiling.order(
            machine,
            sum(count for count, _ in tiles),
            len(panels.widths),
            rows * op.channels * op.types.x.bytes,
            op.channels * op.out_channels * op.types.w.bytes,
        )
        return cls(rows, panels, tiles, order)


def columns(machine: Machine, op: Conv) -> int:
    """Output channels that are computed: padded to whole vectors for FMA by element.

    For half a vector LLVM copies the element to another register, and for every load of an odd width it computes an
    address (docs/decisions/011-neon.md).
    """
    return -(-op.out_channels // machine.lanes) * machine.lanes if machine.fma_by_element else op.out_channels


def ranked(machine: Machine, op: Conv) -> list[tuple[float, int, Panels]]:
    """Modelled cycles, tile height and panels of every candidate, the fastest first."""
    found = tiling.ranked_tiles(machine, ((1, op.pixels),), columns(machine, op), op.channels)
    return _rule.avoid_set_aliasing(machine, found, op.channels * op.types.x.bytes)


def variants(machine: Machine, op: Conv) -> list[Params]:
    """The best register tiles of the model, each in its own order and with either loop outside."""
    best = ranked(machine, op)[: tiling.TRIED]
    found = [Params.of(machine, op, rows, panels) for _, rows, panels in best]
    walks = [replace(p, order=replace(p.order, block=block)) for p in found for block in (1, p.order.tiles)]
    return [*found, *walks]


def schedule(op: Conv, params: Params, machine: Machine, weight: np.ndarray, bias: np.ndarray) -> Kernel:
    """weight: [CO, CI, 1, 1]; bias: [CO]."""
    extra = columns(machine, op) - op.out_channels
    padded = np.pad(_rule.matrix(weight), ((0, 0), (0, extra)))
    packed = _rule.pack_panels(padded, params.panels, op.types.w)
    bias_repeats = _rule.bias_repeats_for(machine, params.rows, op.pixels)
    packed_bias = _rule.pack_bias(np.pad(bias, (0, extra)), params.panels, machine.lanes, bias_repeats, op.types.b)
    pointers = conv_pointers(op, packed.size, packed_bias.size)

    def body(*arguments: Buffer) -> None:
        *tensors, begin, end = arguments
        buffers = dict(zip(pointers, tensors, strict=True))
        operands = Operands.of(op, machine, buffers, params.rows)

        def item(tile: Expr, panel: Expr) -> None:
            _rule.for_panel(
                params.panels,
                op.channels,
                panel,
                lambda part: _tiles(op, params, machine, operands, tile, part),
            )

        _rule.for_items(params.order, begin, end, item, machine.fma_by_element)

    shape = f"{params.rows}x{params.panels.width}"
    return Kernel(
        op,
        "pointwise_cpu",
        pointers,
        params.order.tiles * params.order.panels,
        body,
        {"w": packed, "b": packed_bias},
        shape,
        work=Cycles(cost.dense(machine, ((1, op.pixels),), params.rows, params.panels, op.taps)),
    )


def _tiles(op: Conv, params: Params, machine: Machine, operands: Operands, tile: Expr, panel: Panel) -> None:
    """Register tile number `tile`; one case per tile height."""

    def emit(pixel: Expr, height: int) -> None:
        place = Place.of(pixel, height, panel, params.panels)
        prefetches = prefetches_for(op, params, machine, operands, tile, place)
        emit_tile(op, machine, operands, height, panel, (pixel, pixel, pixel), prefetches)

    _rule.each_height(params.tiles, tile, emit)


def prefetches_for(
    op: Conv, params: Params, machine: Machine, operands: Operands, tile: Expr, place: Place
) -> list[Prefetch]:
    """The prefetches of one register tile."""
    if not machine.prefetch or op.blocked_in or op.blocked_out:
        return []
    steps, block = op.channels - op.fold_in, params.order.block
    found = _prefetch.own_output(op, machine, operands, place, steps)
    if block == 1:
        return found + _prefetch.next_tile(op, machine, operands, place, steps)
    found += _prefetch.states(op, operands, place, steps) + _prefetch.next_state(op, operands, place, steps)
    return found + _prefetch.weights(op, operands, place.panel, tile % block, block, steps)


def emit_tile(
    op: Conv,
    machine: Machine,
    operands: Operands,
    height: int,
    panel: Panel,
    pixels: tuple[Expr, Expr, Expr],
    prefetches: Sequence[Prefetch] = (),
) -> None:
    """`height` pixels by one panel. pixels: index of the first one in x, in the state and in the output."""
    source, past, out = pixels
    registers = _rule.tile_of(machine, height, panel.width)
    acc = registers.accumulators(operands.bias, panel.channel, operands.bias_repeats, source)
    rows = range(height)
    if operands.state is not None:
        bases = [(past + row) * op.fold_in for row in rows]
        weights = panel.offset
        if machine.fma_by_element and op.fold_in <= machine.lanes:
            weights = weights + tir.opaque_zero(past)
        registers.reduce(acc, operands.state, bases, op.fold_in, operands.weights, weights)
    skip = registers.shared(op.fold_in, op.channels, operands.layout.channel_step)
    bases = [operands.layout.at(source + row, op.fold_in - skip) for row in rows]
    registers.reduce(
        acc,
        operands.x,
        bases,
        op.channels - op.fold_in,
        operands.weights,
        panel.offset + op.fold_in * panel.width,
        operands.layout.channel_step,
        prefetches,
        skip,
    )
    registers.finish(
        acc, operands.epilogue, [out + row for row in rows], panel.channel, panel.kept(op.out_channels)
    )


def emit_span(
    op: Conv,
    machine: Machine,
    operands: Operands,
    rows: int,
    panels: Panels,
    count: int,
    pixels: tuple[Expr, Expr, Expr],
) -> None:
    """`count` pixels of a row, panel by panel, so that one panel of weights stays in the L1 cache.

    Prefetches the states of the row below. pixels: index of the first one in x, in both states and in the output.
    """
    source, past, out = pixels

    def panel_of(panel: Panel) -> None:
        first = 0
        for tiles, height in tiling.split_rows(count, rows):
            with tir.loop(0, tiles) as index:
                at = index * height + first if tiles > 1 else first
                prefetches: list[Prefetch] = []
                if machine.prefetch:
                    place = Place.of(past + at, height, panel, panels)
                    prefetches = _prefetch.row_below(op, operands, place, op.channels - op.fold_in)
                emit_tile(op, machine, operands, height, panel, (source + at, past + at, out + at), prefetches)
            first += tiles * height

    _rule.each_panel(panels, op.channels, panel_of)


SCHEDULE = Schedule("pointwise_cpu", claims, Params.from_machine, schedule, CASES, variants=variants)
