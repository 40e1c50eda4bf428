"""Concatenation of channel ranges of one or two tensors on a CPU: the input of a lagged stream's convolutions.

1. A pixel is the unit of work: its channels are contiguous in every tensor.
2. Up to UNROLLED channels of a part are vectors of constant length, more of them a loop.
"""

from __future__ import annotations

from ...ir.ops import Join, Op
from ...ir.plan import Cycles
from ...kernels.cpu import builder as tir
from ...kernels.cpu import cost
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.tiling import Machine
from .. import cases
from ..pointers import typed
from ..rule import NoParams, Schedule
from ._rule import Kernel

UNROLLED = 64
CASES = cases.JOIN


def claims(op: Op) -> bool:
    """Every join."""
    return isinstance(op, Join)


def schedule(op: Join, params: NoParams, machine: Machine) -> Kernel:
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


SCHEDULE = Schedule("join_cpu", claims, NoParams.from_machine, schedule, CASES)
