"""Dense 3x3 convolution of stride 1 on a CPU by Winograd's minimal filtering, F(4x4, 3x3) or F(2x2, 3x3).

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016; matrices: `kernels/cpu/winograd_math.py`.

Pattern: ResNet's 3x3 layers, where the products saved outweigh the transforms and the larger weights.

1. The output is cut into m x m tiles, the tiles in row-major order into blocks; a work item is a block, complete in one
   thread: no barrier inside, and only `scratch` between the phases.
2. Input: the n x n window of a tile (n = m + 2), vector by vector of channels, to `V[n * n][tile][CI]`. A shift is two
   runs of channels, the state's and the rest of x. Windows that leave the image read zeros there.
3. Panel by panel of output channels: n * n matrix products `V[p] x U[p]` with the register tile of the pointwise
   schedule into `M[n * n][tile][width]`, then the output transform with the epilogue (bias, residual, clamp).
   Weights are packed `[panel][n * n][k][width]` and read once a block.
4. The next state's channels of a tile are copied from the output while it is in the L1 cache: they are an eighth of it,
   and a case in each of the m * m stores would double the code.

`worthwhile` compares modelled cycles with the direct convolution, and `Params` the two tile sizes with each other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import gcd, inf

import numpy as np
from tvm import tirx

from ....ir.dtype import Pointer
from ....ir.ops import Conv, Op
from ....ir.plan import Cycles
from ....kernels.cpu import builder as tir
from ....kernels.cpu import tiling, winograd_math
from ....kernels.cpu.builder import Buffer, Expr
from ....kernels.cpu.epilogue import write
from ....kernels.cpu.prefetch import Prefetch
from ....kernels.cpu.tiling import Machine
from ...pointers import conv_pointers
from ...rule import Schedule
from .. import _rule
from .. import conv as conv_schedule
from .._rule import Kernel, Operands, Panel
from .input import Window
from .params import Layout, Params, combine, cycles, pack, variants
from .prefetch import output_block, prefetch_states

__all__ = ["CASES", "GAIN", "SCHEDULE", "Params", "claims", "cycles", "schedule", "variants", "worthwhile"]
PAD = (1, 1, 1, 1)
GAIN = 0.85  # share of the direct convolution's cycles; the transformed weights are 1.8 or 4 times as large
CASES = (
    Conv(12, 12, 16, 48, (3, 3), (1, 1), PAD, low=0.0, fold_out=18, blocked_out=True),
    Conv(7, 9, 16, 24, (3, 3), (1, 1), PAD, fold_in=2, residual=True, low=0.0, high=6.0, fold_out=3),
    Conv(1, 1, 8, 8, (3, 3), (1, 1), PAD),
    Conv(6, 5, 5, 7, (3, 3), fold_out=1),
    Conv(9, 10, 8, 16, (3, 3), (1, 1), (0, 1, 2, 0), residual=True),
)


def claims(op: Op) -> bool:
    """Every dense 3x3 convolution of stride 1."""
    if not isinstance(op, Conv) or op.groups != 1 or op.blocked_in:
        return False
    return op.kernel == (3, 3) and op.stride == (1, 1)


def worthwhile(machine: Machine, op: Conv) -> bool:
    """Whether the modelled cycles of all cores are clearly fewer than those of the direct convolution.

    Figures: docs/decisions/005-winograd.md.
    """
    direct = tiling.best_tile(machine, conv_schedule.runs(op), op.out_channels, op.taps)[0] / machine.cores
    direct += op.taps * op.out_channels * op.types.w.bytes / machine.stream
    return cycles(machine, op, Params.from_machine(machine, op)) < GAIN * direct


def schedule(op: Conv, params: Params, machine: Machine, weight: np.ndarray, bias: np.ndarray) -> Kernel:
    """weight: [CO, CI, 3, 3]; bias: [CO]."""
    layout = Layout.of(op, params, machine)
    packed = pack(winograd_math.transforms(params.m).weights(weight), params.panels, op.types.w)
    pointers = {**conv_pointers(op, packed.size), "scratch": Pointer(layout.size, machine.dtype)}

    def body(*arguments: Buffer) -> None:
        *tensors, begin, end = arguments
        work = _Work(op, params, machine, layout, dict(zip(pointers, tensors, strict=True)))
        with tir.loop(begin, end) as item:
            work.block(item)

    return Kernel(
        op,
        "winograd_cpu",
        pointers,
        sum(count for count, _ in params.blocks),
        body,
        {"w": packed, "b": bias.astype(op.types.b.numpy)},
        f"F({params.m}x{params.m}) {params.rows}x{params.panels.width}",
        work=Cycles(cycles(replace(machine, cores=1, stream=inf), op, params)),
    )


@dataclass(frozen=True)
class _Work:
    """The statements of one block."""

    op: Conv
    params: Params
    machine: Machine
    layout: Layout
    buffers: dict[str, Buffer]

    def block(self, item: Expr) -> None:
        """Input transform, products, output transform; one case per block size."""

        def emit(first: Expr, tiles: int) -> None:
            with tir.loop(0, tiles) as t:
                if self.machine.prefetch:
                    prefetch_states(self.op, self.params.m, self.buffers, self.place, first + t)
                self.input(t, *self.place(first + t))
            _rule.each_panel(self.params.panels, self.op.channels, lambda panel: self.panel(first, tiles, panel))

        _rule.each_height(self.params.blocks, item, emit)

    @property
    def across(self) -> int:
        """Tiles of one row of tiles."""
        return -(-self.op.out_width // self.params.m)

    def place(self, tile: Expr) -> tuple[Expr, Expr]:
        """Output row and column of a tile's corner."""
        tile, m = tir.bind(tile), self.params.m
        return tir.bind(tile // self.across * m), tir.bind(tile % self.across * m)

    def rows_of(self, block: Expr, tiles: int) -> tuple[Expr, int]:
        """The first output row of a block of tiles, and how many rows it touches at most."""
        rows = (-(-tiles // self.across) + 1) * self.params.m
        return self.place(block)[0], min(rows, self.op.out_height)

    def input(self, t: Expr, y: Expr, x: Expr) -> None:
        """V[:, t, :] of the tile whose corner is (y, x)."""
        op, n = self.op, self.layout.n
        top, left = tir.bind(y - op.pad[0]), tir.bind(x - op.pad[1])
        inside = [
            tirx.And(top >= 0, top + n <= op.height),
            tirx.And(left >= 0, left + n <= op.width),
        ]
        roomy = op.height >= n and op.width >= n

        def emit(border: bool) -> None:
            place = (t, top, left)
            window = Window(op, self.params.m, self.machine, self.layout, self.buffers, place, border)
            lanes, fold = self.machine.lanes, op.fold_in
            shared = fold % lanes  # channels of the vector that has some of the state's and some of x's
            if shared < 2 or lanes % shared or fold - shared + lanes > op.channels:
                shared = 0
            window.run("state", 0, fold - shared)
            if shared:
                window.both(fold - shared, shared)
            window.run("x", fold - shared + lanes if shared else fold, op.channels)

        if roomy:
            tir.branch(tirx.And(*inside), lambda: emit(False), lambda: emit(True))
        else:
            emit(True)

    def panel(self, first: Expr, tiles: int, panel: Panel) -> None:
        """All products of one panel of output channels, then the tiles they make."""
        with tir.loop(0, self.layout.n**2) as position:
            self.product(position, first, tiles, panel)
        with tir.loop(0, tiles) as t:
            y, x = self.place(first + t)
            for offset, lanes in tir.vectors(panel.width, self.machine.lanes):
                self.output((t, y, x), panel, offset, lanes)
            if self.op.fold_out:
                tir.branch(panel.channel < self.op.fold_out, lambda: self.next_state(y, x, panel))

    def product(self, position: Expr, block: Expr, tiles: int, panel: Panel) -> None:
        """M[position] = V[position] x U[position] for one panel."""
        op, layout, machine, scratch = self.op, self.layout, self.machine, self.buffers["scratch"]
        weights = tir.bind(panel.offset * layout.n**2 + position * (op.channels * panel.width))
        source = tir.bind(position * layout.v_pitch)
        target = tir.bind(layout.m_start + position * layout.m_pitch)
        operands, rows = Operands.of(op, machine, self.buffers, self.params.rows), self.rows_of(block, tiles)
        first = done = 0
        parts = tiling.split_rows(tiles, self.params.rows)
        whole = sum(count for count, _ in parts)
        for count, height in parts:
            with tir.loop(0, count) as index:
                t = tir.bind(index * height + first)
                size = op.channels * panel.width
                prefetches = []
                if machine.prefetch:
                    number = index + done
                    prefetches = [Prefetch.run(self.buffers["w"], weights + size, size, op.channels, number, whole)]
                    share = position * whole + number, layout.n**2 * whole
                    prefetches += output_block(op, machine, operands, rows, panel, share)
                registers = _rule.tile_of(machine, height, panel.width)
                acc = registers.zeros()
                bases = [source + layout.tiles.at(t + row, 0) for row in range(height)]
                step = layout.tiles.channel_step
                registers.reduce(acc, scratch, bases, op.channels, self.buffers["w"], weights, step, prefetches)
                registers.store(acc, scratch, target + t * panel.width)
            first, done = first + count * height, done + count

    def output(self, tile: tuple[Expr, Expr, Expr], panel: Panel, offset: int, lanes: int) -> None:
        """AT m A of one tile and one vector of channels, bias and epilogue."""
        op, layout, m = self.op, self.layout, self.params.m
        t, y, x = tile
        at = winograd_math.transforms(m).at
        start = tir.bind(layout.m_start + t * panel.width + offset)
        columns = []
        for j in range(layout.n):
            values = [
                tir.bind(
                    tir.load(self.buffers["scratch"], start + (i * layout.n + j) * layout.m_pitch, lanes)
                )
                for i in range(layout.n)
            ]
            columns.append(combine(at, values, lanes, self.machine.dtype))
        bias = tir.bind(tir.load(self.buffers["b"], panel.channel + offset, lanes))
        dtype = self.machine.dtype
        rows = [combine(at, [column[i] for column in columns], lanes, dtype) for i in range(m)]
        results = [[tir.bind(value + bias) for value in row] for row in rows]
        channel = tir.bind(panel.channel + offset)

        def direct() -> None:
            for i in range(m):
                for j in range(m):
                    self.finish(y + i, x + j, channel, results[i][j], lanes)

        def ragged() -> None:
            scratch, first = self.buffers["scratch"], self.layout.window_start
            for i in range(m):
                for j in range(m):
                    tir.store(scratch, first + (i * m + j) * lanes, results[i][j], lanes)
            bottom, right = tirx.min(op.out_height - y, m), tirx.min(op.out_width - x, m)
            with tir.loop(0, tir.bind(bottom)) as i, tir.loop(0, tir.bind(right)) as j:
                value = tir.load(scratch, tir.bind(first + (i * m + j) * lanes), lanes)
                self.finish(y + i, x + j, channel, value, lanes)

        if op.out_height % m or op.out_width % m:
            tir.branch(tirx.And(y + m <= op.out_height, x + m <= op.out_width), direct, ragged)
        else:
            direct()

    def finish(self, y: Expr, x: Expr, channel: Expr, value: Expr, lanes: int) -> None:
        """Epilogue of one pixel but for the state."""
        pixel = tir.bind(y * self.op.out_width + x)
        epilogue = _rule.epilogue(self.op, self.machine, self.buffers)
        write(epilogue, value, tir.bind(epilogue.layout.at(pixel, channel)), lanes)

    def next_state(self, y: Expr, x: Expr, panel: Panel) -> None:
        """Copy the channels of one tile and panel that the next frame reads."""
        op, m, layout = self.op, self.params.m, _rule.layout_out(self.op, self.machine)
        last_row, last_column = tirx.min(y + m, op.out_height), tirx.min(x + m, op.out_width)
        last = tir.bind(tirx.min(panel.channel + panel.width, op.fold_out))
        # vectors that neither a panel's end nor the state's, nor a block of the output, cuts in two
        lanes = gcd(self.machine.lanes, op.fold_out, *self.params.panels.widths)
        with tir.loop(y, tir.bind(last_row)) as row, tir.loop(x, tir.bind(last_column)) as column:
            pixel = tir.bind(row * op.out_width + column)
            with tir.loop(0, tir.bind((last - panel.channel) // lanes)) as index:
                channel = tir.bind(panel.channel + index * lanes)
                inside = tir.bind(channel % self.machine.lanes)
                value = tir.load(
                    self.buffers["y"], tir.bind(layout.at(pixel, channel - inside) + inside), lanes
                )
                tir.store(self.buffers["next"], tir.bind(pixel * op.fold_out + channel), value, lanes)


SCHEDULE = Schedule(
    "winograd_cpu", claims, Params.from_machine, schedule, CASES, variants=variants, worthwhile=worthwhile
)
