"""Dense convolution along time, height and width on a GPU (5x7x7, 3x3x3, 3x1x1), read in place.

1. It is the product of `matmul` with M the output pixels of all frames and the reduction over the taps of all frames
   and channels, as `conv_gpu` is for one frame.
2. Many channels: a stage belongs to one tap of one frame. Taps outside the clip or the picture load zeros.
3. Few channels (the stem): the reduction is one flat run over (kt, ky, kx, c), each number fetched by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from tvm import tirx

from ...ir.ops import Conv, Op, VolumeConv
from ...kernels.gpu import builder as gpu
from ...kernels.gpu import matmul, operands, tiling
from ...kernels.gpu.builder import Buffer, Expr, Launch, Memory
from ...kernels.gpu.operands import ClipEpilogue, Product
from ...kernels.gpu.tiling import Gemm, Machine
from ..pointers import typed
from ..rule import Schedule
from . import _rule
from .conv import WINDOW_REGISTERS, corner_of, inside

CASES = (
    VolumeConv(5, Conv(9, 11, 3, 16, (7, 7), (2, 2), (3, 3, 3, 3), low=0.0), 5, 1, 2, 2),
    VolumeConv(4, Conv(7, 7, 24, 24, low=0.0, high=6.0), 3, 1, 1, 1),
    VolumeConv(5, Conv(4, 3, 8, 17, residual=True), 3, 1, 1, 1, pitch=112, out_pitch=208),
    VolumeConv(4, Conv(5, 6, 16, 24, (3, 3), (1, 1), (1, 1, 1, 1), residual=True, low=0.0), 3, 1, 1, 1),
    VolumeConv(5, Conv(7, 6, 8, 12, (3, 3), (2, 2), (1, 1, 1, 1)), 3, 2, 1, 1, pitch=352, out_pitch=160),
    VolumeConv(3, Conv(4, 4, 8, 8, (1, 3), (1, 1), (0, 1, 0, 1)), 2, 1),
    VolumeConv(4, Conv(7, 7, 32, 64, (3, 3), (1, 1), (1, 1, 1, 1)), 3, 1, 1, 1),
)


def claims(op: Op) -> bool:
    """Every dense convolution along time."""
    return isinstance(op, VolumeConv) and op.conv.groups == 1 and not (op.conv.fold_in or op.conv.fold_out)


@dataclass(frozen=True)
class Params:
    """The cut of the product; flat: the reduction is one run over taps and channels."""

    gemm: Gemm
    flat: bool

    @classmethod
    def from_machine(cls, machine: Machine, op: VolumeConv) -> Params:
        conv = op.conv
        flat = conv.channels < 8
        roomy = replace(machine, thread_registers=machine.thread_registers - WINDOW_REGISTERS)
        depths = tuple(depth for depth in (8, 16, 32) if flat or depth <= max(8, conv.channels))
        if flat:
            row = conv.kernel[1] * conv.channels
            depths = tuple({depth for depth in (row, 16) if 4 <= depth <= 32}) or (16,)
        pixels = op.out_frames * conv.pixels
        return cls(
            tiling.choose_gemm(roomy, pixels, conv.out_channels, op.taps, tuple(sorted(depths))), flat
        )


def schedule(
    op: VolumeConv, params: Params, machine: Machine, weight: np.ndarray, bias: np.ndarray
) -> _rule.Kernel:
    """weight: [CO, CI, KT, KH, KW]; bias: [CO]."""
    conv, gemm = op.conv, params.gemm
    taps = weight.transpose(2, 3, 4, 1, 0)  # [KT, KH, KW, CI, CO]
    if not params.flat:
        taps = np.pad(taps, ((0, 0), (0, 0), (0, 0), (0, -conv.channels % gemm.depth), (0, 0)))
    matrix = taps.reshape(-1, conv.out_channels)
    packed, padded = operands.pack(matrix, gemm, op.types.w), operands.pad_bias(bias, gemm)
    last = (op.out_frames - 1) * op.out_pitch + conv.pixels * conv.out_channels
    sizes = {
        "x": (op.frames - 1) * op.pitch + conv.height * conv.width * conv.channels,
        "w": packed.size,
        "b": padded.size,
        "r": last if conv.residual else 0,
        "y": last,
    }
    columns = gpu.ceil_div(conv.out_channels, gemm.tile_columns)
    rows = gpu.ceil_div(op.out_frames * conv.pixels, gemm.tile_rows)

    def body(memory: dict[str, Memory], thread: Expr, group: tuple[Expr, Expr, Expr]) -> None:
        product = (flat_product if params.flat else tap_product)(op, gemm, memory["x"])
        matmul.emit(product, memory["w"], epilogue(op, memory), thread, group[:2])

    return _rule.Kernel(
        op,
        "volume_conv_gpu",
        typed(sizes, op.types),
        Launch((columns, rows, 1), gemm.threads, gemm.shared_bytes),
        body,
        constants={"w": packed, "b": padded},
        note=gemm.note,
        instructions=tiling.gemm_instructions(gemm, gpu.ceil_div(matrix.shape[0], gemm.depth), machine.convert),
    )


def epilogue(op: VolumeConv, memory: dict[str, Memory]) -> ClipEpilogue:
    """The epilogue over the output's frames."""
    conv = op.conv
    return ClipEpilogue(
        memory["y"],
        memory["b"],
        conv.out_channels,
        memory.get("r"),
        conv.low,
        conv.high,
        pixels=conv.pixels,
        pitch=op.out_pitch,
    )


@dataclass(frozen=True)
class Window:
    """Where the taps of an output number begin: frame, row and column of the first one."""

    frame: Expr
    y: Expr
    x: Expr


def window_of(op: VolumeConv, row: Expr) -> Window:
    """The window of an output pixel, which is numbered through all frames."""
    frame = gpu.bind(row // op.conv.pixels * op.step - op.lead)
    return Window(frame, *corner_of(op.conv, gpu.bind(row % op.conv.pixels)))


def exists(op: VolumeConv, frame: Expr, y: Expr, x: Expr) -> Expr | bool:
    """Whether a tap is in the clip and in the picture."""
    pixel = inside(op.conv, y, x)
    if not (op.lead or op.trail):
        return pixel
    conditions = [frame >= 0, frame < op.frames]
    return tirx.all(*conditions, *([] if isinstance(pixel, bool) else [pixel]))


def tap_product(op: VolumeConv, gemm: Gemm, x_memory: Memory) -> Product[Window]:
    """Stages that each belong to one tap."""
    conv = op.conv
    per_tap = gpu.ceil_div(conv.channels, gemm.depth)
    lanes = min(gpu.width_of(conv.channels), gpu.width_of(op.pitch), gpu.width_of(gemm.depth))
    picture = conv.kernel[0] * conv.kernel[1]

    def fetch(registers: Buffer, at: int, window: Window, step: Expr, k: Expr) -> None:
        tap = gpu.bind(step // per_tap)
        frame = gpu.bind(window.frame + tap // picture)
        y = gpu.bind(window.y + tap % picture // conv.kernel[1])
        x = gpu.bind(window.x + tap % conv.kernel[1])
        channel = step % per_tap * gemm.depth + k
        if conv.channels % gemm.depth:
            channel = tirx.min(channel, conv.channels - lanes)
        place = frame * op.pitch + (y * conv.width + x) * conv.channels + channel
        gpu.branch(
            exists(op, frame, y, x),
            lambda: x_memory.load(registers, at, gpu.bind(place), lanes),
            lambda: gpu.fill(registers, at, lanes, 0.0),
        )

    m, steps = op.out_frames * conv.pixels, op.depth * picture * per_tap
    return Product(gemm, m, conv.out_channels, steps, lanes, lambda row: window_of(op, row), fetch)


def flat_product(op: VolumeConv, gemm: Gemm, x_memory: Memory) -> Product[Window]:
    """One run over (kt, ky, kx, c), a number at a time; past its end the weights are zero."""
    conv = op.conv
    line = conv.kernel[1] * conv.channels
    picture = conv.kernel[0] * line

    def fetch(registers: Buffer, at: int, window: Window, step: Expr, k: Expr) -> None:
        place = step * gemm.depth + k
        place = gpu.bind(place if op.taps % gemm.depth == 0 else tirx.min(place, op.taps - 1))
        frame = gpu.bind(window.frame + place // picture)
        y = gpu.bind(window.y + place % picture // line)
        x = gpu.bind(window.x + place % line // conv.channels)
        source = frame * op.pitch + (y * conv.width + x) * conv.channels + place % conv.channels
        gpu.branch(
            exists(op, frame, y, x),
            lambda: x_memory.load(registers, at, gpu.bind(source), 1),
            lambda: gpu.fill(registers, at, 1, 0.0),
        )

    m, steps = op.out_frames * conv.pixels, gpu.ceil_div(op.taps, gemm.depth)
    return Product(gemm, m, conv.out_channels, steps, 1, lambda row: window_of(op, row), fetch)


SCHEDULE = Schedule("volume_conv_gpu", claims, Params.from_machine, schedule, CASES)
