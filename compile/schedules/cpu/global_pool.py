"""Global average pooling, also over the frames of a clip, on a CPU: one accumulator vector per work item.

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
from .. import cases
from ..pointers import typed
from ..rule import Schedule
from ._rule import Kernel

CASES = cases.GLOBAL_POOL


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
    """x: [frames, pixels, channels], the frames `pitch` apart; y: [channels]."""
    pixels = op.height * op.width
    behind = (op.frames - 1) * op.pitch  # elements of all frames but the last
    whole = op.channels // params.lanes
    tail = tir.vectors(op.channels - whole * params.lanes, params.lanes)
    pointers = typed({"x": behind + pixels * op.channels, "y": op.channels}, op.types)

    def body(x: Buffer, y: Buffer, begin: Expr, end: Expr) -> None:
        def vector(channel: Expr, lanes: int) -> None:
            total = tir.local(lanes, machine.dtype)
            tir.store(total, 0, tir.constant(0.0, lanes, machine.dtype), lanes)

            def add(start: Expr) -> None:
                with tir.loop(0, pixels) as pixel:
                    value = tir.load(x, start + pixel * op.channels + channel, lanes)
                    tir.store(total, 0, tir.load(total, 0, lanes) + value, lanes)

            if op.frames == 1:
                add(0)
            else:
                with tir.loop(0, op.frames) as frame:
                    add(frame * op.pitch)
            share = tir.constant(1.0 / (op.frames * pixels), lanes, machine.dtype)
            tir.store(y, channel, tir.load(total, 0, lanes) * share, lanes)

        with tir.loop(begin, end) as item:
            first = whole * params.lanes
            rest = [(1, lambda at, o=o, n=n: vector(first + o, n)) for o, n in tail]
            tir.switch_runs(item, [(whole, lambda at: vector(at * params.lanes, params.lanes)), *rest])

    work = Cycles(cost.moved(op.frames * pixels * op.channels))
    items = whole + len(tail)
    return Kernel(op, "global_pool_cpu", pointers, items, body, work=work)


SCHEDULE = Schedule("global_pool_cpu", claims, Params.from_machine, schedule, CASES)
