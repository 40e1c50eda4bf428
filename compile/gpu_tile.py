"""The matrix product that every dense convolution on a GPU is: tiles through shared memory, sums in registers.

M rows are output pixels, N columns output channels, and the reduction runs over the input channels of every tap. A
group computes one tile; `Gemm` says how its threads share it. For every `depth` of the reduction

1. each thread takes its share of both tiles from device memory into registers, converted to float32: activations in
   vectors along the channels, weights from a panel that was packed in this order when the bundle was compiled,
2. a barrier, and the tiles are written to shared memory, the activations transposed so that a row of the reduction is
   contiguous, and another barrier,
3. the loads of the next step are started, and each thread multiplies its rows with its columns from shared memory.

Rows past the last pixel repeat it and are never stored; a reduction that is no multiple of `depth` meets zero weights.
The slices of a group take every `slices`-th step and add their sums at the end through shared memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import tirx

from . import gpu_tir as gpu
from .gpu_tiling import PAD, Gemm
from .gpu_tir import Buffer, Expr, Memory


@dataclass(frozen=True)
class Epilogue:
    """What happens to finished sums: + bias, + residual, clamp, store, and the copy into the next state."""

    out: Memory
    bias: Memory
    channels: int  # row pitch of `out` and `residual`
    residual: Memory | None = None
    low: float | None = None
    high: float | None = None
    state: Memory | None = None
    fold: int = 0  # first `fold` channels of each pixel are the next state; its row pitch too

    @property
    def lanes(self) -> int:
        """Widest vector that starts at every multiple of itself in a row."""
        return gpu.width_of(self.channels)

    def write(self, sums: Buffer, at: int, pixel: Expr, channel: Expr, lanes: int) -> None:
        """Finish sums[at : at + lanes], channels from `channel` of `pixel`."""
        place = gpu.bind(pixel * self.channels + channel)
        extra = gpu.registers(lanes)
        self.bias.load(extra, 0, channel, lanes)
        add(sums, at, extra, lanes)
        if self.residual is not None:
            self.residual.load(extra, 0, place, lanes)
            add(sums, at, extra, lanes)
        gpu.clamp(sums, at, lanes, self.low, self.high)
        self.out.store(place, sums, at, lanes)
        if self.state is not None:
            write_state(self.state, self.fold, sums, at, pixel, channel, lanes)


def write_state(
    state: Memory, fold: int, sums: Buffer, at: int, pixel: Expr, channel: Expr, lanes: int
) -> None:
    """Store the channels below `fold` once more, as the next state."""
    base = pixel * fold + channel
    if fold % lanes == 0:
        gpu.branch(channel < fold, lambda: state.store(base, sums, at, lanes))
        return
    for lane in range(lanes):
        gpu.branch(
            channel + lane < fold,
            lambda lane=lane: state.store(base + lane, sums, at + lane, 1),  # type: ignore[misc]
        )


def add(sums: Buffer, at: int, values: Buffer, lanes: int) -> None:
    """sums[at : at + lanes] += values[: lanes]."""
    for lane in range(lanes):
        gpu.assign(sums, at + lane, sums[at + lane] + values[lane])


@dataclass(frozen=True)
class Source:
    """Where the activations are: x, and for its first `fold` channels the state of the last frame."""

    x: Memory
    channels: int
    state: Memory | None = None
    fold: int = 0

    @property
    def lanes(self) -> int:
        """Widest vector along the channels."""
        return gpu.width_of(self.channels)

    def load(self, registers: Buffer, at: int, pixel: Expr, channel: Expr, lanes: int) -> None:
        """registers[at : at + lanes] = channels from `channel` of `pixel`; channel is a multiple of lanes."""
        state, fold = self.state, self.fold
        whole = lambda: self.x.load(registers, at, pixel * self.channels + channel, lanes)  # noqa: E731
        if state is None:
            whole()
        elif fold % lanes == 0:
            past = lambda: state.load(registers, at, pixel * fold + channel, lanes)  # noqa: E731
            gpu.branch(channel < fold, past, whole)
        else:
            whole()
            for lane in range(lanes):
                gpu.branch(
                    channel + lane < fold,
                    lambda lane=lane: state.load(registers, at + lane, pixel * fold + channel + lane, 1),  # type: ignore[misc]
                )


@dataclass(frozen=True)
class Product:
    """One matrix product. m, n: its size; steps: stages of `depth`; lanes: of one load of activations.

    prepare(row): what a pixel's number becomes before the loop over stages. fetch(registers, at, prepared, step, k):
    load `lanes` activations of that pixel, from place `k` of stage `step`.
    """

    gemm: Gemm
    m: int
    n: int
    steps: int
    lanes: int
    prepare: Callable[[Expr], Any]
    fetch: Callable[[Buffer, int, Any, Expr, Expr], None]


def emit(
    product: Product, weights: Memory, epilogue: Epilogue, thread: Expr, tile: tuple[Expr, Expr]
) -> None:
    """The kernel's statements. tile: its number along N and along M."""
    gemm = product.gemm
    memory = gpu.shared(gemm.shared_floats)
    lane = gpu.bind(thread % gemm.slice_threads) if gemm.slices > 1 else thread
    part = gpu.bind(thread // gemm.slice_threads) if gemm.slices > 1 else 0
    first_row = gpu.bind(tile[1] * gemm.tile_rows)
    a = _Stage(product, memory, lane, part)
    panel = tile[0] * (product.steps * gemm.depth * gemm.tile_columns)
    sums = gpu.registers(gemm.row_each * gemm.column_each)
    gpu.fill(sums, 0, gemm.row_each * gemm.column_each, 0.0)
    a.start(first_row)
    rounds = gpu.ceil_div(product.steps, gemm.slices)

    def load(index: Expr) -> None:
        step = index * gemm.slices + part
        if product.steps % gemm.slices == 0:
            a.load(step)
            a.load_weights(weights, panel, step)
            return
        # a slice without a step left repeats the last one with zero weights
        last = gpu.bind(tirx.min(step, product.steps - 1))
        a.load(last)
        a.load_weights(weights, panel, last)
        gpu.branch(step >= product.steps, a.clear_weights)

    load(0)
    with gpu.loop(rounds) as index:
        gpu.barrier()
        a.put()
        gpu.barrier()
        if rounds > 1:
            gpu.branch(index < rounds - 1, lambda: load(index + 1))
        _multiply(gemm, memory, lane, part, sums)
    if gemm.slices > 1:
        _join(gemm, memory, lane, part, sums)
        gpu.branch(part < 1, lambda: _finish(product, sums, epilogue, lane, first_row, tile[0]))
    else:
        _finish(product, sums, epilogue, lane, first_row, tile[0])


def layout(gemm: Gemm, part: Expr) -> tuple[Expr, Expr]:
    """Where the activations and the weights of a slice begin in shared memory."""
    start = part * (gemm.staged_rows + gemm.depth * gemm.tile_columns)
    return start, start + gemm.staged_rows


class _Stage:
    """The way of one stage from device memory through registers to shared memory."""

    def __init__(self, product: Product, memory: Buffer, lane: Expr, part: Expr) -> None:
        gemm = product.gemm
        self.product, self.gemm, self.memory, self.lane = product, gemm, memory, lane
        self.rows_at, self.columns_at = layout(gemm, part)
        self.across = gemm.depth // product.lanes  # vectors of a tile row
        self.vectors = gemm.tile_rows * self.across
        self.each = gpu.ceil_div(self.vectors, gemm.slice_threads)
        self.values = gpu.registers(self.each * product.lanes)
        chunk = gemm.depth * gemm.tile_columns
        self.weight_lanes = next(
            w for w in (8, 4, 2, 1) if chunk % w == 0 and (w == 1 or chunk // w >= gemm.slice_threads // 2)
        )
        self.weight_vectors = chunk // self.weight_lanes
        self.weight_each = gpu.ceil_div(self.weight_vectors, gemm.slice_threads)
        self.weights = gpu.registers(self.weight_each * self.weight_lanes)
        self.origins: list[Any] = []

    def place(self, index: int) -> tuple[Expr, Expr]:
        """Tile row and place along the reduction of this thread's vector `index`."""
        vector = self.lane + index * self.gemm.slice_threads
        return vector // self.across, vector % self.across * self.product.lanes

    def start(self, first_row: Expr) -> None:
        """Compute what stays the same over all stages; rows past the end repeat the last pixel."""
        gemm, m = self.gemm, self.product.m
        for index in range(self.each):
            row = first_row + self.place(index)[0]
            sure = m % gemm.tile_rows == 0 and self.vectors % gemm.slice_threads == 0
            self.origins.append(self.product.prepare(gpu.bind(row if sure else tirx.min(row, m - 1))))

    def load(self, step: Expr) -> None:
        """This thread's activations of a stage into its registers."""
        for index in range(self.each):
            k = self.place(index)[1]
            self.product.fetch(self.values, index * self.product.lanes, self.origins[index], step, k)

    def load_weights(self, weights: Memory, panel: Expr, step: Expr) -> None:
        """This thread's weights of a stage into its registers."""
        gemm = self.gemm
        start = panel + step * (gemm.depth * gemm.tile_columns)
        for index in range(self.weight_each):
            vector = self.lane + index * gemm.slice_threads
            if (index + 1) * gemm.slice_threads > self.weight_vectors:
                vector = tirx.min(vector, self.weight_vectors - 1)
            lanes = self.weight_lanes
            weights.load(self.weights, index * lanes, start + vector * lanes, lanes)

    def clear_weights(self) -> None:
        """Zeros in place of this thread's weights."""
        gpu.fill(self.weights, 0, self.weight_each * self.weight_lanes, 0.0)

    def put(self) -> None:
        """Registers to shared memory."""
        gemm, lanes = self.gemm, self.product.lanes
        for index in range(self.each):
            row, k = self.place(index)

            def activations(row: Expr = row, k: Expr = k, index: int = index) -> None:
                for lane in range(lanes):
                    target = self.rows_at + (k + lane) * (gemm.tile_rows + PAD) + row
                    gpu.put(self.memory, target, self.values, index * lanes + lane, 1)

            self._guarded(index, self.vectors, activations)
        for index in range(self.weight_each):
            vector = self.lane + index * gemm.slice_threads

            def weights(vector: Expr = vector, index: int = index) -> None:
                piece = min(4, self.weight_lanes)
                for offset in range(0, self.weight_lanes, piece):
                    target = self.columns_at + vector * self.weight_lanes + offset
                    gpu.put(self.memory, target, self.weights, index * self.weight_lanes + offset, piece)

            self._guarded(index, self.weight_vectors, weights)

    def _guarded(self, index: int, vectors: int, emit: Callable[[], None]) -> None:
        threads = self.gemm.slice_threads
        gpu.branch(True if (index + 1) * threads <= vectors else self.lane + index * threads < vectors, emit)


def pieces(each: int, across: int) -> list[tuple[int, int, int]]:
    """A thread's rows or columns as (register, offset in the tile, lanes); its own place is added times the lanes.

    Vectors of up to four; two vectors of a thread lie half a tile apart, so that neighbours read neighbouring banks.
    """
    lanes = min(4, each)
    return [(piece * lanes, piece * lanes * across, lanes) for piece in range(each // lanes)]


def _multiply(gemm: Gemm, memory: Buffer, lane: Expr, part: Expr, sums: Buffer) -> None:
    """One stage: sums += rows x columns."""
    rows_at, columns_at = layout(gemm, part)
    row_of, column_of = lane // gemm.columns, lane % gemm.columns
    rows, columns = gpu.registers(gemm.row_each), gpu.registers(gemm.column_each)
    with gpu.loop(gemm.depth) as k:
        for register, offset, lanes in pieces(gemm.row_each, gemm.rows):
            base = rows_at + k * (gemm.tile_rows + PAD) + offset + row_of * lanes
            gpu.take(rows, register, memory, base, lanes)
        for register, offset, lanes in pieces(gemm.column_each, gemm.columns):
            base = columns_at + k * gemm.tile_columns + offset + column_of * lanes
            gpu.take(columns, register, memory, base, lanes)
        for row in range(gemm.row_each):
            for column in range(gemm.column_each):
                at = row * gemm.column_each + column
                gpu.assign(sums, at, sums[at] + rows[row] * columns[column])


def _join(gemm: Gemm, memory: Buffer, lane: Expr, part: Expr, sums: Buffer) -> None:
    """Add the sums of all slices into those of the first, halving their number each time."""
    size = gemm.row_each * gemm.column_each
    other = gpu.registers(1)
    width = gemm.slices // 2
    while width:
        gpu.barrier()

        def give(width: int = width) -> None:
            for index in range(size):
                place = ((part - width) * size + index) * gemm.slice_threads + lane
                gpu.put(memory, place, sums, index, 1)

        def receive() -> None:
            for index in range(size):
                gpu.take(other, 0, memory, (part * size + index) * gemm.slice_threads + lane, 1)
                gpu.assign(sums, index, sums[index] + other[0])

        gpu.branch(tirx.And(part >= width, part < 2 * width), give)
        gpu.barrier()
        gpu.branch(part < width, receive)
        width //= 2


def _finish(
    product: Product, sums: Buffer, epilogue: Epilogue, lane: Expr, first_row: Expr, tile: Expr
) -> None:
    """Write every finished sum of this thread."""
    gemm = product.gemm
    row_of, column_of = lane // gemm.columns, lane % gemm.columns
    wide = epilogue.lanes
    for row_register, row_offset, row_lanes in pieces(gemm.row_each, gemm.rows):
        for row in range(row_lanes):
            pixel = gpu.bind(first_row + row_offset + row_of * row_lanes + row)

            def channels(pixel: Expr = pixel, first: int = (row_register + row) * gemm.column_each) -> None:
                for register, offset, lanes in pieces(gemm.column_each, gemm.columns):
                    channel = gpu.bind(tile * gemm.tile_columns + offset + column_of * lanes)
                    step = min(lanes, wide)
                    for part in range(0, lanes, step):
                        inside = product.n % gemm.tile_columns == 0 or channel + part < product.n
                        gpu.branch(
                            inside,
                            lambda channel=channel + part, at=first + register + part, step=step: (  # type: ignore[misc]
                                epilogue.write(sums, at, pixel, channel, step)
                            ),
                        )

            gpu.branch(product.m % gemm.tile_rows == 0 or pixel < product.m, channels)


def pack(matrix: np.ndarray, gemm: Gemm, half: bool) -> np.ndarray:
    """Weights [k, n] as [tile][k][tile columns], padded with zeros to whole stages and tiles; flat."""
    depth, width = gemm.depth, gemm.tile_columns
    k, n = (gpu.ceil_div(size, unit) * unit for size, unit in zip(matrix.shape, (depth, width), strict=True))
    padded = np.zeros((k, n), np.float32)
    padded[: matrix.shape[0], : matrix.shape[1]] = matrix
    tiles = padded.reshape(k, n // width, width).transpose(1, 0, 2)
    return np.ascontiguousarray(tiles, dtype=np.float16 if half else np.float32).ravel()


def pad_bias(bias: np.ndarray, gemm: Gemm) -> np.ndarray:
    """The bias in float32, padded to whole tiles."""
    return np.pad(bias.astype(np.float32), (0, -bias.size % gemm.tile_columns))
