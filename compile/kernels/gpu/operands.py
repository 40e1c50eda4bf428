"""Operands of a dense convolution on a GPU: activations, packed weights, and the epilogue's reads and writes.

`Source` also reads the state of the last frame, `Epilogue` also writes that for the next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from ...ir.dtype import DType
from . import builder as gpu
from .builder import Buffer, Expr, Memory, ceil_div
from .tiling import Gemm

Prepared = TypeVar("Prepared")  # what a pixel's index becomes before the loop over stages


@dataclass(frozen=True)
class Source:
    """The activations: x, whose first `fold` channels come from the state of the last frame."""

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

        def whole() -> None:
            self.x.load(registers, at, pixel * self.channels + channel, lanes)

        if state is None:
            whole()
        elif fold % lanes == 0:
            gpu.branch(
                channel < fold, lambda: state.load(registers, at, pixel * fold + channel, lanes), whole
            )
        else:
            whole()
            for lane in range(lanes):
                gpu.branch(
                    channel + lane < fold,
                    lambda lane=lane: state.load(registers, at + lane, pixel * fold + channel + lane, 1),  # type: ignore[misc]
                )


@dataclass(frozen=True)
class Epilogue:
    """Operands of the epilogue: clip(sum + bias [+ residual], low, high) -> out, first `fold` channels -> state."""

    out: Memory
    bias: Memory
    channels: int  # row pitch of `out` and `residual`
    residual: Memory | None = None
    low: float | None = None
    high: float | None = None
    state: Memory | None = None
    fold: int = 0  # channels of a pixel in `state`

    @property
    def lanes(self) -> int:
        """Widest vector to which every row is aligned."""
        return gpu.width_of(self.channels)

    def place(self, pixel: Expr) -> Expr:
        """Where a pixel of `out` and `residual` begins."""
        return pixel * self.channels

    def write(self, sums: Buffer, at: int, pixel: Expr, channel: Expr, lanes: int) -> None:
        """Apply it to sums[at : at + lanes], channels from `channel` of `pixel`."""
        place = gpu.bind(self.place(pixel) + channel)
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


@dataclass(frozen=True)
class ClipEpilogue(Epilogue):
    """The epilogue over frames of `pixels` each, which lie `pitch` elements apart; pixels are numbered through."""

    pixels: int = 1
    pitch: int = 1

    @property
    def lanes(self) -> int:
        """As before, and a frame begins at a multiple of it as well."""
        return min(gpu.width_of(self.channels), gpu.width_of(self.pitch))

    def place(self, pixel: Expr) -> Expr:
        """Where a pixel begins."""
        return pixel // self.pixels * self.pitch + pixel % self.pixels * self.channels


def write_state(
    state: Memory, fold: int, sums: Buffer, at: int, pixel: Expr, channel: Expr, lanes: int
) -> None:
    """Store the channels below `fold` to the next state."""
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
class Product(Generic[Prepared]):
    """A matrix product [m, k] x [k, n]. steps: stages of `depth` along k; lanes: of one load of activations.

    prepare(pixel): computed once before the loop over stages. fetch(registers, at, prepared, step, k): load `lanes`
    activations of that pixel from index `k` of stage `step`.
    """

    gemm: Gemm
    m: int
    n: int
    steps: int
    lanes: int
    prepare: Callable[[Expr], Prepared]
    fetch: Callable[[Buffer, int, Prepared, Expr, Expr], None]


def pack(matrix: np.ndarray, gemm: Gemm, dtype: DType) -> np.ndarray:
    """Weights [k, n] as [tile][k][tile columns], padded with zeros to whole stages and tiles; flat."""
    depth, width = gemm.depth, gemm.tile_columns
    k, n = (ceil_div(size, unit) * unit for size, unit in zip(matrix.shape, (depth, width), strict=True))
    padded = np.zeros((k, n), np.float32)
    padded[: matrix.shape[0], : matrix.shape[1]] = matrix
    tiles = padded.reshape(k, n // width, width).transpose(1, 0, 2)
    return np.ascontiguousarray(tiles, dtype=dtype.numpy).ravel()


def pad_bias(bias: np.ndarray, gemm: Gemm) -> np.ndarray:
    """The bias in float32, padded to whole tiles."""
    return np.pad(bias.astype(np.float32), (0, -bias.size % gemm.tile_columns))
