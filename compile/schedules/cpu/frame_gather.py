"""Chosen frames of a clip one behind the other on a CPU: what an ensemble's members and temporal relations read.

1. A piece of a chosen frame is the unit of work: many elements in a row, vector by vector.
2. Which frame a piece comes from is known when the kernel is written: one case a chosen frame.
"""

from __future__ import annotations

from functools import partial

from ...ir.ops import FrameGather, Op
from ...ir.plan import Cycles
from ...kernels.cpu import builder as tir
from ...kernels.cpu import cost
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.tiling import Machine
from ..pointers import typed
from ..rule import Schedule
from ._pieces import Params
from ._rule import Kernel

CASES = (
    FrameGather(8, 256, (0, 3, 7)),
    FrameGather(5, 19, (4, 1, 1), pitch=32),
    FrameGather(3, 37, (1, 2), pitch=48, out_pitch=64),
    FrameGather(12, 16 * 1024, (0, 2, 4, 6)),
)


def claims(op: Op) -> bool:
    """All of them."""
    return isinstance(op, FrameGather)


def schedule(op: FrameGather, params: Params, machine: Machine) -> Kernel:
    """x [frames, size] -> y [chosen, size]."""
    pieces, count = params.count(op.size), len(op.chosen)
    sizes = {
        "x": (op.frames - 1) * op.pitch + op.size,
        "y": (count - 1) * op.out_pitch + op.size,
    }

    def body(x: Buffer, y: Buffer, begin: Expr, end: Expr) -> None:
        with tir.loop(begin, end) as item:
            place, piece = tir.bind(item // pieces), tir.bind(item % pieces)
            start = tir.bind(piece * params.piece)

            def frame(index: int) -> None:
                source, target = op.chosen[index] * op.pitch + start, index * op.out_pitch + start
                params.copy(op.size, piece, x, tir.bind(source), y, tir.bind(target))

            tir.switch(place, list(range(count)), [partial(frame, index) for index in range(count)])

    work = Cycles(cost.moved(count * op.size))
    return Kernel(op, "frame_gather_cpu", typed(sizes, op.types), count * pieces, body, work=work)


SCHEDULE = Schedule("frame_gather_cpu", claims, Params.from_machine, schedule, CASES)
