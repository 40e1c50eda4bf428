"""Depthwise convolution on a GPU: one filter per channel, bound by memory.

Pattern: groups == channels, any kernel, stride and padding, no shift on its input.

1. A thread computes `rows` x `columns` outputs of `lanes` channels. Adjacent threads take adjacent channels, so that a
   wave reads and writes whole cache lines.
2. Each input vector is loaded once and used for every output of the thread whose window covers it. Elements outside the
   image are zero.
3. The weights, packed [tap][C], are read one kernel row at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...ir.ops import Conv, Op
from ...kernels.gpu import builder as gpu
from ...kernels.gpu import tiling
from ...kernels.gpu.builder import Expr, Memory
from ...kernels.gpu.tiling import Machine, Window
from .. import cases
from ..pointers import conv_pointers
from ..rule import Schedule
from . import _rule
from ._windows import each_input, each_item, each_output, launch_of

CASES = cases.DEPTHWISE


def claims(op: Op) -> bool:
    """Every depthwise convolution without a shift on its input."""
    return isinstance(op, Conv) and op.depthwise and not op.fold_in


@dataclass(frozen=True)
class Params:
    """The cut of the output."""

    window: Window

    @classmethod
    def from_machine(cls, machine: Machine, op: Conv) -> Params:
        return cls(tiling.choose_window(machine, op, gpu.width_of(op.channels)))


def schedule(
    op: Conv, params: Params, machine: Machine, weight: np.ndarray, bias: np.ndarray
) -> _rule.Kernel:
    """weight: [C, 1, KH, KW]; bias: [C]."""
    packed = weight.reshape(op.channels, -1).T.astype(op.types.w.numpy).ravel()
    window = params.window

    def body(memory: dict[str, Memory], thread: Expr, group: tuple[Expr, Expr, Expr]) -> None:
        def work(y: Expr, x: Expr, channel: Expr) -> None:
            _outputs(op, window, memory, y, x, channel)

        each_item(op, window, thread, group[0], work)

    return _rule.Kernel(
        op,
        "depthwise_gpu",
        conv_pointers(op, packed.size, op.channels),
        launch_of(op, window),
        body,
        constants={"w": np.ascontiguousarray(packed), "b": bias.astype(np.float32)},
        note=window.note,
        instructions=tiling.window_instructions(op, window, machine.convert),
        parallel=tiling.WINDOW_PARALLEL,
    )


def _outputs(op: Conv, window: Window, memory: dict[str, Memory], y: Expr, x: Expr, channel: Expr) -> None:
    lanes, taps = window.lanes, op.kernel[0] * op.kernel[1]
    sums = gpu.registers(window.rows * window.columns * lanes)
    gpu.fill(sums, 0, window.rows * window.columns * lanes, 0.0)
    weights, value = gpu.registers(taps * lanes), gpu.registers(lanes)
    loaded: set[int] = set()

    def weights_of(in_row: int) -> None:
        for r in range(window.rows):
            ky = in_row - r * op.stride[0]
            if 0 <= ky < op.kernel[0] and ky not in loaded:
                loaded.add(ky)
                for tap in range(ky * op.kernel[1], (ky + 1) * op.kernel[1]):
                    memory["w"].load(weights, tap * lanes, tap * op.channels + channel, lanes)

    def multiply(inside: Expr | bool, pixel: Expr, uses: list[tuple[int, int]]) -> None:
        gpu.branch(
            inside,
            lambda: memory["x"].load(value, 0, pixel * op.channels + channel, lanes),
            lambda: gpu.fill(value, 0, lanes, 0.0),
        )
        for output, tap in uses:
            for lane in range(lanes):
                at = output * lanes + lane
                gpu.assign(sums, at, sums[at] + value[lane] * weights[tap * lanes + lane])

    each_input(op, window, y, x, weights_of, multiply)
    epilogue = _rule.epilogue(op, memory)

    def write(output: int, pixel: Expr) -> None:
        epilogue.write(sums, output * lanes, pixel, channel, lanes)

    each_output(op, window, y, x, write)


SCHEDULE = Schedule("depthwise_gpu", claims, Params.from_machine, schedule, CASES)
