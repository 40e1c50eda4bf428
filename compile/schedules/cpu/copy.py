"""Copies on a CPU: the first channels of each pixel (a next state without a producer), and 2-D transposes.

The shipped models use neither; networks from ONNX files do.
"""

from __future__ import annotations

from ...ir.dtype import FLOAT16, FLOAT32, INT8
from ...ir.ops import Copy, Op, Transpose
from ...ir.plan import Cycles
from ...kernels.cpu import builder as tir
from ...kernels.cpu import cost
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.tiling import Machine
from .. import cases
from ..pointers import typed
from ..rule import NoParams, Schedule
from ._rule import Kernel

CASES = cases.COPY


def claims(op: Op) -> bool:
    """Both copies."""
    return isinstance(op, (Copy, Transpose))


def schedule(op: Copy | Transpose, params: NoParams, machine: Machine) -> Kernel:
    """Copy: x [pixels, channels] -> y [pixels, fold]. Transpose: x [rows, columns] -> y [columns, rows]."""
    outer, inner, pitch = (
        (op.pixels, op.fold, op.channels) if isinstance(op, Copy) else (op.columns, op.rows, op.columns)
    )
    sizes = {"x": pitch * (op.pixels if isinstance(op, Copy) else op.rows), "y": outer * inner}

    def body(x: Buffer, y: Buffer, begin: Expr, end: Expr) -> None:
        with tir.loop(begin, end) as i:
            if isinstance(op, Copy):
                for offset, lanes in tir.vectors(inner, machine.lanes) if inner <= 64 else ():
                    tir.store(y, i * inner + offset, tir.load(x, i * pitch + offset, lanes), lanes)
                if inner > 64:
                    with tir.loop(0, inner) as j:
                        tir.store(y, i * inner + j, tir.load(x, i * pitch + j, 1), 1)
            else:
                with tir.loop(0, inner) as j:
                    tir.store(y, i * inner + j, tir.load(x, j * pitch + i, 1), 1)

    work = Cycles(cost.moved(outer * inner))
    return Kernel(op, "copy_cpu", typed(sizes, op.types), outer, body, work=work)


DTYPES = frozenset({FLOAT32, FLOAT16, INT8})
SCHEDULE = Schedule("copy_cpu", claims, NoParams.from_machine, schedule, CASES, dtypes=DTYPES)
