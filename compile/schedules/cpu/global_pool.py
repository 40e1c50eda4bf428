"""Global average pooling on a CPU: vectors along the channels, one accumulator vector per work item.

A work item is one vector of channels; it walks the pixels once. The last, narrower vectors are items of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...ir.ops import GlobalPool, Op
from ...ir.plan import Cycles
from ...kernels.cpu import builder as tir
from ...kernels.cpu import cost
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.tiling import Machine
from ..rule import Schedule
from ._rule import Kernel, typed

CASES = (GlobalPool(7, 7, 1280), GlobalPool(3, 5, 19), GlobalPool(1, 1, 4))


def claims(op: Op) -> bool:
    """Every global mean."""
    return isinstance(op, GlobalPool)


@dataclass(frozen=True)
class Params:
    """Channels of one work item."""

    lanes: int

    @classmethod
    def from_machine(cls, machine: Machine, op: GlobalPool) -> Params:
        return cls(machine.lanes)


def schedule(op: GlobalPool, params: Params, machine: Machine) -> Kernel:
    """x: [pixels, channels]; y: [channels]."""
    pixels = op.height * op.width
    whole = op.channels // params.lanes
    tail = tir.vectors(op.channels - whole * params.lanes, params.lanes)
    pointers = typed({"x": pixels * op.channels, "y": op.channels}, op.types)

    def body(x: Buffer, y: Buffer, begin: Expr, end: Expr) -> None:
        def vector(channel: Expr, lanes: int) -> None:
            total = tir.local(lanes, machine.dtype)
            tir.store(total, 0, tir.constant(0.0, lanes, machine.dtype), lanes)
            with tir.loop(0, pixels) as pixel:
                value = tir.load(x, pixel * op.channels + channel, lanes)
                tir.store(total, 0, tir.load(total, 0, lanes) + value, lanes)
            share = tir.constant(1.0 / pixels, lanes, machine.dtype)
            tir.store(y, channel, tir.load(total, 0, lanes) * share, lanes)

        with tir.loop(begin, end) as item:
            first = whole * params.lanes
            cases = [lambda: vector(item * params.lanes, params.lanes)] if whole else []
            cases += [lambda o=offset, n=lanes: vector(first + o, n) for offset, lanes in tail]  # type: ignore[misc]
            bounds = ([0] if whole else []) + [whole + i for i in range(len(tail))]
            tir.switch(item, bounds, cases)

    work = Cycles(cost.moved(pixels * op.channels))
    items = whole + len(tail)
    return Kernel(op, "global_pool_cpu", pointers, items, body, work=work)


SCHEDULE = Schedule("global_pool_cpu", claims, Params.from_machine, schedule, CASES)
