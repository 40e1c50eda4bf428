"""Input transform of the Winograd convolution: BT d B of an n x n window of x, or of state and x."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tvm import tirx

from ....ir.ops import Conv
from ....kernels.cpu import builder as tir
from ....kernels.cpu import winograd_math
from ....kernels.cpu.builder import Buffer, Expr
from ....kernels.cpu.tiling import Machine
from .params import Layout, combine

#: row and column of a window, and a zero to add -> a vector of its channels
Load = Callable[[Expr, Expr, Expr], Expr]


@dataclass(frozen=True)
class Window:
    """The n x n window of tile (t, top, left), channels last. border: it extends beyond the image."""

    op: Conv
    m: int
    machine: Machine
    layout: Layout
    buffers: dict[str, Buffer]
    tile: tuple[Expr, Expr, Expr]
    border: bool

    def run(self, source: str, first: int, last: int) -> None:
        """Channels [first, last), vector by vector, all of one buffer."""
        tir.each_vector(
            last - first, self.machine.lanes, lambda at, lanes: self.one(source, tir.bind(first + at), lanes)
        )

    def one(self, source: str, channel: Expr, lanes: int) -> None:
        """One vector of channels."""
        self.transform(channel, lanes, self.read(source, channel, lanes))

    def both(self, channel: int, shared: int) -> None:
        """The vector whose first ``shared`` channels are the state's and the others x's.

        Two narrower vectors would be a fifth more windows for 8 of 64 channels and 16 lanes.
        """
        lanes = self.machine.lanes
        state, x = self.read("state", channel, shared), self.read("x", channel, lanes)
        self.transform(
            channel, lanes, lambda i, j, zero: tir.spliced(state(i, j, zero), shared, x(i, j, zero), lanes)
        )

    def pitch(self, source: str) -> int:
        """Channels of a pixel in a buffer."""
        return self.op.fold_in if source == "state" else self.op.channels

    def read(self, source: str, channel: Expr, lanes: int) -> Load:
        """Load from row i, column j of the window, which must lie in the image."""
        _, top, left = self.tile
        width, pitch, buffer = self.op.width, self.pitch(source), self.buffers[source]
        start = tir.bind((top * width + left) * pitch + channel)
        return lambda i, j, zero: tir.load(buffer, tir.bind(start + zero + (i * width + j) * pitch), lanes)

    def transform(self, channel: Expr, lanes: int, load: Load) -> None:
        """BT d B of one vector of channels, to V."""
        if self.border:
            load = self.clipped(load, lanes)
        layout = self.layout
        bt = winograd_math.transforms(self.m).bt
        at = tir.bind(layout.tiles.at(self.tile[0], channel))
        for number, group in enumerate(column_groups(bt, self.machine)):
            part = bt[group]
            needed = [j for j in range(layout.n) if part[:, j].any()]
            again = tir.opaque_zero(at + number) if number else 0
            rows = []
            for i in range(layout.n):
                values = [tir.bind(load(i, j, again)) if j in needed else None for j in range(layout.n)]
                rows.append(combine(part, values, lanes, self.machine.dtype))
            for index, j in enumerate(group):
                column = combine(bt, [row[index] for row in rows], lanes, self.machine.dtype)
                for i, value in enumerate(column):
                    tir.store(self.buffers["scratch"], at + (i * layout.n + j) * layout.v_pitch, value, lanes)

    def clipped(self, load: Load, lanes: int) -> Load:
        """Copy the part of a window that lies in the image to scratch, with zeros around it; load from there."""
        op, layout, scratch = self.op, self.layout, self.buffers["scratch"]
        _, top, left = self.tile
        for index in range(layout.n**2):
            zero = tir.constant(0.0, lanes, self.machine.dtype)
            tir.store(scratch, layout.window_start + index * lanes, zero, lanes)
        rows = tir.bind(tirx.max(top, 0)), tir.bind(tirx.min(top + layout.n, op.height))
        columns = tir.bind(tirx.max(left, 0)), tir.bind(tirx.min(left + layout.n, op.width))
        with tir.loop(*rows) as y, tir.loop(*columns) as x:
            i, j = tir.bind(y - top), tir.bind(x - left)
            place = (i * layout.n + j) * lanes + layout.window_start
            tir.store(scratch, tir.bind(place), load(i, j, 0), lanes)
        return lambda i, j, zero: tir.load(
            scratch, layout.window_start + zero + (i * layout.n + j) * lanes, lanes
        )


def column_groups(bt: np.ndarray, machine: Machine) -> list[list[int]]:
    """The columns of V computed together: all, or as many as the registers hold between the two transforms.

    Each group reads the window again. With all 36 vectors of F(4x4) LLVM spills, and times differ between processes
    (`Tile.two_steps_fit`).
    """
    count = len(bt)
    if machine.fma_by_element or (count + 1) * count <= machine.registers:
        return [list(range(count))]
    twins = {k: [j for j in range(count) if np.array_equal(abs(bt[j]), abs(bt[k]))] for k in range(count)}
    pairs = sorted({tuple(found) for found in twins.values() if len(found) == 2})
    alone = [k for k, found in twins.items() if len(found) == 1]
    return [*map(list, pairs), *([alone] if alone else [])]
