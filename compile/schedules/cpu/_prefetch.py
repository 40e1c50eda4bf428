"""Software prefetch of the convolutions: the lines that a register tile, or the one after it, is about to touch.

A frame reads more weights and activations than a cache holds, and a state was written one frame earlier, so that most
of both comes from memory. The hardware prefetcher follows one or two streams; a tile of 14 pixels reads 14.

Figures: docs/decisions/006-software-prefetch.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from ...ir.ops import Conv
from ...kernels.cpu import builder as tir
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.prefetch import Prefetch
from ...kernels.cpu.tiling import Machine, Panels
from ._rule import Operands, Panel


def exceeds_l2(machine: Machine, nbytes: int) -> bool:
    """Whether a tensor of `nbytes` has left the L2 cache before it is read, or written again."""
    return nbytes > machine.l2_bytes // 2


@dataclass(frozen=True)
class Place:
    """A register tile in a walk: `height` pixels from `pixel` by `panel`, which is `number` of `panels`."""

    pixel: Expr
    height: int
    panel: Panel
    number: Expr
    panels: int

    @classmethod
    def of(cls, pixel: Expr, height: int, panel: Panel, panels: Panels) -> Place:
        """The place of a tile, with the number of its panel within `panels`."""
        return cls(pixel, height, panel, tir.bind(panel.channel // panels.width), len(panels.widths))


def own_output(op: Conv, machine: Machine, operands: Operands, place: Place, steps: int) -> list[Prefetch]:
    """The residual and the output of this tile, which its epilogue reads and writes."""
    channels = op.out_channels
    if not exceeds_l2(machine, op.pixels * channels * op.types.y.bytes):
        return []
    first = place.pixel * channels + place.panel.channel
    residual, out = operands.epilogue.residual, operands.epilogue.out
    found = [(out, op.types.y)] if residual is None else [(residual, op.types.r), (out, op.types.y)]
    return [
        Prefetch.rows(buffer, first, channels, place.panel.width, place.height, steps, dtype)
        for buffer, dtype in found
    ]


def next_tile(op: Conv, machine: Machine, operands: Operands, place: Place, steps: int) -> list[Prefetch]:
    """The next tile's x, state and next state, for walks with panels inside; each panel prefetches its part.

    The next state is only written, but its lines are read from memory before (write allocate).
    """
    nbytes = op.height * op.width * op.channels * op.types.x.bytes
    runs = [(operands.x, op.channels)] if exceeds_l2(machine, nbytes) else []
    runs += both_states(op, operands)
    return _parts(runs, place.pixel + place.height, place, steps)


def row_below(op: Conv, operands: Operands, place: Place, steps: int) -> list[Prefetch]:
    """State and next state of the tile one row below, for kernels that go row by row; each panel its part."""
    return _parts(both_states(op, operands), place.pixel + op.width, place, steps)


def both_states(op: Conv, operands: Operands) -> list[tuple[Buffer, int]]:
    """The state and the next state, where they exist, with their channels."""
    both = ((operands.state, op.fold_in), (operands.epilogue.state, op.fold_out))
    return [(buffer, pitch) for buffer, pitch in both if buffer is not None]


def _parts(runs: list[tuple[Buffer, int]], first: Expr, place: Place, steps: int) -> list[Prefetch]:
    """`place.height` pixels from `first` of each run (buffer, channels): this panel's part."""
    return [
        Prefetch.run(buffer, first * pitch, place.height * pitch, steps, place.number, place.panels)
        for buffer, pitch in runs
    ]


def states(op: Conv, operands: Operands, place: Place, steps: int) -> list[Prefetch]:
    """The state of the next tile, for walks with tiles inside; the first panel prefetches all of it."""
    if operands.state is None:
        return []
    return [_by_first(operands.state, place.pixel + place.height, op.fold_in, place, steps)]


def next_state(op: Conv, operands: Operands, place: Place, steps: int) -> list[Prefetch]:
    """The tile's next state, for walks with tiles inside; the first panel prefetches all of it."""
    if operands.epilogue.state is None:
        return []
    return [_by_first(operands.epilogue.state, place.pixel, op.fold_out, place, steps)]


def _by_first(buffer: Buffer, pixel: Expr, pitch: int, place: Place, steps: int) -> Prefetch:
    """`place.height` pixels from `pixel`; panels after the first prefetch the same line at every step."""
    stride: Expr = -(-place.height * pitch // steps)
    if place.panels > 1:
        stride = tir.bind(tirx.Select(place.number == 0, stride, 0))
    start = tir.bind(pixel * pitch)
    return Prefetch(buffer, lambda step: start + step * stride)


def weights(op: Conv, operands: Operands, panel: Panel, tile: Expr, tiles: int, steps: int) -> list[Prefetch]:
    """The share of tile number `tile` of `tiles` in the next panel's weights, for walks with tiles inside."""
    size = panel.width * op.channels
    return [Prefetch.run(operands.weights, panel.offset + size, size, steps, tile, tiles)]
