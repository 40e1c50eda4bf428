"""Windowed operators on a GPU (depthwise convolution, max pooling): items, input pixels and outputs of a thread."""

from __future__ import annotations

from collections.abc import Callable

from tvm import tirx

from ...ir.ops import Conv
from ...kernels.gpu import builder as gpu
from ...kernels.gpu.builder import Expr, Launch
from ...kernels.gpu.tiling import Window


def launch_of(op: Conv, window: Window) -> Launch:
    """One thread per item."""
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
    """Walk the input pixels of an item, top to bottom and left to right.

    row_starts(row within the windows) is called for each input row, then use(inside, pixel, [(output, tap), ...]) for
    each of its pixels with the outputs whose windows cover it.
    """
    top, left = gpu.bind(y * op.stride[0] - op.pad[0]), gpu.bind(x * op.stride[1] - op.pad[1])
    for in_row in range((window.rows - 1) * op.stride[0] + op.kernel[0]):
        row = gpu.bind(top + in_row)
        # the last item may extend beyond the image, so the bounds are tested with or without padding
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
    """Call `emit(output, pixel)` for the outputs of an item that lie inside the image."""
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
