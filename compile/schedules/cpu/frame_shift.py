"""The temporal shift of a clip on a CPU: the shifted channels of all frames.

1. A work item is a pixel of a frame: its shifted channels are contiguous in every tensor.
2. Inner frames share one loop over their pixels; the first and the last have one each, with zeros or the frame that
   replaces the missing one.
3. Up to UNROLLED channels of a part are vectors of constant length, more of them a loop.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tvm import tirx

from ...ir.ops import FrameShift, Op
from ...ir.plan import Cycles
from ...kernels.cpu import builder as tir
from ...kernels.cpu import cost
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.tiling import Machine
from ..pointers import typed
from ..rule import NoParams, Schedule
from ._rule import Kernel

UNROLLED = 64
CASES = (
    FrameShift(8, 15, 24, 3, 3, pitch=368, out_pitch=96),
    FrameShift(3, 4, 16, 0, 2, "hold", pitch=64, out_pitch=16),
    FrameShift(4, 6, 160, 80, 70, "circulant", pitch=960, out_pitch=912),
    FrameShift(1, 1, 8, 1, 1, pitch=16, out_pitch=16),
    FrameShift(2, 5, 19, 2, 2, "circulant", whole=True, pitch=96, out_pitch=96),
    FrameShift(2, 5, 9, 0, 1, whole=True, pitch=48, out_pitch=48),
    FrameShift(8, 784, 64, 8, 8, pitch=50176, out_pitch=12544),
)


def claims(op: Op) -> bool:
    """Every frame shift."""
    return isinstance(op, FrameShift)


def pointers(op: FrameShift) -> dict[str, int]:
    """Elements of x and y, from the first of all frames to the last."""
    behind = op.frames - 1
    return {
        "x": behind * op.pitch + op.pixels * op.channels,
        "y": behind * op.out_pitch + op.pixels * op.width,
    }


def schedule(op: FrameShift, params: NoParams, machine: Machine) -> Kernel:
    """x [frames, pixels, channels] -> y [frames, pixels, width]."""
    rest = op.channels - op.future - op.past if op.whole else 0
    parts = [(count, by) for count, by in ((op.future, 1), (op.past, -1), (rest, 0)) if count]

    def part(y: Buffer, to: Expr, x: Buffer, start: Expr | None, count: int) -> None:
        if count > UNROLLED:
            with tir.loop(0, count) as j:
                value = tir.constant(0.0, 1, machine.dtype) if start is None else tir.load(x, start + j, 1)
                tir.store(y, to + j, value, 1)
            return
        for offset, lanes in tir.vectors(count, machine.lanes):
            zero = tir.constant(0.0, lanes, machine.dtype)
            tir.store(y, to + offset, zero if start is None else tir.load(x, start + offset, lanes), lanes)

    def pixels(x: Buffer, y: Buffer, frame: Expr, begin: Expr, end: Expr) -> None:
        """Pixels of one frame; one whose number is known now may lack a neighbour."""
        with tir.loop(begin, end) as pixel:
            at = 0
            for count, by in parts:
                source = op.source(frame, by) if isinstance(frame, int) and by else frame + by
                start = None if source is None else source * op.pitch + pixel * op.channels + at
                part(y, frame * op.out_pitch + pixel * op.width + at, x, start, count)
                at += count

    def body(x: Buffer, y: Buffer, begin: Expr, end: Expr) -> None:
        first, last = tir.bind(begin // op.pixels), tir.bind((end + (op.pixels - 1)) // op.pixels)
        with tir.loop(first, last) as frame:
            start = tir.bind(frame * op.pixels)
            low, high = tirx.max(begin - start, 0), tirx.min(end - start, op.pixels)
            bounds = tir.bind(low), tir.bind(high)
            numbers = {0: 0, **({1: frame} if op.frames > 2 else {}), op.frames - 1: op.frames - 1}
            cases: list[Callable[[], None]] = [partial(pixels, x, y, at, *bounds) for at in numbers.values()]
            tir.switch(frame, list(numbers), cases)

    work = Cycles(cost.moved(op.frames * op.pixels * op.width))
    return Kernel(
        op, "frame_shift_cpu", typed(pointers(op), op.types), op.frames * op.pixels, body, work=work
    )


SCHEDULE = Schedule("frame_shift_cpu", claims, NoParams.from_machine, schedule, CASES)
