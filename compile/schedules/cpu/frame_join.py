"""The frames that a stream keeps and its newest one one after the other on a CPU: a network of cached features.

1. A piece of a frame is the unit of work: many elements in a row, vector by vector.
2. All frames but the last come from one tensor, so that there are two cases.
"""

from __future__ import annotations

from ...ir.ops import FrameJoin, Op
from ...ir.plan import Cycles
from ...kernels.cpu import builder as tir
from ...kernels.cpu import cost
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.tiling import Machine
from .. import cases
from ..pointers import typed
from ..rule import Schedule
from ._pieces import Params
from ._rule import Kernel

CASES = cases.FRAME_JOIN


def claims(op: Op) -> bool:
    """Every join of frames that has some of x."""
    return isinstance(op, FrameJoin) and op.begin < op.frames


def schedule(op: FrameJoin, params: Params, machine: Machine) -> Kernel:
    """x [frames, size], r [size] -> y [frames - begin + 1, size]."""
    pieces, last = params.count(op.size), op.out_frames - 1
    sizes = {
        "x": (op.frames - 1) * op.pitch + op.size,
        "r": op.size,
        "y": last * op.out_pitch + op.size,
    }

    def body(x: Buffer, r: Buffer, y: Buffer, begin: Expr, end: Expr) -> None:
        with tir.loop(begin, end) as item:
            place, piece = tir.bind(item // pieces), tir.bind(item % pieces)
            start = tir.bind(piece * params.piece)
            target = tir.bind(place * op.out_pitch + start)

            def frame(tensor: Buffer, at: Expr) -> None:
                params.copy(op.size, piece, tensor, tir.bind(at + start), y, target)

            tir.switch(
                place, [0, last], [lambda: frame(x, (place + op.begin) * op.pitch), lambda: frame(r, 0)]
            )

    work = Cycles(cost.moved(op.out_frames * op.size))
    return Kernel(op, "frame_join_cpu", typed(sizes, op.types), op.out_frames * pieces, body, work=work)


SCHEDULE = Schedule("frame_join_cpu", claims, Params.from_machine, schedule, CASES)
