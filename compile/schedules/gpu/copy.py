"""Copies on a GPU: the first channels of each pixel (a state without a producer of its own) and 2-D transposes.

Neither is on the path of the shipped models; they serve foreign networks. One thread moves one number.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...ir.ops import Copy, Op, Transpose
from ...kernels.gpu import builder as gpu
from ...kernels.gpu.builder import Expr, Launch, Memory
from ...kernels.gpu.tiling import Machine
from ..rule import Schedule
from . import _rule

CASES = (
    Copy(15, 24, 3),
    Copy(4, 16, 16),
    Copy(784, 64, 8),
    Transpose(15, 7),
    Transpose(160, 320),
    Transpose(3, 64),
)


def claims(op: Op) -> bool:
    """Both copies."""
    return isinstance(op, (Copy, Transpose))


@dataclass(frozen=True)
class Params:
    """Threads of a group."""

    threads: int

    @classmethod
    def from_machine(cls, machine: Machine, op: Op) -> Params:
        return cls(min(64, machine.group_threads))


def schedule(op: Copy | Transpose, params: Params, machine: Machine) -> _rule.Kernel:
    """Copy: x [pixels, channels] -> y [pixels, fold]. Transpose: x [rows, columns] -> y [columns, rows]."""
    count, inner, size = (
        (op.pixels * op.fold, op.fold, op.pixels * op.channels)
        if isinstance(op, Copy)
        else (op.columns * op.rows, op.rows, op.columns * op.rows)
    )

    def body(memory: dict[str, Memory], thread: Expr, group: tuple[Expr, Expr, Expr]) -> None:
        item, value = gpu.bind(group[0] * params.threads + thread), gpu.registers(1)
        outer, place = item // inner, item % inner

        def move() -> None:
            start = outer * op.channels + place if isinstance(op, Copy) else place * op.columns + outer
            memory["x"].load(value, 0, start, 1)
            memory["y"].store(item, value, 0, 1)

        gpu.branch(count % params.threads == 0 or item < count, move)

    launch = Launch((gpu.ceil_div(count, params.threads), 1, 1), params.threads)
    pointers = _rule.typed({"x": size, "y": count}, op.types)
    return _rule.Kernel(op, "copy_gpu", pointers, launch, body, instructions=25, parallel=0.25)


SCHEDULE = Schedule("copy_gpu", claims, Params.from_machine, schedule, CASES)
