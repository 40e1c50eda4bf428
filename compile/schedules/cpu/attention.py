"""softmax(x kᵀ) v on a CPU, a few positions at a time, so that the scores of a clip are never in memory as a whole.

1. A work item is a block of positions of one frame; its scores for all keys lie in the thread's scratch.
2. Scores: register tiles of positions x 16 keys, whose panel is read once for all tiles of the block.
3. Softmax: each row less its maximum, exponentials and their sum; the division waits until the end.
4. Means: register tiles of positions x 16 channels with the scores as activations, divided by the row's sum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...ir.dtype import FLOAT32, Pointer
from ...ir.ops import Op
from ...ir.ops.attention import PANEL, Attention
from ...ir.plan import Cycles
from ...kernels.cpu import builder as tir
from ...kernels.cpu import cost, tiling
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.exponential import exp
from ...kernels.cpu.tiling import Machine
from ..pointers import typed
from ..rule import Schedule
from . import _rule
from ._rule import Kernel

MOST = 32  # positions of a block
CASES = (
    Attention(3, 6, 24, 21, 0.3),
    Attention(2, 7, 19, 9, 0.5, pitch=144, out_pitch=160),
    Attention(2, 49, 32, 40, 0.2),
    Attention(1, 13, 16, 16),
    Attention(2, 64, 64, 128, 0.125),
)


def claims(op: Op) -> bool:
    """All of them."""
    return isinstance(op, Attention)


@dataclass(frozen=True)
class Params:
    """Positions of a block, which divide those of a frame, and the tile's height."""

    block: int
    rows: int

    @classmethod
    def from_machine(cls, machine: Machine, op: Attention) -> Params:
        block = next(size for size in range(min(MOST, op.pixels), 0, -1) if op.pixels % size == 0)
        heights = [rows for rows in range(1, machine.registers) if tiling.fits(machine, rows, PANEL)]
        return cls(block, min(block, max(heights)))


@dataclass(frozen=True)
class Block:
    """The statements of one work item."""

    op: Attention
    params: Params
    machine: Machine
    buffers: dict[str, Buffer]

    @property
    def pitch(self) -> int:
        """Floats from one row of scores to the next."""
        return -(-self.op.positions // PANEL) * PANEL

    def tiles(self, emit: Callable[[Expr, int], None]) -> None:
        """Call `emit(first row, rows)` for every register tile of the block."""
        first = 0
        for count, height in tiling.split_rows(self.params.block, self.params.rows):
            with tir.loop(0, count) as index:
                emit(tir.bind(index * height + first), height)
            first += count * height

    def scores(self, start: Expr) -> None:
        """Rows of scores into scratch; start: of the block in x."""
        op = self.op
        scratch = self.buffers["scratch"]

        def panel_of(panel: Expr) -> None:
            def tile_of(first: Expr, height: int) -> None:
                tile = _rule.tile_of(self.machine, height, PANEL)
                acc = tile.zeros()
                bases = [tir.bind(start + (first + row) * op.channels) for row in range(height)]
                keys = self.buffers["k"]
                tile.reduce(acc, self.buffers["x"], bases, op.channels, keys, panel * (op.channels * PANEL))
                for row in range(height):
                    for offset, lanes in tir.vectors(PANEL, tile.lanes):
                        total = tile.total(acc, row * PANEL + offset, lanes)
                        at = (first + row) * self.pitch + panel * PANEL + offset
                        tir.store(scratch, at, total * tir.constant(op.scale, lanes), lanes)

            self.tiles(tile_of)

        with tir.loop(0, self.pitch // PANEL) as panel:
            panel_of(panel)

    def softmax(self) -> None:
        """Exponentials of each row in place, and 1 / their sum behind all rows."""
        scratch, lanes = self.buffers["scratch"], self.machine.lanes
        with tir.loop(0, self.params.block) as row:
            first = tir.bind(row * self.pitch)
            best = tir.local(lanes)
            tir.store(best, 0, tir.splat(tir.load(scratch, first, 1), lanes), lanes)

            def larger(at: Expr, count: int, best: Buffer = best) -> None:
                held = tir.bind(tir.load(best, 0, count))
                value = tir.bind(tir.load(scratch, at, count))
                tir.store(best, 0, tir.larger(held, value, count, self.machine.clamp), count)

            self.row(first, larger)
            most = tir.local(1)
            tir.store(most, 0, tir.load(best, 0, 1), 1)
            for index in range(1, lanes):
                held, value = (tir.bind(tir.load(buffer, at, 1)) for buffer, at in ((most, 0), (best, index)))
                tir.store(most, 0, tir.larger(held, value, 1, None), 1)
            sums = tir.local(lanes)
            tir.store(sums, 0, tir.constant(0.0, lanes), lanes)
            top = tir.bind(tir.load(most, 0, 1))

            def powers(at: Expr, count: int, sums: Buffer = sums, top: Expr = top) -> None:
                value = tir.bind(exp(tir.load(scratch, at, count) - tir.splat(top, count), count))
                tir.store(scratch, at, value, count)
                tir.store(sums, 0, tir.load(sums, 0, count) + value, count)

            self.row(first, powers)
            total = sum((tir.load(sums, index, 1) for index in range(1, lanes)), start=tir.load(sums, 0, 1))
            share = tir.constant(1.0) / total
            tir.store(scratch, self.params.block * self.pitch + row, share, 1)

    def row(self, first: Expr, emit: Callable[[Expr, int], None]) -> None:
        """Call `emit(place, lanes)` for the scores of a row."""
        tir.each_vector(
            self.op.positions, self.machine.lanes, lambda at, lanes: emit(tir.bind(first + at), lanes)
        )

    def means(self, start: Expr) -> None:
        """Weighted means over the values; start: of the block in y."""
        op = self.op
        scratch, values = self.buffers["scratch"], self.buffers["v"]
        whole, rest = divmod(op.channels, PANEL)

        def panel_of(panel: Expr, kept: int) -> None:
            def tile_of(first: Expr, height: int) -> None:
                tile = _rule.tile_of(self.machine, height, PANEL)
                acc = tile.zeros()
                bases = [tir.bind((first + row) * self.pitch) for row in range(height)]
                tile.reduce(acc, scratch, bases, op.positions, values, panel * (op.positions * PANEL))
                for row in range(height):
                    share = tir.bind(tir.load(scratch, self.params.block * self.pitch + first + row, 1))
                    for offset, lanes in tir.vectors(kept, tile.lanes):
                        total = tile.total(acc, row * PANEL + offset, lanes)
                        at = start + (first + row) * op.channels + panel * PANEL + offset
                        tir.store(self.buffers["y"], at, total * tir.splat(share, lanes), lanes)

            self.tiles(tile_of)

        with tir.loop(0, whole) as panel:
            panel_of(panel, PANEL)
        if rest:
            panel_of(whole, rest)


def schedule(op: Attention, params: Params, machine: Machine) -> Kernel:
    """x [frames, pixels, channels], k, v -> y [frames, pixels, channels]."""
    panels = -(-op.positions // PANEL)
    sizes = {
        "x": (op.frames - 1) * op.pitch + op.pixels * op.channels,
        "k": panels * PANEL * op.channels,
        "v": -(-op.channels // PANEL) * PANEL * op.positions,
        "y": (op.frames - 1) * op.out_pitch + op.pixels * op.channels,
    }
    pointers = typed(sizes, op.types)
    pointers["scratch"] = Pointer(params.block * (panels * PANEL + 1), FLOAT32)
    blocks = op.pixels // params.block

    def body(*arguments: Buffer) -> None:
        *tensors, begin, end = arguments
        block = Block(op, params, machine, dict(zip(pointers, tensors, strict=True)))
        with tir.loop(begin, end) as item:
            frame, first = tir.bind(item // blocks), tir.bind(item % blocks * (params.block * op.channels))
            block.scores(tir.bind(frame * op.pitch + first))
            block.softmax()
            block.means(tir.bind(frame * op.out_pitch + first))

    work = Cycles(
        cost.dense(
            machine, ((op.frames * blocks, params.block),), params.rows, panels_of(panels), op.channels
        )
        + cost.dense(
            machine,
            ((op.frames * blocks, params.block),),
            params.rows,
            panels_of(-(-op.channels // PANEL)),
            op.positions,
        )
    )
    note = f"{params.rows}x{PANEL} of {params.block}"
    return Kernel(op, "attention_cpu", pointers, op.frames * blocks, body, note=note, work=work)


def panels_of(count: int) -> tiling.Panels:
    """So many whole panels."""
    return tiling.Panels(PANEL, count, ())


SCHEDULE = Schedule("attention_cpu", claims, Params.from_machine, schedule, CASES)
