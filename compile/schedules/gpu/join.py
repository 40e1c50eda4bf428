"""Concatenation of channel ranges of one or two tensors on a GPU: the input of a lagged stream's convolutions.

One thread moves one element; adjacent threads write adjacent elements.
"""

from __future__ import annotations

from ...ir.ops import Join, Op
from ...kernels.gpu import builder as gpu
from ...kernels.gpu.builder import Expr, Memory
from ...kernels.gpu.tiling import Machine
from .. import cases
from ..pointers import typed
from ..rule import Schedule
from . import _rule

CASES = cases.JOIN


def claims(op: Op) -> bool:
    """Every join."""
    return isinstance(op, Join)


def schedule(op: Join, params: _rule.Params, machine: Machine) -> _rule.Kernel:
    """x [pixels, channels], r [pixels, r_channels] -> y [pixels, count + r_count]."""
    width = op.count + op.r_count
    count = op.pixels * width
    sizes = {"x": op.pixels * op.channels, **({"r": op.pixels * op.r_channels} if op.r_count else {}), "y": count}

    def body(memory: dict[str, Memory], thread: Expr, group: tuple[Expr, Expr, Expr]) -> None:
        value = gpu.registers(1)

        def move(item: Expr) -> None:
            pixel, place = item // width, item % width

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

        params.each(count, thread, group[0], move)

    pointers = typed(sizes, op.types)
    return _rule.Kernel(op, "join_gpu", pointers, params.launch(count), body, instructions=30, parallel=0.25)


SCHEDULE = Schedule("join_gpu", claims, _rule.Params.from_machine, schedule, CASES)
