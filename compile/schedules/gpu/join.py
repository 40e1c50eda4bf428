"""Channels of one tensor, or of two behind each other, on a GPU: what the shifts of a lagged stream read.

One thread moves one number; threads beside each other write numbers beside each other.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...ir.ops import Join, Op
from ...kernels.gpu import builder as gpu
from ...kernels.gpu.builder import Expr, Launch, Memory
from ...kernels.gpu.tiling import Machine
from ..rule import Schedule
from . import _rule

CASES = (
    Join(15, 24, 3, 3, 3, 0, 3),
    Join(4, 16, 2, 5),
    Join(6, 160, 0, 80, 96, 5, 70),
    Join(1, 8, 0, 1, 2, 1, 1),
    Join(784, 96, 12, 60, 144, 3, 24),
)


def claims(op: Op) -> bool:
    """All of them."""
    return isinstance(op, Join)


@dataclass(frozen=True)
class Params:
    """Threads of a group."""

    threads: int

    @classmethod
    def from_machine(cls, machine: Machine, op: Op) -> Params:
        return cls(min(64, machine.group_threads))


def schedule(op: Join, params: Params, machine: Machine) -> _rule.Kernel:
    """x [pixels, channels], r [pixels, r_channels] -> y [pixels, count + r_count]."""
    width = op.count + op.r_count
    count = op.pixels * width
    sizes = {"x": op.pixels * op.channels, **({"r": op.pixels * op.r_channels} if op.r_count else {}), "y": count}

    def body(memory: dict[str, Memory], thread: Expr, group: tuple[Expr, Expr, Expr]) -> None:
        item, value = gpu.bind(group[0] * params.threads + thread), gpu.registers(1)
        pixel, place = item // width, item % width

        def move() -> None:
            def first() -> None:
                memory["x"].load(value, 0, pixel * op.channels + op.begin + place, 1)

            def second() -> None:
                memory["r"].load(value, 0, pixel * op.r_channels + op.r_begin + place - op.count, 1)

            if op.r_count:
                gpu.branch(place < op.count, first)
                gpu.branch(place >= op.count, second)
            else:
                first()
            memory["y"].store(item, value, 0, 1)

        gpu.branch(count % params.threads == 0 or item < count, move)

    launch = Launch((gpu.ceil_div(count, params.threads), 1, 1), params.threads)
    return _rule.Kernel(op, "join_gpu", _rule.typed(sizes, op.types), launch, body, instructions=30, parallel=0.25)


SCHEDULE = Schedule("join_gpu", claims, Params.from_machine, schedule, CASES)
