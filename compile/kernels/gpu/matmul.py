"""Implicit GEMM, the matrix product of every dense convolution on a GPU: tiles in shared memory, sums in registers.

M: output pixels, N: output channels, K: input channels of every tap. A group computes one tile of M x N; `Gemm` says
how its threads share it. For every stage of `depth` along K

1. each thread loads its share of both tiles from device memory to registers, converted to float32: activations in
   vectors along the channels, weights from a panel packed in this order at compile time,
2. barrier; the tiles are stored to shared memory, activations transposed so that a row of K is contiguous; barrier,
3. the loads of the next stage are issued (software pipelining), and each thread multiplies from shared memory.

Rows past the last pixel repeat it and are not stored; K is padded to whole stages with zero weights. Split K: a
slice of a group takes every `slices`-th stage, and the slices' sums are added at the end through shared memory.

`operands.py` describes the product and the epilogue, `staging.py` the way into shared memory.
"""

from __future__ import annotations

from tvm import tirx

from . import builder as gpu
from .builder import Buffer, Expr, Memory
from .operands import Epilogue, Prepared, Product
from .staging import Stage, layout
from .tiling import PAD, Gemm


def emit(
    product: Product[Prepared], weights: Memory, epilogue: Epilogue, thread: Expr, tile: tuple[Expr, Expr]
) -> None:
    """Emit the kernel. tile: its index along N and along M."""
    gemm = product.gemm
    memory = gpu.shared(gemm.shared_floats)
    lane = gpu.bind(thread % gemm.slice_threads) if gemm.slices > 1 else thread
    part = gpu.bind(thread // gemm.slice_threads) if gemm.slices > 1 else 0
    first_row = gpu.bind(tile[1] * gemm.tile_rows)
    a = Stage(product, memory, lane, part)
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


def pieces(each: int, across: int) -> list[tuple[int, int, int]]:
    """A thread's rows or columns as (register, offset in the tile, lanes), to which its index times lanes is added.

    Vectors of up to four; two vectors of a thread lie half a tile apart, so that adjacent threads read adjacent banks.
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
    """Tree reduction of the sums of all slices into those of the first."""
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
    product: Product[Prepared], sums: Buffer, epilogue: Epilogue, lane: Expr, first_row: Expr, tile: Expr
) -> None:
    """Apply the epilogue to this thread's sums."""
    gemm = product.gemm
    row_of, column_of = lane // gemm.columns, lane % gemm.columns
    widest = epilogue.lanes
    for row_register, row_offset, row_lanes in pieces(gemm.row_each, gemm.rows):
        for row in range(row_lanes):
            pixel = gpu.bind(first_row + row_offset + row_of * row_lanes + row)

            def channels(pixel: Expr = pixel, first: int = (row_register + row) * gemm.column_each) -> None:
                for register, offset, lanes in pieces(gemm.column_each, gemm.columns):
                    channel = gpu.bind(tile * gemm.tile_columns + offset + column_of * lanes)
                    step = min(lanes, widest)
                    for part in range(0, lanes, step):
                        inside = product.n % gemm.tile_columns == 0 or channel + part < product.n
                        gpu.branch(
                            inside,
                            lambda channel=channel + part, at=first + register + part, step=step: (  # type: ignore[misc]
                                epilogue.write(sums, at, pixel, channel, step)
                            ),
                        )

            gpu.branch(product.m % gemm.tile_rows == 0 or pixel < product.m, channels)
