"""Depthwise convolution on a GPU: one filter per channel, bound by memory.

Pattern: groups == channels, any kernel, stride and padding, no shift on its input.

1. A thread computes `rows` x `columns` outputs of `lanes` channels. Neighbouring threads take neighbouring channels, so
   that a wave reads and writes whole cache lines.
2. Input rows are walked once; each input vector is loaded once and used for every output of the thread whose window
   holds it. What lies outside the image is zero.
3. The weights, packed [tap][C], are read one kernel row at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tvm import tirx

from ...ir.ops import Conv, Op
from ...kernels.gpu import builder as gpu
from ...kernels.gpu import tiling
from ...kernels.gpu.builder import Buffer, Expr, Launch, Memory
from ...kernels.gpu.tiling import Machine, Window
from .. import cases
from ..pointers import conv_pointers
from ..rule import Schedule
from . import _rule

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


def launch_of(op: Conv, window: Window) -> Launch:
    """One thread for each item."""
    return Launch((gpu.ceil_div(window.items(op), window.threads), 1, 1), window.threads)


def each_item(
    op: Conv, window: Window, thread: Expr, group: Expr, emit: Callable[[Expr, Expr, Expr], None]
) -> None:
    """Call `emit(first output row, first output column, first channel)` for the thread's item."""
    vectors = op.channels // window.lanes
    across = gpu.ceil_div(op.out_width, window.columns)
    item = gpu.bind(group * window.threads + thread)

    def place() -> None:
        y = gpu.bind(item // (vectors * across) * window.rows)
        x = gpu.bind(item // vectors % across * window.columns)
        emit(y, x, gpu.bind(item % vectors * window.lanes))

    gpu.branch(window.items(op) % window.threads == 0 or item < window.items(op), place)


def each_input(
    op: Conv,
    window: Window,
    y: Expr,
    x: Expr,
    row_starts: Callable[[int], None],
    use: Callable[[Expr | bool, Expr, list[tuple[int, int]]], None],
) -> None:
    """Walk the input pixels of an item.

    row_starts(ky of the first output row) is called for each input row; use(inside, pixel, [(output, kx)]) for each
    pixel with the outputs of this row that it belongs to, once for every output row.
    """
    top, left = gpu.bind(y * op.stride[0] - op.pad[0]), gpu.bind(x * op.stride[1] - op.pad[1])
    for in_row in range((window.rows - 1) * op.stride[0] + op.kernel[0]):
        row = gpu.bind(top + in_row)
        # a last item may hang over the edge, so the bounds are tested with or without padding
        row_inside = tirx.And(row >= 0, row < op.height)
        row_starts(in_row)
        for in_column in range((window.columns - 1) * op.stride[1] + op.kernel[1]):
            uses = [
                (
                    r * window.columns + c,
                    (in_row - r * op.stride[0]) * op.kernel[1] + in_column - c * op.stride[1],
                )
                for r in range(window.rows)
                for c in range(window.columns)
                if 0 <= in_row - r * op.stride[0] < op.kernel[0]
                and 0 <= in_column - c * op.stride[1] < op.kernel[1]
            ]
            if uses:
                column = gpu.bind(left + in_column)
                inside = tirx.all(row_inside, column >= 0, column < op.width)
                use(inside, gpu.bind(row * op.width + column), uses)


def each_output(op: Conv, window: Window, y: Expr, x: Expr, emit: Callable[[int, Expr], None]) -> None:
    """Call `emit(output, its pixel)` for the outputs of an item that exist."""
    for r in range(window.rows):
        for c in range(window.columns):
            conditions = []
            if op.out_height % window.rows:
                conditions.append(y + r < op.out_height)
            if op.out_width % window.columns:
                conditions.append(x + c < op.out_width)
            pixel = (y + r) * op.out_width + x + c
            gpu.branch(
                tirx.all(*conditions) if conditions else True,
                lambda r=r, c=c, pixel=pixel: emit(r * window.columns + c, gpu.bind(pixel)),  # type: ignore[misc]
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

__all__ = ["Buffer", "each_input", "each_item", "each_output", "launch_of"]
