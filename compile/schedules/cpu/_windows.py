"""Windows along an output row: tiles and their borders, taps, and channels of state and x (k x k convolutions, pools).

A kernel row first reads the state's channels of all its taps, which are contiguous, then the rest of x tap by tap; its
weights are packed in that order. The taps are a loop, not unrolled: unrolled, one layer is 21 KB of code, whose time
depends on branch prediction.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
from tvm import tirx

from ...ir.ops import Conv
from ...kernels.cpu import builder as tir
from ...kernels.cpu import tiling
from ...kernels.cpu.builder import Expr


@dataclass(frozen=True)
class XTile:
    """`count` tiles of `rows` pixels along an output row, from output column `start`."""

    start: int
    count: int
    rows: int
    border: bool


def cut_row(op: Conv, rows: int) -> list[XTile]:
    """Cut one output row into tiles: border tiles one by one, inner tiles of equal height in one XTile."""
    cut: list[XTile] = []
    start = 0
    for count, height in tiling.split_rows(op.out_width, rows):
        for _ in range(count):
            border = any(
                not valid(op, start + row, kx) for row in range(height) for kx in range(op.kernel[1])
            )
            last = cut[-1] if cut else None
            if last and not border and not last.border and last.rows == height:
                cut[-1] = XTile(last.start, last.count + 1, height, False)
            else:
                cut.append(XTile(start, 1, height, border))
            start += height
    return cut


def valid(op: Conv, column: int, kx: int) -> bool:
    """Whether tap `kx` of output `column` reads inside the row."""
    return 0 <= column * op.stride[1] + kx - op.pad[1] < op.width


def tap_runs(op: Conv, cut: XTile) -> list[range]:
    """The taps of a kernel row: those inside the image for the whole tile as one run, the others one by one."""
    rows = range(cut.rows)
    whole = [kx for kx in range(op.kernel[1]) if all(valid(op, cut.start + row, kx) for row in rows)]
    run = [range(whole[0], whole[-1] + 1)] if whole else []
    others = (kx for kx in range(op.kernel[1]) if kx not in whole)
    return sorted(run + [range(kx, kx + 1) for kx in others], key=lambda taps: taps.start)


@dataclass(frozen=True)
class Part:
    """`count` channels from `start` of every pixel of a buffer with `pitch` channels.

    weights: first row of the part within a kernel row's packed weights.
    """

    name: str
    start: int
    count: int
    pitch: int
    weights: int


def parts(op: Conv) -> list[Part]:
    """The channels of the state and the rest of x, or all of x."""
    fold, channels = op.fold_in, op.channels
    x = Part("x", fold, channels - fold, channels, op.kernel[1] * fold)
    return [Part("state", 0, fold, fold, 0), x] if fold else [x]


def matrix(op: Conv, weight: np.ndarray) -> np.ndarray:
    """[CO, CI, KH, KW] as [KH * KW * CI, CO] in the order of the reduction: kernel row, part, tap, channel."""
    rows = weight.transpose(2, 3, 1, 0)
    height, _, _, channels = rows.shape
    ordered = [rows[:, :, p.start : p.start + p.count].reshape(height, -1, channels) for p in parts(op)]
    return np.concatenate(ordered, axis=1).reshape(-1, channels)


def vertical_taps(op: Conv, top: Expr) -> AbstractContextManager[Expr]:
    """A loop over the kernel rows inside the image, for the output row whose window starts at input row `top`."""
    if op.pad[0] == 0 and op.pad[2] == 0:
        return tir.loop(0, op.kernel[0])
    return tir.loop(tir.bind(tirx.max(0, -top)), tir.bind(tirx.min(op.kernel[0], op.height - top)))
