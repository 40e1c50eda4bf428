"""Pointwise convolution on a GPU: [pixels, CI] x [CI, CO] with bias, residual, clamp and both sides of the shift.

Pattern: 1x1, stride 1, dense, more than one pixel. Every expand and project layer of MobileNetV2.

1. A tiled matrix product through shared memory (`kernels/gpu/matmul.py`); a cost model picks tile, register tile, depth
   and slices from the target's facts (`tiling.choose_gemm`).
2. Shift in the loads: channels below `fold_in` come from the state of the last frame, the others from x.
3. Epilogue: bias, residual, clamp, store; the first `fold_out` channels are also stored to the next state.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tvm import tirx

from ...ir.ops import Conv, Op
from ...kernels.gpu import builder as gpu
from ...kernels.gpu import tiling
from ...kernels.gpu.builder import Buffer, Expr
from ...kernels.gpu.operands import Product, Source
from ...kernels.gpu.tiling import Gemm, Machine
from .. import cases
from ..rule import Schedule
from . import _rule
from .classifier import claims as is_classifier

CASES = (
    *cases.POINTWISE,
    Conv(7, 7, 160, 320, low=0.0, high=6.0, fold_in=20),
    Conv(14, 14, 32, 64, residual=True, low=0.0, fold_in=4, fold_out=8),
    Conv(9, 11, 24, 144, low=0.0, high=6.0, fold_in=3),
    Conv(3, 1, 6, 2, fold_in=1, fold_out=1),
)


def claims(op: Op) -> bool:
    """Every pointwise convolution that is no classifier."""
    return isinstance(op, Conv) and op.pointwise and not is_classifier(op)


@dataclass(frozen=True)
class Params:
    """The cut of the product."""

    gemm: Gemm

    @classmethod
    def from_machine(cls, machine: Machine, op: Conv) -> Params:
        return cls(tiling.choose_gemm(machine, op.pixels, op.out_channels, op.channels))


def schedule(
    op: Conv, params: Params, machine: Machine, weight: np.ndarray, bias: np.ndarray
) -> _rule.Kernel:
    """weight: [CO, CI, 1, 1]; bias: [CO]."""
    matrix = weight.reshape(op.out_channels, op.channels).T

    def product_of(source: Source) -> Product[Expr]:
        return product(op, params.gemm, source)

    return _rule.product_kernel(op, "pointwise_gpu", machine, params.gemm, matrix, bias, product_of)


def product(op: Conv, gemm: Gemm, source: Source) -> Product[Expr]:
    """The product of a 1x1 convolution; with a stride, of the pixels it keeps."""
    steps = gpu.ceil_div(op.channels, gemm.depth)
    lanes = min(source.lanes, gpu.width_of(gemm.depth))
    last = op.channels - lanes

    def prepare(row: Expr) -> Expr:
        if op.stride == (1, 1):
            return row
        return gpu.bind(row // op.out_width * (op.stride[0] * op.width) + row % op.out_width * op.stride[1])

    def fetch(registers: Buffer, at: int, pixel: Expr, step: Expr, k: Expr) -> None:
        channel = step * gemm.depth + k
        # beyond the last channel the weights are zero, so any element of the same pixel will do
        channel = channel if op.channels % gemm.depth == 0 else tirx.min(channel, last)
        source.load(registers, at, pixel, gpu.bind(channel), lanes)

    return Product(gemm, op.pixels, op.out_channels, steps, lanes, prepare, fetch)


SCHEDULE = Schedule("pointwise_gpu", claims, Params.from_machine, schedule, CASES)
