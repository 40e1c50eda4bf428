"""Max pooling on a GPU: the walk of the depthwise schedule with a maximum in place of products.

Taps outside the image are skipped; every window has at least one tap inside. Also writes the next state of a shifted
output.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...ir.ops import MaxPool, Op
from ...kernels.gpu import builder as gpu
from ...kernels.gpu import operands, tiling
from ...kernels.gpu.builder import Expr, Memory
from ...kernels.gpu.tiling import Machine, Window
from .. import cases
from ..pointers import max_pool_pointers
from ..rule import Schedule
from . import _rule
from ._windows import each_input, each_item, each_output, launch_of

CASES = cases.MAX_POOL


def claims(op: Op) -> bool:
    """Pools whose windows all touch the image."""
    return isinstance(op, MaxPool) and all(pad < op.kernel[i % 2] for i, pad in enumerate(op.pad))


@dataclass(frozen=True)
class Params:
    """The cut of the output."""

    window: Window

    @classmethod
    def from_machine(cls, machine: Machine, op: MaxPool) -> Params:
        return cls(tiling.choose_window(machine, op.windows, gpu.width_of(op.channels)))


def schedule(op: MaxPool, params: Params, machine: Machine) -> _rule.Kernel:
    """x: [height, width, channels]; y: [out_height, out_width, channels]; next: [pixels, fold_out]."""
    conv, window = op.windows, params.window
    pointers, lanes = max_pool_pointers(op), window.lanes

    def body(memory: dict[str, Memory], thread: Expr, group: tuple[Expr, Expr, Expr]) -> None:
        def work(y: Expr, x: Expr, channel: Expr) -> None:
            best, value = gpu.registers(window.rows * window.columns * lanes), gpu.registers(lanes)
            for index in range(window.rows * window.columns * lanes):
                gpu.assign(best, index, gpu.lowest())

            def larger(inside: Expr | bool, pixel: Expr, uses: list[tuple[int, int]]) -> None:
                def take() -> None:
                    memory["x"].load(value, 0, pixel * op.channels + channel, lanes)
                    for output, _ in uses:
                        for lane in range(lanes):
                            at = output * lanes + lane
                            gpu.assign(best, at, gpu.larger(best[at], value[lane]))

                gpu.branch(inside, take)

            def write(output: int, pixel: Expr) -> None:
                memory["y"].store(pixel * op.channels + channel, best, output * lanes, lanes)
                if op.fold_out:
                    operands.write_state(
                        memory["next"], op.fold_out, best, output * lanes, pixel, channel, lanes
                    )

            each_input(conv, window, y, x, lambda row: None, larger)
            each_output(conv, window, y, x, write)

        each_item(conv, window, thread, group[0], work)

    return _rule.Kernel(
        op,
        "max_pool_gpu",
        pointers,
        launch_of(conv, window),
        body,
        note=window.note,
        instructions=tiling.window_instructions(conv, window, machine.convert),
        parallel=tiling.WINDOW_PARALLEL,
    )


SCHEDULE = Schedule("max_pool_gpu", claims, Params.from_machine, schedule, CASES)
