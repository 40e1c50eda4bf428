"""Max pooling in 8 bits: quantisation is monotonic, so it is the maximum of the integers; padding never wins.

Vectors of 16 channels; taps inside the image are selected at run time for rows, at compile time for columns.
"""

from __future__ import annotations

from collections.abc import Callable

from tvm import tirx

from ...ir.dtype import INT8, Pointer
from ...ir.ops import MaxPool, Op, QMaxPool
from ...ir.plan import Cycles
from ...kernels.cpu import builder as tir
from ...kernels.cpu import cost_int8, tiling
from ...kernels.cpu.builder import Buffer, Expr
from ..cpu import Kernel
from ..rule import NoParams, Schedule
from . import _rule
from ._borders import Borders, column_runs, runs_of

CASES = (
    QMaxPool(MaxPool(12, 14, 64, (3, 3), (2, 2), (1, 1, 1, 1), 8)),
    QMaxPool(MaxPool(7, 5, 19, (2, 3), (1, 2), (0, 1, 1, 0), 3)),
    QMaxPool(MaxPool(2, 2, 16, (3, 3), (2, 2), (1, 1, 1, 1))),
    QMaxPool(MaxPool(28, 28, 64, (3, 3), (2, 2), (1, 1, 1, 1))),
)


def claims(op: Op) -> bool:
    """Every maximum in 8 bits."""
    return isinstance(op, QMaxPool)


def schedule(op: QMaxPool, params: NoParams, machine: tiling.Machine) -> Kernel:
    """x: [pixels, channels] int8; y, next likewise."""
    pool = op.pool
    pixels = pool.out_height * pool.out_width
    sizes = {
        "x": pool.height * pool.width * pool.channels,
        "y": pixels * pool.channels,
        "next": pixels * pool.fold_out,
    }
    pointers = {name: Pointer(size, INT8) for name, size in sizes.items() if size}
    borders = Borders.of(pool.windows)

    def body(*arguments: Buffer) -> None:
        *tensors, first, last = arguments
        buffers = dict(zip(pointers, tensors, strict=True))
        runs = runs_of(borders.rows)
        with tir.loop(first, last) as y:
            cases: list[Callable[[], None]] = [
                lambda rows=rows: _row(pool, buffers, borders, y, rows)  # type: ignore[misc]
                for _, rows in runs
            ]
            tir.switch(y, [start for start, _ in runs], cases)

    taps = pixels * pool.channels * pool.kernel[0] * pool.kernel[1]
    work = Cycles(cost_int8.maxima(machine, taps))
    return Kernel(op, "max_pool_cpu_int8", pointers, pool.out_height, body, work=work)


def _row(pool: MaxPool, buffers: dict[str, Buffer], borders: Borders, y: Expr, rows: tuple[int, int]) -> None:
    """One output row."""
    for first, columns, count in column_runs(borders.columns):
        with tir.loop(0, count) as index:
            x = tir.bind(index + first)
            pixel = tir.bind(y * pool.out_width + x)
            top, left = y * pool.stride[0] - pool.pad[0], x * pool.stride[1] - pool.pad[1]
            origin = tir.bind((top * pool.width + left) * pool.channels)
            for channel, lanes in tir.vectors(pool.channels, 16):
                best = None
                for ky in range(*rows):
                    for kx in range(*columns):
                        at = origin + (ky * pool.width + kx) * pool.channels + channel
                        value = tir.bind(tir.load(buffers["x"], at, lanes))
                        best = value if best is None else tirx.max(best, value)
                tir.store(buffers["y"], pixel * pool.channels + channel, best, lanes)
            for offset, lanes in tir.vectors(pool.fold_out, 16):
                kept = tir.load(buffers["y"], pixel * pool.channels + offset, lanes)
                tir.store(buffers["next"], pixel * pool.fold_out + offset, kept, lanes)


SCHEDULE = Schedule("max_pool_cpu_int8", claims, NoParams.from_machine, schedule, CASES, dtypes=_rule.DTYPES)
