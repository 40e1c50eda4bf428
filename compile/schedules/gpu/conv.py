"""Dense k x k convolution on a GPU, read in place: no im2col, no padded copy.

Pattern: any dense kernel, stride and padding: the stem (3x3 or 7x7 on 3 channels), ResNet's 3x3, strided 1x1 shortcuts.

1. Implicit GEMM (`kernels/gpu/matmul.py`) with M the output pixels and K the taps and channels.
2. Many channels: every tap is a whole number of stages, so a stage belongs to one tap and the address of a row costs
   two multiplications per stage. Taps outside the image load zeros.
3. Few channels (the stem): K is one flat run over (ky, kx, c), loaded element by element.
4. A strided 1x1 is the pointwise product over the pixels it keeps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

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
from . import _rule, pointwise

WINDOW_REGISTERS = 16  # of a thread, for the corners and bounds of windows
CASES = (
    *cases.CONV,
    Conv(14, 14, 16, 40, (3, 3), (2, 2), (1, 1, 1, 1), fold_in=4, low=0.0),
    Conv(8, 8, 8, 16, (2, 2), (2, 2), (0, 0, 0, 0)),
    Conv(7, 7, 64, 64, (3, 3), (1, 1), (1, 1, 1, 1), low=0.0, fold_in=8, fold_out=8),
    Conv(4, 4, 20, 12, (3, 3), (1, 1), (1, 1, 1, 1)),
)


def claims(op: Op) -> bool:
    """Every dense convolution that is not a plain matrix product."""
    return isinstance(op, Conv) and op.groups == 1 and not op.pointwise


@dataclass(frozen=True)
class Params:
    """The cut of the product; flat: the reduction is one run over taps and channels."""

    gemm: Gemm
    flat: bool

    @classmethod
    def from_machine(cls, machine: Machine, op: Conv) -> Params:
        flat = op.channels < 8
        # corners and bounds of the window take registers, too
        roomy = replace(machine, thread_registers=machine.thread_registers - WINDOW_REGISTERS)
        depths = tuple(depth for depth in (8, 16, 32) if flat or depth <= max(8, op.channels))
        if flat:  # whole rows of the window, where they are short enough to be a stage
            row = op.kernel[1] * op.channels
            depths = tuple({depth for depth in (op.taps, row, 16) if 4 <= depth <= 32}) or (16,)
        gemm = tiling.choose_gemm(roomy, op.pixels, op.out_channels, op.taps, tuple(sorted(depths)))
        return cls(gemm, flat)


def schedule(
    op: Conv, params: Params, machine: Machine, weight: np.ndarray, bias: np.ndarray
) -> _rule.Kernel:
    """weight: [CO, CI, KH, KW]; bias: [CO]."""
    taps = weight.transpose(2, 3, 1, 0)  # [KH, KW, CI, CO]
    if not params.flat:
        taps = np.pad(taps, ((0, 0), (0, 0), (0, -op.channels % params.gemm.depth), (0, 0)))
    matrix = taps.reshape(-1, op.out_channels)

    def product_of(source: Source) -> Product[Expr]:
        if op.kernel == (1, 1) and not any(op.pad) and not params.flat:
            return pointwise.product(op, params.gemm, source)
        return (flat_product if params.flat else tap_product)(op, params.gemm, source)

    return _rule.product_kernel(op, "conv_gpu", machine, params.gemm, matrix, bias, product_of)


Corner = tuple[Expr, Expr]  # row and column of the window's first tap in the image


def corner_of(op: Conv, row: Expr) -> Corner:
    """The corner of an output pixel's window."""
    y, x = row // op.out_width, row % op.out_width
    return gpu.bind(y * op.stride[0] - op.pad[0]), gpu.bind(x * op.stride[1] - op.pad[1])


def inside(op: Conv, y: Expr, x: Expr) -> Expr | bool:
    """Whether a pixel is in the image; True where no padding can lead outside."""
    conditions = []
    if op.pad[0] or op.pad[2]:
        conditions += [y >= 0, y < op.height]
    if op.pad[1] or op.pad[3]:
        conditions += [x >= 0, x < op.width]
    return tirx.all(*conditions) if conditions else True


def tap_product(op: Conv, gemm: Gemm, source: Source) -> Product[Corner]:
    """Stages that each belong to one tap."""
    per_tap = gpu.ceil_div(op.channels, gemm.depth)
    lanes = min(source.lanes, gpu.width_of(gemm.depth))

    def fetch(registers: Buffer, at: int, corner: Corner, step: Expr, k: Expr) -> None:
        tap = gpu.bind(step // per_tap)
        y = gpu.bind(corner[0] + tap // op.kernel[1])
        x = gpu.bind(corner[1] + tap % op.kernel[1])
        channel = step % per_tap * gemm.depth + k
        if op.channels % gemm.depth:
            channel = tirx.min(channel, op.channels - lanes)
        channel = gpu.bind(channel)
        gpu.branch(
            inside(op, y, x),
            lambda: source.load(registers, at, gpu.bind(y * op.width + x), channel, lanes),
            lambda: gpu.fill(registers, at, lanes, 0.0),
        )

    steps = op.kernel[0] * op.kernel[1] * per_tap
    return Product(gemm, op.pixels, op.out_channels, steps, lanes, lambda row: corner_of(op, row), fetch)


def flat_product(op: Conv, gemm: Gemm, source: Source) -> Product[Corner]:
    """One run over (ky, kx, c), a number at a time; past its end the weights are zero."""
    row_length = op.kernel[1] * op.channels

    def fetch(registers: Buffer, at: int, corner: Corner, step: Expr, k: Expr) -> None:
        place = step * gemm.depth + k
        place = gpu.bind(place if op.taps % gemm.depth == 0 else tirx.min(place, op.taps - 1))
        y = gpu.bind(corner[0] + place // row_length)
        x = gpu.bind(corner[1] + place % row_length // op.channels)
        gpu.branch(
            inside(op, y, x),
            lambda: source.load(registers, at, gpu.bind(y * op.width + x), gpu.bind(place % op.channels), 1),
            lambda: gpu.fill(registers, at, 1, 0.0),
        )

    steps = gpu.ceil_div(op.taps, gemm.depth)
    return Product(gemm, op.pixels, op.out_channels, steps, 1, lambda row: corner_of(op, row), fetch)


SCHEDULE = Schedule("conv_gpu", claims, Params.from_machine, schedule, CASES)
