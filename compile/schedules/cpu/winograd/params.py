"""Winograd convolution on a CPU: parameters, cost model, scratch layout, packing and the linear combinations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ....ir.dtype import DType
from ....ir.ops import Conv
from ....kernels.cpu import builder as tir
from ....kernels.cpu import cost, tiling, winograd_math
from ....kernels.cpu.builder import Expr
from ....kernels.cpu.layout import Layout as Image
from ....kernels.cpu.prefetch import LINE_BYTES
from ....kernels.cpu.tiling import Machine, Panels


@dataclass(frozen=True)
class Params:
    """Output tile, tiles of a block [(count, tiles), ...], and the register tile of the products."""

    m: int
    blocks: tuple[tuple[int, int], ...]
    rows: int
    panels: Panels

    @classmethod
    def from_machine(cls, machine: Machine, op: Conv) -> Params:
        return min(variants(machine, op), key=lambda params: cycles(machine, op, params))

    @classmethod
    def of(cls, machine: Machine, op: Conv, m: int, most: int) -> Params:
        """The parameters for m x m output tiles and blocks of at most `most` tiles."""
        tiles = tile_count(op, m)
        blocks = min(tiles, -(-tiles // max(1, most) // machine.cores) * machine.cores)
        split = tuple(tiling.split_rows(tiles, -(-tiles // blocks)))
        groups = tuple((count * (m + 2) ** 2, height) for count, height in split)
        rows, panels = register_tile(machine, groups, op)
        return cls(m, split, rows, panels)

    @property
    def largest(self) -> int:
        """Tiles of the largest block."""
        return max(tiles for _, tiles in self.blocks)

    def weights(self, op: Conv) -> int:
        """Bytes of the transformed weights."""
        return (self.m + 2) ** 2 * op.channels * op.out_channels * op.types.w.bytes

    def per_tile(self, machine: Machine, op: Conv) -> int:
        """Bytes of V and M of one tile."""
        return (self.m + 2) ** 2 * (op.channels + max(self.panels.widths)) * machine.dtype.bytes

    def resident(self, machine: Machine, op: Conv) -> bool:
        """Whether the weights stay in the L2 cache together with V and M of a block."""
        return self.weights(op) + self.largest * self.per_tile(machine, op) <= room(machine)


#: cycles of a load that the multiply-adds hide, for a choice between tiles that they hide it in
HIDDEN_LOAD = 0.25


def register_tile(
    machine: Machine, groups: tuple[tuple[int, int], ...], op: Conv
) -> tuple[int, Panels]:
    """Tile height and panels of the products.

    By element, a tile of 9 x 16 needs fewer loads than one of 5 x 32 or 7 x 24, and runs in as many cycles: at
    56x56x64 in half precision 0.92 of the instructions. One that fills all registers spills, 10 x 16 among them.
    """
    ranked = tiling.ranked_tiles(machine, groups, op.out_channels, op.channels)
    if not machine.fma_by_element:
        return ranked[0][1:]
    small = replace(machine, registers=machine.registers - 1)
    roomy = [tile for tile in ranked if tiling.fits(small, tile[1], max(tile[2].widths))]
    blocks = in_blocks(machine, op)
    return min(
        roomy or ranked,
        key=lambda tile: tile[0] + HIDDEN_LOAD * tiling.loads(machine, groups, tile[1], tile[2], op.channels, blocks),
    )[1:]


def in_blocks(machine: Machine, op: Conv) -> bool:
    """Whether V is in blocks of channels: the target gains, and neither x nor the state ends inside a block."""
    whole = op.channels % machine.lanes == 0 and op.fold_in % machine.lanes == 0
    return machine.blocks_channels and whole


def room(machine: Machine) -> int:
    """Bytes of the L2 cache to plan with; x, y and the states pass through the other sixteenth."""
    return machine.l2_bytes * 15 // 16


def tile_count(op: Conv, m: int) -> int:
    """Tiles of the output."""
    return -(-op.out_height // m) * -(-op.out_width // m)


def variants(machine: Machine, op: Conv) -> list[Params]:
    """Both tile sizes, with blocks whose V takes half the L2 cache, or small enough for the weights to stay in it.

    Figures: docs/decisions/005-winograd.md.
    """
    found = []
    for m in winograd_math.POINTS:
        v_bytes = (m + 2) ** 2 * op.channels * machine.dtype.bytes
        large = Params.of(machine, op, m, machine.l2_bytes // 2 // v_bytes)
        small = Params.of(machine, op, m, (room(machine) - large.weights(op)) // large.per_tile(machine, op))
        found += [large, small] if small.resident(machine, op) else [large]
    return found


def cycles(machine: Machine, op: Conv, params: Params) -> float:
    """Modelled cycles of all cores: products, transforms, and weights from memory, once or in every round of blocks.

    A transform counts as vector instructions (a load and a store per element, one per factor), three per cycle.
    """
    n, m = params.m + 2, params.m
    matrices = winograd_math.transforms(m)
    groups = tuple((count * n * n, tiles) for count, tiles in params.blocks)
    products = cost.dense(machine, groups, params.rows, params.panels, op.channels)
    inside = 2 * n * n + 2 * n * np.count_nonzero(matrices.bt)
    outside = n * n + 2 * m * m + (n + m) * np.count_nonzero(matrices.at)
    vectors = tile_count(op, m) / machine.lanes
    transforms = vectors * (op.channels * inside + op.out_channels * outside) / 3
    blocks = sum(count for count, _ in params.blocks)
    rounds = -(-blocks // machine.cores)
    streamed = params.weights(op) * (1 if params.resident(machine, op) else rounds)
    return float((products + transforms) * rounds / blocks + streamed / machine.stream)


def pack(transformed: np.ndarray, panels: Panels, dtype: DType) -> np.ndarray:
    """[n * n, CI, CO] to consecutive `[n * n][k][width]` panels, flat."""
    parts, start = [], 0
    for width in panels.widths:
        parts.append(transformed[:, :, start : start + width].ravel())
        start += width
    return np.ascontiguousarray(np.concatenate(parts), dtype=dtype.numpy)


@dataclass(frozen=True)
class Layout:
    """Scratch in elements: V, M, then a window of vectors. Pitches: distance between two of the n * n positions.

    A pitch is one cache line longer than its data, so that the positions of a tile do not alias in one cache set.
    V is in blocks of channels where one instruction loads the vectors of two tiles from there.
    """

    n: int
    v_pitch: int
    m_pitch: int
    lanes: int
    tiles: Image  # of one position of V: a tile is a pixel

    @classmethod
    def of(cls, op: Conv, params: Params, machine: Machine) -> Layout:
        line = LINE_BYTES // machine.dtype.bytes
        v = params.largest * op.channels
        m = params.largest * max(params.panels.widths)
        pitches = ((v // line + 1) * line + line, (m // line + 1) * line + line)
        blocks = in_blocks(machine, op)
        tiles = Image.by_block(params.largest, machine.lanes) if blocks else Image.by_pixel(op.channels)
        return cls(params.m + 2, *pitches, machine.lanes, tiles)

    @property
    def m_start(self) -> int:
        return self.n * self.n * self.v_pitch

    @property
    def window_start(self) -> int:
        return self.m_start + self.n * self.n * self.m_pitch

    @property
    def size(self) -> int:
        return self.window_start + self.n * self.n * self.lanes


def combine(matrix: np.ndarray, values: Sequence[Expr], lanes: int, dtype: DType) -> list[Expr]:
    """matrix @ values, one expression per row; rows that differ only in signs share their even and odd sums."""
    done: dict[int, Expr] = {}
    for i, row in enumerate(matrix):
        if i in done:
            continue
        twin = next(
            (k for k in range(i + 1, len(matrix)) if np.array_equal(np.abs(matrix[k]), np.abs(row))), None
        )
        if twin is None:
            done[i] = tir.bind(weighted(row, values, lanes, dtype))
            continue
        same = np.where(matrix[twin] == row, row, 0)
        even, odd = (tir.bind(weighted(part, values, lanes, dtype)) for part in (same, row - same))
        done[i], done[twin] = tir.bind(even + odd), tir.bind(even - odd)
    return [done[i] for i in range(len(matrix))]


def weighted(row: np.ndarray, values: Sequence[Expr], lanes: int, dtype: DType) -> Expr:
    """Sum of row[k] * values[k]; terms with factor 1 first, so that the others become FMAs."""
    total: Expr = None
    for k in sorted((int(k) for k in np.flatnonzero(row)), key=lambda k: abs(row[k]) != 1):
        factor, value = float(row[k]), values[k]
        term = value if abs(factor) == 1 else value * tir.constant(factor, lanes, dtype)
        if total is None:
            total = -term if factor == -1 else term
            continue
        total = total - term if factor == -1 else total + term
    return total
