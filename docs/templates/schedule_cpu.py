"""Global average pooling on a CPU: an example of a schedule, to copy to `compile/schedules/cpu/NAME.py`.

Pattern: the global mean before a classifier.

1. A work item is one vector of channels, or one of the channels that are left over.
2. Each item walks the pixels once and adds them to one accumulator.
3. The sum is multiplied by 1 / pixels and stored.

The first line says what is computed and how; the pattern says what is claimed; the steps say what a reader of the code
should know before. Figures go to `docs/decisions/`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...ir.ops import GlobalPool, Op
from ...kernels.cpu import builder as tir
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.tiling import Machine
from ..pointers import typed
from ..rule import Schedule
from ._rule import Kernel

#: compared with numpy on every instruction set and timed by `kernel_lab.py --perf`: channels that are no multiple of a
#: vector, the smallest size, and one that is large enough to be timed. Cases that families share: `schedules/cases.py`
CASES = (GlobalPool(3, 5, 19), GlobalPool(1, 1, 4), GlobalPool(7, 7, 1280))


def claims(op: Op) -> bool:
    """Every global mean."""
    return isinstance(op, GlobalPool)


def worthwhile(machine: Machine, op: GlobalPool) -> bool:
    """Where this schedule goes before the general one, which claims every global mean: no vector is full."""
    return op.channels < machine.lanes


@dataclass(frozen=True)
class Params:
    """What the cost model chooses and tuning may vary: the channels of one work item."""

    lanes: int

    @classmethod
    def from_machine(cls, machine: Machine, op: GlobalPool) -> Params:
        return cls(machine.lanes)


def schedule(op: GlobalPool, params: Params, machine: Machine) -> Kernel:
    """x: [pixels, channels]; y: [channels]."""
    pixels, (whole, rest) = op.height * op.width, divmod(op.channels, params.lanes)
    pointers = typed({"x": pixels * op.channels, "y": op.channels}, op.types)

    def body(x: Buffer, y: Buffer, begin: Expr, end: Expr) -> None:
        def mean(channel: Expr, lanes: int) -> None:
            total = tir.local(lanes, machine.dtype)
            tir.store(total, 0, tir.constant(0.0, lanes, machine.dtype), lanes)
            with tir.loop(0, pixels) as pixel:
                value = tir.load(x, pixel * op.channels + channel, lanes)
                tir.store(total, 0, tir.load(total, 0, lanes) + value, lanes)
            share = tir.constant(1.0 / pixels, lanes, machine.dtype)
            tir.store(y, channel, tir.load(total, 0, lanes) * share, lanes)

        with tir.loop(begin, end) as item:
            vectors = (whole, lambda at: mean(at * params.lanes, params.lanes))
            single = (rest, lambda at: mean(whole * params.lanes + at, 1))
            tir.switch_runs(item, [vectors, single])

    return Kernel(op, "example_cpu", pointers, whole + rest, body)


SCHEDULE = Schedule("example_cpu", claims, Params.from_machine, schedule, CASES, worthwhile=worthwhile)
