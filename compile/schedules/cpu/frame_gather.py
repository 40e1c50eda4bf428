"""Chosen frames of a clip one behind the other on a CPU: what an ensemble's members and temporal relations read.

1. A piece of a chosen frame is the unit of work: many elements in a row, vector by vector.
2. Which frame a piece comes from is known when the kernel is written: one case a chosen frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ...ir.ops import FrameGather, Op
from ...ir.plan import Cycles
from ...kernels.cpu import builder as tir
from ...kernels.cpu import cost
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.tiling import Machine
from ..pointers import typed
from ..rule import Schedule
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


@dataclass(frozen=True)
class Params:
    """Elements of a piece."""

    piece: int

    @classmethod
    def from_machine(cls, machine: Machine, op: FrameGather) -> Params:
        return cls(machine.lanes * max(1, min(64, op.size // machine.lanes)))


def schedule(op: FrameGather, params: Params, machine: Machine) -> Kernel:
    """x [frames, size] -> y [chosen, size]."""
    whole, rest = divmod(op.size, params.piece)
    pieces = whole + bool(rest)
    count = len(op.chosen)
    sizes = {
        "x": (op.frames - 1) * op.pitch + op.size,
        "y": (count - 1) * op.out_pitch + op.size,
    }

    def copied(x: Buffer, y: Buffer, source: Expr, target: Expr, length: int) -> None:
        vectors = length // machine.lanes
        with tir.loop(0, vectors) as index:
            at = index * machine.lanes
            tir.store(y, target + at, tir.load(x, source + at, machine.lanes), machine.lanes)
        done = vectors * machine.lanes
        for offset, lanes in tir.vectors(length - done, machine.lanes):
            tir.store(y, target + done + offset, tir.load(x, source + done + offset, lanes), lanes)

    def body(x: Buffer, y: Buffer, begin: Expr, end: Expr) -> None:
        with tir.loop(begin, end) as item:
            place, piece = tir.bind(item // pieces), tir.bind(item % pieces)

            def frame(index: int) -> None:
                source = op.chosen[index] * op.pitch + piece * params.piece
                target = index * op.out_pitch + piece * params.piece
                lengths = ([params.piece] if whole else []) + ([rest] if rest else [])
                cases: list[Callable[[], None]] = [
                    partial(copied, x, y, tir.bind(source), tir.bind(target), length) for length in lengths
                ]
                tir.switch(piece, [0, whole][: len(cases)], cases)

            tir.switch(place, list(range(count)), [partial(frame, index) for index in range(count)])

    work = Cycles(cost.moved(count * op.size))
    return Kernel(op, "frame_gather_cpu", typed(sizes, op.types), count * pieces, body, work=work)


SCHEDULE = Schedule("frame_gather_cpu", claims, Params.from_machine, schedule, CASES)
