"""The numbers of a clip in panels on a GPU: what the matrix products of a non-local block read.

One thread writes one number of a panel, zero where the panel is longer than the clip has positions or channels;
adjacent threads write adjacent numbers.
"""

from __future__ import annotations

from tvm import tirx

from ...ir.ops import Op
from ...ir.ops.attention import PANEL, Panels
from ...kernels.gpu import builder as gpu
from ...kernels.gpu.builder import Expr, Memory
from ...kernels.gpu.tiling import Machine
from ..pointers import typed
from ..rule import Schedule
from . import _rule

CASES = (
    Panels(3, 7, 24, keys=True),
    Panels(2, 9, 19, keys=True, pitch=192),
    Panels(3, 7, 24, keys=False),
    Panels(2, 9, 32, keys=False, pitch=304),
    Panels(1, 5, 3, keys=False),
    Panels(8, 196, 256, keys=True),
)


def claims(op: Op) -> bool:
    """All of them."""
    return isinstance(op, Panels)


def schedule(op: Panels, params: _rule.Params, machine: Machine) -> _rule.Kernel:
    """x [frames, pixels, channels] -> y; see `Panels`."""
    rows, columns = (op.channels, op.positions) if op.keys else (op.positions, op.channels)
    sizes = {"x": (op.frames - 1) * op.pitch + op.pixels * op.channels, "y": op.size}

    def body(memory: dict[str, Memory], thread: Expr, group: tuple[Expr, Expr, Expr]) -> None:
        value = gpu.registers(1)

        def move(item: Expr) -> None:
            row = gpu.bind(item // PANEL % rows)
            column = gpu.bind(item // (PANEL * rows) * PANEL + item % PANEL)
            position, channel = (column, row) if op.keys else (row, column)
            source = position // op.pixels * op.pitch + position % op.pixels * op.channels + channel
            gpu.branch(
                columns % PANEL == 0 or column < columns,
                lambda: memory["x"].load(value, 0, gpu.bind(source), 1),
                lambda: gpu.assign(value, 0, tirx.const(0.0, gpu.FLOAT)),
            )
            memory["y"].store(item, value, 0, 1)

        params.each(op.size, thread, group[0], move)

    pointers, launch = typed(sizes, op.types), params.launch(op.size)
    return _rule.Kernel(op, "panels_gpu", pointers, launch, body, instructions=40, parallel=0.25)


SCHEDULE = Schedule("panels_gpu", claims, _rule.Params.from_machine, schedule, CASES)
