"""Staging of a matrix product on a GPU: both tiles from device memory through registers to shared memory.

A stage is `depth` elements of the reduction. A thread's loads stay in registers until the group has multiplied the
previous stage (`matmul.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic

from tvm import tirx

from . import builder as gpu
from .builder import Buffer, Expr, Memory
from .operands import Prepared, Product
from .tiling import PAD, Gemm


def layout(gemm: Gemm, part: Expr) -> tuple[Expr, Expr]:
    """First element of the activations and of the weights of a slice in shared memory."""
    start = part * (gemm.staged_rows + gemm.depth * gemm.tile_columns)
    return start, start + gemm.staged_rows


class Stage(Generic[Prepared]):
    """One thread's part of a stage, and the registers that hold it."""

    def __init__(self, product: Product[Prepared], memory: Buffer, lane: Expr, part: Expr) -> None:
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
        self.origins: list[Prepared] = []

    def place(self, index: int) -> tuple[Expr, Expr]:
        """Tile row and index along the reduction of this thread's vector `index`."""
        vector = self.lane + index * self.gemm.slice_threads
        return vector // self.across, vector % self.across * self.product.lanes

    def start(self, first_row: Expr) -> None:
        """Compute what is invariant over the stages; rows past the end repeat the last pixel."""
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
