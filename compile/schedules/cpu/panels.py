"""The numbers of a clip in panels on a CPU: what the matrix products of a non-local block read as their weights.

A position is the unit of work. For keys its channels are spread over the rows of one panel, for values each 16 of them
are a row of a panel of their own.
"""

from __future__ import annotations

from ...ir.ops import Op
from ...ir.ops.attention import PANEL, Panels
from ...ir.plan import Cycles
from ...kernels.cpu import builder as tir
from ...kernels.cpu import cost
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.tiling import Machine
from ..pointers import typed
from ..rule import NoParams, Schedule
from ._rule import Kernel

CASES = (
    Panels(3, 7, 24, keys=True),
    Panels(2, 9, 19, keys=True, pitch=192),
    Panels(3, 7, 24, keys=False),
    Panels(2, 9, 32, keys=False, pitch=304),
    Panels(8, 196, 256, keys=True),
)


def claims(op: Op) -> bool:
    """All of them."""
    return isinstance(op, Panels)


def schedule(op: Panels, params: NoParams, machine: Machine) -> Kernel:
    """x [frames, pixels, channels] -> y; see `Panels`."""
    channels = op.channels
    sizes = {"x": (op.frames - 1) * op.pitch + op.pixels * channels, "y": op.size}
    whole, rest = divmod(channels, PANEL)

    def position_of(item: Expr) -> Expr:
        return tir.bind(item // op.pixels * op.pitch + item % op.pixels * channels)

    def key(x: Buffer, y: Buffer, item: Expr) -> None:
        first = tir.bind(item // PANEL * (PANEL * channels) + item % PANEL)

        def copied() -> None:
            source = position_of(item)
            with tir.loop(0, channels) as c:
                tir.store(y, first + c * PANEL, tir.load(x, source + c, 1), 1)

        def padded() -> None:
            with tir.loop(0, channels) as c:
                tir.store(y, first + c * PANEL, tir.constant(0.0, 1, machine.dtype), 1)

        tir.branch(True if op.positions % PANEL == 0 else item < op.positions, copied, padded)

    def value(x: Buffer, y: Buffer, item: Expr) -> None:
        source = position_of(item)

        def row(panel: Expr, count: int) -> None:
            target = tir.bind((panel * op.positions + item) * PANEL)
            for offset, lanes in tir.vectors(count, machine.lanes):
                tir.store(y, target + offset, tir.load(x, source + panel * PANEL + offset, lanes), lanes)
            for column in range(count, PANEL):
                tir.store(y, target + column, tir.constant(0.0, 1, machine.dtype), 1)

        with tir.loop(0, whole) as panel:
            row(panel, PANEL)
        if rest:
            row(whole, rest)

    def body(x: Buffer, y: Buffer, begin: Expr, end: Expr) -> None:
        with tir.loop(begin, end) as item:
            (key if op.keys else value)(x, y, item)

    items = -(-op.positions // PANEL) * PANEL if op.keys else op.positions
    work = Cycles(cost.moved(2 * op.positions * channels))
    return Kernel(op, "panels_cpu", typed(sizes, op.types), items, body, work=work)


SCHEDULE = Schedule("panels_cpu", claims, NoParams.from_machine, schedule, CASES)
