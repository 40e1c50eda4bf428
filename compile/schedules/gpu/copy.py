"""Copies on a GPU: the first channels of each pixel (a next state without a producer), and 2-D transposes.

The shipped models use neither; networks from ONNX files do. One thread moves one element.
"""

from __future__ import annotations

from ...ir.ops import Copy, Op, Transpose
from ...kernels.gpu import builder as gpu
from ...kernels.gpu.builder import Expr, Memory
from ...kernels.gpu.tiling import Machine
from .. import cases
from ..pointers import typed
from ..rule import Schedule
from . import _rule

CASES = cases.COPY


def claims(op: Op) -> bool:
    """Both copies."""
    return isinstance(op, (Copy, Transpose))


def schedule(op: Copy | Transpose, params: _rule.Params, machine: Machine) -> _rule.Kernel:
    """Copy: x [pixels, channels] -> y [pixels, fold]. Transpose: x [rows, columns] -> y [columns, rows]."""
    count, inner, size = (
        (op.pixels * op.fold, op.fold, op.pixels * op.channels)
        if isinstance(op, Copy)
        else (op.columns * op.rows, op.rows, op.columns * op.rows)
    )

    def body(memory: dict[str, Memory], thread: Expr, group: tuple[Expr, Expr, Expr]) -> None:
        value = gpu.registers(1)

        def move(item: Expr) -> None:
            outer, place = item // inner, item % inner
            start = outer * op.channels + place if isinstance(op, Copy) else place * op.columns + outer
            memory["x"].load(value, 0, start, 1)
            memory["y"].store(item, value, 0, 1)

        params.each(count, thread, group[0], move)

    pointers = typed({"x": size, "y": count}, op.types)
    return _rule.Kernel(op, "copy_gpu", pointers, params.launch(count), body, instructions=25, parallel=0.25)


SCHEDULE = Schedule("copy_gpu", claims, _rule.Params.from_machine, schedule, CASES)
