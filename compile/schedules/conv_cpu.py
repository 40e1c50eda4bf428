"""Dense k x k convolution on a CPU, read in place: no im2col, no padded copy.

Pattern: any dense kernel, stride and padding: the stem (3x3 or 7x7 on 3 channels), ResNet's 3x3, strided 1x1 shortcuts.

1. Each output row is cut into register tiles along x. A tile whose receptive field stays inside the row is one shared
   case; a tile that touches the left or right border is emitted on its own, and its outside taps are simply not there.
2. The vertical taps run over the rows that exist: the loop's bounds depend on the output row.
3. Inside a row the taps and channels of one kernel row are contiguous in NHWC, so an inner tile reduces over
   `kernel width x CI` in one loop. The stem reads 9 or 21 floats a row this way and needs no special case.
4. With a shift, a kernel row reduces over the state's channels of all its taps first, which are contiguous, and over
   the rest of x tap by tap second; its weights lie in that order. A loop over the taps, not a copy for each: 21 KB of
   code for one layer made its time depend on how its branches were predicted, 1.03 to 1.07 of that without a shift.
5. Epilogue as in the pointwise schedule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tvm import tirx

from tsm_edge.compile import tiling, tir
from tsm_edge.compile.ops import Conv, Op
from tsm_edge.compile.tile import Ahead, Tile
from tsm_edge.compile.tiling import Machine, Order, Panels
from tsm_edge.compile.tir import Buffer, Expr

from . import _ahead, _rule
from ._ahead import Place
from ._rule import Kernel, Operands, Panel

FAMILY = "cpu"
CASES = (
    Conv(9, 11, 3, 32, (3, 3), (2, 2), (1, 1, 1, 1), low=0.0, high=6.0),
    Conv(20, 18, 3, 64, (7, 7), (2, 2), (3, 3, 3, 3), low=0.0),
    Conv(7, 7, 16, 24, (3, 3), (1, 1), (1, 1, 1, 1), fold_in=2, residual=True, low=0.0, fold_out=3),
    Conv(14, 14, 16, 40, (3, 3), (2, 2), (1, 1, 1, 1), fold_in=2, low=0.0),
    Conv(13, 15, 8, 20, (1, 1), (2, 2)),
    Conv(1, 1, 8, 8, (3, 3), (1, 1), (1, 1, 1, 1)),
    Conv(2, 3, 5, 9, (3, 3), (1, 1), (1, 1, 1, 1)),
    Conv(6, 17, 4, 8, (1, 3), (1, 1), (0, 1, 0, 1)),
    Conv(8, 8, 8, 16, (2, 2), (2, 2), (0, 0, 0, 0), blocked_out=True),
)


def claims(op: Op) -> bool:
    """Every dense convolution that is not a plain matrix product and reads its input by pixel."""
    return isinstance(op, Conv) and op.groups == 1 and not op.pointwise and not op.blocked_in


@dataclass(frozen=True)
class XTile:
    """Tiles of one height along an output row: `count` tiles of `rows` pixels from output column `start`."""

    start: int
    count: int
    rows: int
    border: bool


@dataclass(frozen=True)
class Params:
    """Channel panels, the tiles of an output row, and the walk."""

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

    @classmethod
    def from_machine(cls, machine: Machine, op: Conv) -> Params:
        return cls.of(machine, op, *ranked(machine, op)[0][1:])

    @classmethod
    def of(cls, machine: Machine, op: Conv, rows: int, panels: Panels) -> Params:
        """The parameters of a register tile."""
        x_tiles = tuple(cut_row(op, rows))
        per_row = sum(tile.count for tile in x_tiles)
        tile_bytes = rows * op.stride[0] * op.stride[1] * op.channels * 4
        order = tiling.order(
            machine, per_row * op.out_height, len(panels.widths), tile_bytes, op.taps * op.out_channels * 4
        )
        return cls(panels, x_tiles, order)


def runs(op: Conv) -> tuple[tuple[int, int]]:
    """Output rows, for `tiling.choose`."""
    return ((op.out_height, op.out_width),)


def ranked(machine: Machine, op: Conv) -> list[tuple[float, int, Panels]]:
    """Modelled cycles, tile height and panels of every candidate, the fastest first."""
    found = tiling.ranked_tiles(machine, runs(op), op.out_channels, op.taps)
    return _rule.spread(machine, found, op.stride[1] * op.channels)


def variants(machine: Machine, op: Conv) -> list[Params]:
    """The best register tiles of the model."""
    return [Params.of(machine, op, rows, panels) for _, rows, panels in ranked(machine, op)[: tiling.TRIED]]


def cut_row(op: Conv, rows: int) -> list[XTile]:
    """Cut one output row into tiles, border tiles one by one, inner tiles of one height together."""
    cut: list[XTile] = []
    start = 0
    for count, height in tiling.split_rows(op.out_width, rows):
        for _ in range(count):
            border = any(
                not valid(op, start + row, kx) for row in range(height) for kx in range(op.kernel[1])
            )
            last = cut[-1] if cut else None
            if last and not border and not last.border and last.rows == height:
                cut[-1] = XTile(last.start, last.count + 1, height, False)
            else:
                cut.append(XTile(start, 1, height, border))
            start += height
    return cut


def valid(op: Conv, column: int, kx: int) -> bool:
    """Whether tap `kx` of output `column` reads inside the row."""
    return 0 <= column * op.stride[1] + kx - op.pad[1] < op.width


def schedule(op: Conv, params: Params, machine: Machine, weight: np.ndarray, bias: np.ndarray) -> Kernel:
    """weight: [CO, CI, KH, KW]; bias: [CO]."""
    length = op.taps
    packed = _rule.pack_panels(matrix(op, weight), params.panels)
    copies = _rule.bias_copies(machine, params.rows, op.pixels)
    copied = _rule.pack_bias(bias, params.panels, machine.lanes, copies)
    pointers = _rule.conv_pointers(op, packed.size, copied.size)

    def body(*arguments: Buffer) -> None:
        *tensors, begin, end = arguments
        operands = Operands.of(op, machine, dict(zip(pointers, tensors, strict=True)), params.rows)

        def item(tile: Expr, panel: Expr) -> None:
            y, index = tir.bind(tile // params.per_row), tir.bind(tile % params.per_row)
            row = _Row(
                op, machine, operands, y, y * op.out_width, _Walk(params, tile) if machine.prefetch else None
            )
            _rule.for_panel(
                params.panels, length, panel, lambda columns: row.case(params.x_tiles, index, columns)
            )

        _rule.for_items(params.order, begin, end, item, machine.by_lane)

    note = f"{params.rows}x{params.panels.width}"
    return Kernel(
        op,
        "conv_cpu",
        pointers,
        params.order.tiles * params.order.panels,
        body,
        {"w": packed, "b": copied},
        note,
    )


def emit_row(
    op: Conv, machine: Machine, operands: Operands, tiles: tuple[int, Panels], y: Expr, first_pixel: Expr
) -> None:
    """Output row `y`, all tiles and channels. tiles: height and panels; first_pixel: its place in the output."""
    row = _Row(op, machine, operands, y, first_pixel)

    def panel_of(panel: Panel) -> None:
        for cut in cut_row(op, tiles[0]):
            with tir.loop(0, cut.count) as index:
                column = cut.start if cut.count == 1 else tir.bind(index * cut.rows + cut.start)
                row.tile(cut, column, panel)

    _rule.each_panel(tiles[1], op.taps, panel_of)


@dataclass(frozen=True)
class _Walk:
    """Where an item stands in the walk over tiles and panels."""

    params: Params
    tile: Expr


@dataclass(frozen=True)
class _Row:
    """The statements of one output row."""

    op: Conv
    machine: Machine
    operands: Operands
    y: Expr
    first_pixel: Expr  # of the row in the output
    walk: _Walk | None = None

    def case(self, x_tiles: tuple[XTile, ...], index: Expr, panel: Panel) -> None:
        """The tile of that number; a case per cut."""
        bounds: list[int] = []
        cases: list[Callable[[], None]] = []
        first = 0
        for cut in x_tiles:

            def case(cut: XTile = cut, first: int = first) -> None:
                column = cut.start if cut.count == 1 else tir.bind((index - first) * cut.rows + cut.start)
                self.tile(cut, column, panel)

            bounds.append(first)
            cases.append(case)
            first += cut.count
        tir.switch(index, bounds, cases)

    def tile(self, cut: XTile, column: Expr, panel: Panel) -> None:
        """One register tile: the kernel rows that exist, each as one run (inner) or tap by tap (border, shift)."""
        op, machine = self.op, self.machine
        tile = _rule.tile_of(machine, cut.rows, panel.width)
        acc = tile.accumulators(self.operands.bias, panel.channel, self.operands.copies, column)
        top = tir.bind(self.y * op.stride[0] - op.pad[0])
        columns = [(column + row) * op.stride[1] - op.pad[1] for row in range(tile.rows)]
        first = self.first_pixel + column
        number, panels = 0, 1
        if self.walk:
            number, panels = (
                tir.bind(panel.channel // self.walk.params.panels.width),
                self.walk.params.order.panels,
            )
        with vertical_taps(op, top) as ky:
            row_start = tir.bind((top + ky) * op.width)
            weights = tir.bind(panel.offset + ky * (op.kernel[1] * op.channels * tile.width))

            def soon(steps: int) -> list[Ahead]:
                return self.soon(
                    Place(first, tile.rows, panel, number, panels), row_start + columns[0], steps
                )

            for part in parts(op):
                for run in self.runs(cut):
                    live = [valid(op, cut.start + row, run.start) for row in range(tile.rows)]
                    pixels = [row_start + x if ok else None for x, ok in zip(columns, live, strict=True)]
                    self.taps(tile, acc, part, pixels, run, weights, soon)
        tile.finish(acc, self.operands.epilogue, [first + row for row in range(tile.rows)], panel.channel)

    def runs(self, cut: XTile) -> list[range]:
        """The taps of a kernel row: those that all rows of the tile read as one run, the others one by one."""
        op, rows = self.op, range(cut.rows)
        whole = [kx for kx in range(op.kernel[1]) if all(valid(op, cut.start + row, kx) for row in rows)]
        run = [range(whole[0], whole[-1] + 1)] if whole else []
        others = (kx for kx in range(op.kernel[1]) if kx not in whole)
        return sorted(run + [range(kx, kx + 1) for kx in others], key=lambda taps: taps.start)

    def soon(self, place: Place, window: Expr, steps: int) -> list[Ahead]:
        """What a run of one kernel row asks for. window: the row's first pixel that the tile reads."""
        if self.walk is None:
            return []
        op, operands, block = self.op, self.operands, self.walk.params.order.block
        found = _ahead.own(op, self.machine, operands, place, steps)
        if block > 1 and op.kernel == (1, 1):
            found += _ahead.weights(op, operands, place.panel, self.walk.tile % block, block, steps)
        if operands.state is not None:
            width = place.height * op.stride[1]
            window = Place(window, width, place.panel, place.number, place.panels)
            found += _ahead.states(op, operands, window, steps)
        return found

    def taps(
        self,
        tile: Tile,
        acc: Buffer,
        part: Part,
        pixels: list[Expr | None],
        run: range,
        weights: Expr,
        soon: Callable[[int], list[Ahead]],
    ) -> None:
        """Reduce the taps of a run over one part of the channels: in one go where they lie side by side in memory."""
        source = self.operands.x if part.name == "x" else self.operands.state
        first = weights + part.weights * tile.width

        def reduce(kx: Expr, length: int) -> None:
            bases = [None if p is None else (p + kx) * part.pitch + part.start for p in pixels]
            weights = first + kx * part.count * tile.width
            ahead = soon(length) if part.name == "x" else []
            tile.reduce(acc, source, bases, length, self.operands.weights, weights, ahead=ahead)

        if part.count == part.pitch:
            reduce(run.start, len(run) * part.count)
        elif len(run) == 1:
            reduce(run.start, part.count)
        else:
            with tir.loop(run.start, run.stop) as kx:
                reduce(kx, part.count)


@dataclass(frozen=True)
class Part:
    """`count` channels from `start` of every pixel of a buffer with `pitch` channels.

    weights: at which row of a kernel row's weights those of the part begin.
    """

    name: str
    start: int
    count: int
    pitch: int
    weights: int


def parts(op: Conv) -> list[Part]:
    """The channels of the state and the rest of x, or all of x."""
    fold, channels = op.fold_in, op.channels
    x = Part("x", fold, channels - fold, channels, op.kernel[1] * fold)
    return [Part("state", 0, fold, fold, 0), x] if fold else [x]


def matrix(op: Conv, weight: np.ndarray) -> np.ndarray:
    """[CO, CI, KH, KW] as [KH * KW * CI, CO] in the order of the reduction: kernel row, part, tap, channel."""
    rows = weight.transpose(2, 3, 1, 0)
    height, _, _, channels = rows.shape
    ordered = [rows[:, :, p.start : p.start + p.count].reshape(height, -1, channels) for p in parts(op)]
    return np.concatenate(ordered, axis=1).reshape(-1, channels)


def vertical_taps(op: Conv, top: Expr):  # type: ignore[no-untyped-def]
    """A loop over the kernel rows that fall inside the image, for the output row whose window starts at `top`."""
    if op.pad[0] == 0 and op.pad[2] == 0:
        return tir.loop(0, op.kernel[0])
    return tir.loop(tir.bind(tirx.max(0, -top)), tir.bind(tirx.min(op.kernel[0], op.height - top)))
