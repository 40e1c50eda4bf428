"""Software prefetch of the convolutions: the lines that a register tile, or the one after it, is about to touch.

A frame walks through more weights and activations than a cache holds, and a state was written a frame ago, so that
nearly all of it comes from memory. The hardware prefetcher follows one or two streams; a tile of 14 pixels
reads as many.

Figures: docs/decisions/006-software-prefetch.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from ...ir.ops import Conv
from ...kernels.cpu import builder as tir
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.prefetch import Ahead
from ...kernels.cpu.tiling import Machine, Panels
from ._rule import Operands, Panel


def exceeds_l2(machine: Machine, nbytes: int) -> bool:
    """Whether so much has left the second-level cache before its reader, or next writer, comes."""
    return nbytes > machine.l2_bytes // 2


@dataclass(frozen=True)
class Place:
    """A register tile of a walk: `height` pixels from `pixel` by a panel, the panel's number and how many there are."""

    pixel: Expr
    height: int
    panel: Panel
    number: Expr
    panels: int

    @classmethod
    def of(cls, pixel: Expr, height: int, panel: Panel, panels: Panels) -> Place:
        """The place of a tile whose panel is one of `panels`."""
        return cls(pixel, height, panel, tir.bind(panel.channel // panels.width), len(panels.widths))


def own_output(op: Conv, machine: Machine, operands: Operands, place: Place, steps: int) -> list[Ahead]:
    """The residual and the output of this tile, which its epilogue reads and writes."""
    channels = op.out_channels
    if not exceeds_l2(machine, op.pixels * channels * op.types.y.bytes):
        return []
    first = place.pixel * channels + place.panel.channel
    residual, out = operands.epilogue.residual, operands.epilogue.out
    found = [(out, op.types.y)] if residual is None else [(residual, op.types.r), (out, op.types.y)]
    return [
        Ahead.rows(buffer, first, channels, place.panel.width, place.height, steps, dtype)
        for buffer, dtype in found
    ]


def next_tile(op: Conv, machine: Machine, operands: Operands, place: Place, steps: int) -> list[Ahead]:
    """What the next tile reads and writes, where every tile runs through the panels: each of them asks for its part.

    The next state is no input, but its lines come from memory before they are written.
    """
    nbytes = op.height * op.width * op.channels * op.types.x.bytes
    runs = [(operands.x, op.channels)] if exceeds_l2(machine, nbytes) else []
    runs += both_states(op, operands)
    return _parts(runs, place.pixel + place.height, place, steps)


def row_below(op: Conv, operands: Operands, place: Place, steps: int) -> list[Ahead]:
    """The state and the next state of the tile below, where rows follow each other; each panel asks for its part."""
    return _parts(both_states(op, operands), place.pixel + op.width, place, steps)


def both_states(op: Conv, operands: Operands) -> list[tuple[Buffer, int]]:
    """The state and the next state, where there are such, and their floats of a pixel."""
    pairs = ((operands.state, op.fold_in), (operands.epilogue.state, op.fold_out))
    return [(buffer, pitch) for buffer, pitch in pairs if buffer is not None]


def _parts(runs: list[tuple[Buffer, int]], first: Expr, place: Place, steps: int) -> list[Ahead]:
    """As many pixels as the tile has, from `first`, of each run (buffer, floats of a pixel): this panel's part."""
    return [
        Ahead.run(buffer, first * pitch, place.height * pitch, steps, place.number, place.panels)
        for buffer, pitch in runs
    ]


def states(op: Conv, operands: Operands, place: Place, steps: int) -> list[Ahead]:
    """The state of the next tile, where a panel runs through many tiles and the first one brings in the state."""
    if operands.state is None:
        return []
    return [_by_first(operands.state, place.pixel + place.height, op.fold_in, place, steps)]


def next_state(op: Conv, operands: Operands, place: Place, steps: int) -> list[Ahead]:
    """The place of the tile's next state, where a panel runs through many tiles: the first one asks for all of it."""
    if operands.epilogue.state is None:
        return []
    return [_by_first(operands.epilogue.state, place.pixel, op.fold_out, place, steps)]


def _by_first(buffer: Buffer, pixel: Expr, pitch: int, place: Place, steps: int) -> Ahead:
    """As many pixels as the tile has, from `pixel`; panels after the first ask for one line again and again."""
    hop: Expr = -(-place.height * pitch // steps)
    if place.panels > 1:
        hop = tir.bind(tirx.Select(place.number == 0, hop, 0))
    start = tir.bind(pixel * pitch)
    return Ahead(buffer, lambda step: start + step * hop)


def weights(op: Conv, operands: Operands, panel: Panel, tile: Expr, tiles: int, steps: int) -> list[Ahead]:
    """A tile's share of the next panel's weights, where a panel serves `tiles` tiles before the next one comes.
"""
    size = panel.width * op.channels
    return [Ahead.run(operands.weights, panel.offset + size, size, steps, tile, tiles)]
