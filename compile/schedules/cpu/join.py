"""Concatenation of channel ranges of one or two tensors on a CPU: the input of a lagged stream's convolutions.

1. A pixel is the unit of work: its channels are contiguous in every tensor.
2. Up to UNROLLED channels of a part are vectors of constant length, more of them a loop.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...ir.ops import Join, Op
from ...ir.plan import Cycles
from ...kernels.cpu import builder as tir
from ...kernels.cpu import cost
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.tiling import Machine
from ..rule import Schedule
from ._rule import Kernel, typed

UNROLLED = 64
CASES = (
    Join(15, 24, 3, 3, 3, 0, 3),
    Join(4, 16, 2, 5),
    Join(6, 160, 0, 80, 96, 5, 70),
    Join(1, 8, 0, 1, 2, 1, 1),
    Join(784, 96, 12, 60, 144, 3, 24),
)


def claims(op: Op) -> bool:
    """Every join."""
    return isinstance(op, Join)


@dataclass(frozen=True)
class Params:
    """Nothing to choose."""

    @classmethod
    def from_machine(cls, machine: Machine, op: Op) -> Params:
        return cls()


def schedule(op: Join, params: Params, machine: Machine) -> Kernel:
    """x [pixels, channels], r [pixels, r_channels] -> y [pixels, count + r_count]."""
    width = op.count + op.r_count
    other = {"r": op.pixels * op.r_channels} if op.r_count else {}
    sizes = {"x": op.pixels * op.channels, **other, "y": op.pixels * width}

    def part(y: Buffer, to: Expr, source: Buffer, start: Expr, count: int) -> None:
        if count > UNROLLED:
            with tir.loop(0, count) as j:
                tir.store(y, to + j, tir.load(source, start + j, 1), 1)
            return
        for offset, lanes in tir.vectors(count, machine.lanes):
            tir.store(y, to + offset, tir.load(source, start + offset, lanes), lanes)

    def one(x: Buffer, y: Buffer, begin: Expr, end: Expr) -> None:
        with tir.loop(begin, end) as i:
            part(y, i * width, x, i * op.channels + op.begin, op.count)

    def two(x: Buffer, r: Buffer, y: Buffer, begin: Expr, end: Expr) -> None:
        with tir.loop(begin, end) as i:
            part(y, i * width, x, i * op.channels + op.begin, op.count)
            part(y, i * width + op.count, r, i * op.r_channels + op.r_begin, op.r_count)

    work = Cycles(cost.moved(op.pixels * width))
    return Kernel(op, "join_cpu", typed(sizes, op.types), op.pixels, two if op.r_count else one, work=work)


SCHEDULE = Schedule("join_cpu", claims, Params.from_machine, schedule, CASES)
