"""The statements of one output row of a dense k x k convolution on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from ...ir.ops import Conv
from ...kernels.cpu import builder as tir
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.prefetch import Prefetch
from ...kernels.cpu.register_tile import Tile
from ...kernels.cpu.tiling import Machine, Order, Panels
from . import _prefetch, _rule
from ._prefetch import Place
from ._rule import Operands, Panel
from ._windows import Part, XTile, cut_row, parts, tap_runs, valid, vertical_taps


@dataclass(frozen=True)
class RowTiles:
    """Channel panels, the tiles of an output row, and the walk over the tiles of all rows and the panels."""

    panels: Panels
    x_tiles: tuple[XTile, ...]
    order: Order

    @property
    def rows(self) -> int:
        """Height of the highest tile."""
        return max(tile.rows for tile in self.x_tiles)

    @property
    def per_row(self) -> int:
        """Tiles of one output row."""
        return sum(tile.count for tile in self.x_tiles)


@dataclass(frozen=True)
class Walk:
    """An item's position in the walk over tiles and panels."""

    panels: Panels
    order: Order
    tile: Expr


@dataclass(frozen=True)
class Row:
    """The statements of one output row."""

    op: Conv
    machine: Machine
    operands: Operands
    y: Expr
    first_pixel: Expr  # of the row in the output
    walk: Walk | None = None

    def case(self, x_tiles: tuple[XTile, ...], index: Expr, panel: Panel) -> None:
        """Tile number `index` of the row; one case per cut."""

        def run(cut: XTile, at: Expr) -> None:
            self.tile(cut, cut.start if cut.count == 1 else tir.bind(at * cut.rows + cut.start), panel)

        tir.switch_runs(index, ((cut.count, partial(run, cut)) for cut in x_tiles))

    def tile(self, cut: XTile, column: Expr, panel: Panel) -> None:
        """One register tile: kernel rows inside the image, each as one run (inner) or tap by tap (border, shift)."""
        op, machine = self.op, self.machine
        tile = _rule.tile_of(machine, cut.rows, panel.width)
        acc = tile.accumulators(self.operands.bias, panel.channel, self.operands.bias_repeats, column)
        top = tir.bind(self.y * op.stride[0] - op.pad[0])
        columns = [(column + row) * op.stride[1] - op.pad[1] for row in range(tile.rows)]
        first = self.first_pixel + column
        with vertical_taps(op, top) as ky:
            row_start = tir.bind((top + ky) * op.width)
            weights = tir.bind(panel.offset + ky * (op.kernel[1] * op.channels * tile.width))
            prefetches_for = self.prefetches_for((first, tile.rows), panel, row_start + columns[0])
            for part in parts(op):
                for run in tap_runs(op, cut):
                    live = [valid(op, cut.start + row, run.start) for row in range(tile.rows)]
                    pixels = [row_start + x if ok else None for x, ok in zip(columns, live, strict=True)]
                    self.taps(tile, acc, part, pixels, run, weights, prefetches_for)
        tile.finish(acc, self.operands.epilogue, [first + row for row in range(tile.rows)], panel.channel)

    def prefetches_for(self, pixels: tuple[Expr, int], panel: Panel, window: Expr) -> Callable[[int], list[Prefetch]]:
        """The prefetches of a tile: a function from the steps of a run (within one kernel row) to its prefetches.

        pixels: the tile's first pixel in the output, and their number. window: its first input pixel in the row of x.
        """
        if self.walk is None:
            return lambda steps: []
        op, operands, walk = self.op, self.operands, self.walk
        place = Place.of(*pixels, panel, walk.panels)
        reads = replace(place, pixel=window, height=place.height * op.stride[1])

        def of_run(steps: int) -> list[Prefetch]:
            found = _prefetch.own_output(op, self.machine, operands, place, steps)
            if walk.order.block > 1 and op.kernel == (1, 1):
                share = walk.tile % walk.order.block, walk.order.block
                found += _prefetch.weights(op, operands, panel, *share, steps)
            found += _prefetch.next_state(op, operands, place, steps)
            return found + _prefetch.states(op, operands, reads, steps)

        return of_run

    def taps(
        self,
        tile: Tile,
        acc: Buffer,
        part: Part,
        pixels: list[Expr | None],
        run: range,
        weights: Expr,
        prefetches_for: Callable[[int], list[Prefetch]],
    ) -> None:
        """Reduce the taps of a run over one part of the channels: in one reduction where they are contiguous."""
        source = self.operands.x if part.name == "x" else self.operands.state
        first = weights + part.weights * tile.width

        def reduce(kx: Expr, length: int) -> None:
            bases = [None if p is None else (p + kx) * part.pitch + part.start for p in pixels]
            weights = first + kx * part.count * tile.width
            prefetches = prefetches_for(length) if part.name == "x" else []
            tile.reduce(acc, source, bases, length, self.operands.weights, weights, prefetches=prefetches)

        if part.count == part.pitch:
            reduce(run.start, len(run) * part.count)
        elif len(run) == 1:
            reduce(run.start, part.count)
        else:
            with tir.loop(run.start, run.stop) as kx:
                reduce(kx, part.count)


def emit_row(
    op: Conv, machine: Machine, operands: Operands, tiles: tuple[int, Panels], y: Expr, first_pixel: Expr
) -> None:
    """Output row `y`, all tiles and channels. tiles: (height, panels). first_pixel: of the row in the output."""
    row = Row(op, machine, operands, y, first_pixel)

    def panel_of(panel: Panel) -> None:
        for cut in cut_row(op, tiles[0]):
            with tir.loop(0, cut.count) as index:
                column = cut.start if cut.count == 1 else tir.bind(index * cut.rows + cut.start)
                row.tile(cut, column, panel)

    _rule.each_panel(tiles[1], op.taps, panel_of)
