"""Max pooling over frames (temporal pooling) on a CPU.

A work item is a vector of an output frame; it reads the same elements in each frame of its window. NaN stays NaN.
"""

from __future__ import annotations

from tvm import tirx

from ...ir.ops import FrameMax, Op
from ...ir.plan import Cycles
from ...kernels.cpu import builder as tir
from ...kernels.cpu import cost
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.tiling import Machine
from ..pointers import typed
from ..rule import NoParams, Schedule
from ._rule import Kernel

CASES = (
    FrameMax(8, 64, pitch=64, out_pitch=64),
    FrameMax(5, 19, pitch=32, out_pitch=48),
    FrameMax(1, 7, pitch=16, out_pitch=16),
    FrameMax(4, 33, 2, 2, 0, pitch=48, out_pitch=48),
    FrameMax(8, 12544, pitch=12544, out_pitch=12544),
)


def claims(op: Op) -> bool:
    """Poolings whose windows all contain a frame."""
    return isinstance(op, FrameMax) and all(op.window(frame) for frame in range(op.out_frames))


def pointers(op: FrameMax) -> dict[str, int]:
    """Elements of x and y, from the first of all frames to the last."""
    return {
        "x": (op.frames - 1) * op.pitch + op.size,
        "y": (op.out_frames - 1) * op.out_pitch + op.size,
    }


def schedule(op: FrameMax, params: NoParams, machine: Machine) -> Kernel:
    """x [frames, size] -> y [out_frames, size]."""
    whole = op.size // machine.lanes
    tail = tir.vectors(op.size - whole * machine.lanes, machine.lanes)
    pieces = whole + len(tail)

    def body(x: Buffer, y: Buffer, begin: Expr, end: Expr) -> None:
        def vector(frame: int, at: Expr, lanes: int) -> None:
            first, *others = op.window(frame)
            best = tir.local(lanes, machine.dtype)
            tir.store(best, 0, tir.load(x, first * op.pitch + at, lanes), lanes)
            for other in others:
                value = tir.bind(tir.load(x, other * op.pitch + at, lanes))
                held = tir.bind(tir.load(best, 0, lanes))
                tir.store(best, 0, tir.larger(held, value, lanes, machine.clamp, machine.dtype), lanes)
            tir.store(y, frame * op.out_pitch + at, tir.load(best, 0, lanes), lanes)

        def pixels(frame: int, low: Expr, high: Expr) -> None:
            with tir.loop(low, high) as item:
                cases = [lambda: vector(frame, item * machine.lanes, machine.lanes)] if whole else []
                cases += [
                    lambda at=whole * machine.lanes + offset, lanes=lanes: vector(frame, at, lanes)  # type: ignore[misc]
                    for offset, lanes in tail
                ]
                bounds = ([0] if whole else []) + [whole + i for i in range(len(tail))]
                tir.switch(item, bounds, cases)

        for frame in range(op.out_frames):
            start = frame * pieces
            pixels(
                frame,
                tir.bind(tirx.min(tirx.max(begin - start, 0), pieces)),
                tir.bind(tirx.min(tirx.max(end - start, 0), pieces)),
            )

    work = Cycles(cost.moved(op.kernel * op.out_frames * op.size))
    return Kernel(op, "frame_max_cpu", typed(pointers(op), op.types), op.out_frames * pieces, body, work=work)


SCHEDULE = Schedule("frame_max_cpu", claims, NoParams.from_machine, schedule, CASES)
