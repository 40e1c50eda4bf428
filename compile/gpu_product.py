"""A matrix product for the kernel of `gpu_tile.py`: its description, and its constants as the kernel reads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .gpu_tiling import Gemm
from .gpu_tir import Buffer, Expr, ceil_div


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


def pack(matrix: np.ndarray, gemm: Gemm, half: bool) -> np.ndarray:
    """Weights [k, n] as [tile][k][tile columns], padded with zeros to whole stages and tiles; flat."""
    depth, width = gemm.depth, gemm.tile_columns
    k, n = (ceil_div(size, unit) * unit for size, unit in zip(matrix.shape, (depth, width), strict=True))
    padded = np.zeros((k, n), np.float32)
    padded[: matrix.shape[0], : matrix.shape[1]] = matrix
    tiles = padded.reshape(k, n // width, width).transpose(1, 0, 2)
    return np.ascontiguousarray(tiles, dtype=np.float16 if half else np.float32).ravel()


def pad_bias(bias: np.ndarray, gemm: Gemm) -> np.ndarray:
    """The bias in float32, padded to whole tiles."""
    return np.pad(bias.astype(np.float32), (0, -bias.size % gemm.tile_columns))
