"""The frames that a stream keeps and its newest one one after the other on a CPU: a network of cached features.

1. A piece of a frame is the unit of work: many elements in a row, vector by vector.
2. All frames but the last come from one tensor, so that there are two cases.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ...ir.ops import FrameJoin, Op
from ...ir.plan import Cycles
from ...kernels.cpu import builder as tir
from ...kernels.cpu import cost
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.tiling import Machine
from .. import cases
from ..pointers import typed
from ..rule import Schedule
from ._rule import Kernel

CASES = cases.FRAME_JOIN


def claims(op: Op) -> bool:
    """Every join of frames that has some of x."""
    return isinstance(op, FrameJoin) and op.begin < op.frames


@dataclass(frozen=True)
class Params:
    """Elements of a piece."""

    piece: int

    @classmethod
    def from_machine(cls, machine: Machine, op: FrameJoin) -> Params:
        return cls(machine.lanes * max(1, min(64, op.size // machine.lanes)))


def schedule(op: FrameJoin, params: Params, machine: Machine) -> Kernel:
    """x [frames, size], r [size] -> y [frames - begin + 1, size]."""
    whole, rest = divmod(op.size, params.piece)
    pieces, last = whole + bool(rest), op.out_frames - 1
    lengths = ([params.piece] if whole else []) + ([rest] if rest else [])
    sizes = {
        "x": (op.frames - 1) * op.pitch + op.size,
        "r": op.size,
        "y": last * op.out_pitch + op.size,
    }

    def copied(x: Buffer, y: Buffer, source: Expr, target: Expr, length: int) -> None:
        vectors = length // machine.lanes
        with tir.loop(0, vectors) as index:
            at = index * machine.lanes
            tir.store(y, target + at, tir.load(x, source + at, machine.lanes), machine.lanes)
        done = vectors * machine.lanes
        for offset, lanes in tir.vectors(length - done, machine.lanes):
            tir.store(y, target + done + offset, tir.load(x, source + done + offset, lanes), lanes)

    def body(x: Buffer, r: Buffer, y: Buffer, begin: Expr, end: Expr) -> None:
        with tir.loop(begin, end) as item:
            place, piece = tir.bind(item // pieces), tir.bind(item % pieces)
            start = tir.bind(piece * params.piece)
            target = tir.bind(place * op.out_pitch + start)

            def frame(tensor: Buffer, at: Expr) -> None:
                source = tir.bind(at + start)
                moves: list[Callable[[], None]] = [
                    partial(copied, tensor, y, source, target, length) for length in lengths
                ]
                tir.switch(piece, [0, whole][: len(moves)], moves)

            tir.switch(
                place, [0, last], [lambda: frame(x, (place + op.begin) * op.pitch), lambda: frame(r, 0)]
            )

    work = Cycles(cost.moved(op.out_frames * op.size))
    return Kernel(op, "frame_join_cpu", typed(sizes, op.types), op.out_frames * pieces, body, work=work)


SCHEDULE = Schedule("frame_join_cpu", claims, Params.from_machine, schedule, CASES)
