"""Max pooling on a CPU: one work item per output row, vectors along the channels. NaN in a window is its maximum.

Taps outside the image are omitted at compile time for the columns (as in the convolution) and by the loop's bounds for
the rows; every window has at least one tap inside. The epilogue writes the next state of a shifted output.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...ir.ops import Conv, MaxPool, Op
from ...ir.plan import Cycles
from ...kernels.cpu import builder as tir
from ...kernels.cpu import cost
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.epilogue import Epilogue, keep, write
from ...kernels.cpu.layout import Layout
from ...kernels.cpu.tiling import Machine
from .. import cases
from ..pointers import max_pool_pointers
from ..rule import Schedule
from ._rule import Kernel
from ._windows import XTile, cut_row, valid, vertical_taps

LOWEST = float("-inf")  # the identity of the maximum, exact in every float type
CASES = cases.MAX_POOL


def claims(op: Op) -> bool:
    """Pools whose windows all touch the image."""
    return isinstance(op, MaxPool) and all(pad < op.kernel[i % 2] for i, pad in enumerate(op.pad))


@dataclass(frozen=True)
class Params:
    """The cut of an output row: single columns, the inner ones in one loop."""

    x_tiles: tuple[XTile, ...]

    @classmethod
    def from_machine(cls, machine: Machine, op: MaxPool) -> Params:
        return cls(tuple(cut_row(op.windows, 1)))


def schedule(op: MaxPool, params: Params, machine: Machine) -> Kernel:
    """x: [height, width, channels]; y: [out_height, out_width, channels]; next: [pixels, fold_out]."""
    conv, pointers = op.windows, max_pool_pointers(op)

    def body(*arguments: Buffer) -> None:
        *tensors, begin, end = arguments
        buffers = dict(zip(pointers, tensors, strict=True))
        with tir.loop(begin, end) as y:
            for cut in params.x_tiles:
                with tir.loop(0, cut.count) as index:
                    column = cut.start if cut.count == 1 else tir.bind(index + cut.start)
                    _pixel(op, conv, cut, machine, buffers, y, column)

    work = Cycles(cost.moved(conv.macs))
    return Kernel(op, "max_pool_cpu", pointers, op.out_height, body, work=work)


def _pixel(
    op: MaxPool, conv: Conv, cut: XTile, machine: Machine, buffers: dict[str, Buffer], y: Expr, column: Expr
) -> None:
    def vector(channel: Expr, lanes: int) -> None:
        _vector(op, conv, cut, machine, buffers, y, column, channel, lanes)

    tir.each_vector(op.channels, machine.lanes, vector)


def _vector(
    op: MaxPool,
    conv: Conv,
    cut: XTile,
    machine: Machine,
    buffers: dict[str, Buffer],
    y: Expr,
    column: Expr,
    channel: Expr,
    lanes: int,
) -> None:
    best = tir.local(lanes, machine.dtype)
    tir.store(best, 0, tir.constant(LOWEST, lanes, machine.dtype), lanes)
    top = tir.bind(y * op.stride[0] - op.pad[0])
    with vertical_taps(conv, top) as ky:
        for kx in range(op.kernel[1]):
            if cut.border and not valid(conv, column, kx):
                continue
            pixel = (top + ky) * op.width + column * op.stride[1] - op.pad[1] + kx
            value = tir.bind(tir.load(buffers["x"], pixel * op.channels + channel, lanes))
            largest = tir.larger(tir.load(best, 0, lanes), value, lanes, machine.clamp, machine.dtype)
            tir.store(best, 0, largest, lanes)
    pixel = y * conv.out_width + column
    layout = Layout.by_pixel(op.channels)
    epilogue = Epilogue(
        buffers["y"], layout, state=buffers.get("next"), fold=op.fold_out, dtype=machine.dtype
    )
    at = pixel * op.channels + channel
    keep(epilogue, write(epilogue, tir.load(best, 0, lanes), at, lanes), at, pixel, channel, lanes)


SCHEDULE = Schedule("max_pool_cpu", claims, Params.from_machine, schedule, CASES)
