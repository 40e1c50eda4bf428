"""Parts of the 8-bit schedules: packing, panels, and the choice of a register tile by instruction counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...ir.dtype import FLOAT16, FLOAT32, INT8, INT32, Pointer
from ...ir.ops import Conv, QConv
from ...kernels.cpu import builder as tir
from ...kernels.cpu import tiling
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.int8 import ByteSet, Requantise

DTYPES = frozenset({FLOAT16, FLOAT32, INT8, INT32})  # of operands that the schedules read and write
TAIL = 16  # bytes past the end of a tensor that a kernel may read without using them


def pointers(op: Conv, weights: int, channels: int, scratch: int = 0) -> dict[str, Pointer]:
    """The arguments of an 8-bit convolution; channels: of biases and multipliers, padded to vectors."""
    pixels = op.height * op.width
    sizes = {
        "x": (pixels * op.channels, INT8),
        "state": (pixels * op.fold_in, INT8),
        "w": (weights, INT8),
        "b": (channels, INT32),
        "m": (channels, INT32),
        "r": (op.pixels * op.out_channels if op.residual else 0, INT8),
        "y": (op.pixels * op.out_channels, INT8),
        "next": (op.pixels * op.fold_out, INT8),
        "scratch": (scratch, INT8),
    }
    return {name: Pointer(size, dtype) for name, (size, dtype) in sizes.items() if size}


def epilogue(op: QConv, isa: ByteSet, buffers: dict[str, Buffer]) -> Requantise:
    """The epilogue over the argument buffers."""
    conv = op.conv
    return Requantise(
        isa,
        buffers["y"],
        conv.out_channels,
        buffers["m"],
        buffers.get("r"),
        op.share,
        op.r_zero,
        buffers.get("next"),
        conv.fold_out,
    )


@dataclass(frozen=True)
class Params:
    """The register tile of a dense convolution: height, panels, and the instruction set."""

    rows: int
    panels: tiling.Panels
    isa: ByteSet

    @classmethod
    def of(cls, pixels: int, channels: int, length: int, isa: ByteSet) -> Params:
        """The tile with the fewest instructions for a run of `pixels` over a reduction of `length`."""
        return cls(*choose(pixels, channels, length, isa), isa)


def choose(pixels: int, channels: int, length: int, isa: ByteSet) -> tuple[int, tiling.Panels]:
    """The register tile and panels with the least cost for a run of `pixels`."""
    padded = -(-channels // isa.lanes) * isa.lanes
    best: tuple[float, int, tiling.Panels] | None = None
    for width in isa.widths:
        for rows in range(1, 17):
            if not isa.fits(rows, width) or width > padded:
                continue
            panels = tiling.panels_of(padded, width, isa.lanes)
            cost = sum(
                count * isa.cost(height, w, length)
                for count, height in tiling.split_rows(pixels, rows)
                for w in panels.widths
            )
            if best is None or cost < best[0]:
                best = cost, rows, panels
    assert best is not None
    return best[1:]


def pack(weight: np.ndarray, panels: tiling.Panels, lengths: Sequence[int], isa: ByteSet) -> np.ndarray:
    """[parts of k][k][channels] to panels; every part is padded to whole steps, channels to whole vectors.

    weight: [k, channels] int8. lengths: how many rows of k each part has; a part is reduced on its own.
    """
    channels = sum(panels.widths)
    full = np.zeros((weight.shape[0], channels), np.int8)
    full[:, : weight.shape[1]] = weight
    out, start = [], 0
    for width in panels.widths:
        first = 0
        for length in lengths:
            part = full[first : first + length, start : start + width]
            part = np.pad(part, ((0, -length % isa.step), (0, 0)))
            out.append(part_of(part, isa.group))
            first += length
        start += width
    return np.ascontiguousarray(np.concatenate(out))


def part_of(part: np.ndarray, group: int) -> np.ndarray:
    """[k, width] as a tile reads it: [k / group][width][group], or [k / 16][width][16] and a tail of 8."""
    length, width = part.shape
    if group:
        return np.ravel(part.reshape(length // group, group, width).transpose(0, 2, 1))
    whole = length // 16 * 16
    head = part[:whole].reshape(-1, 16, width).transpose(0, 2, 1).ravel()
    return np.concatenate([head, part[whole:].reshape(-1, 8, width).transpose(0, 2, 1).ravel()])


def padded(array: np.ndarray, channels: int) -> np.ndarray:
    """Biases or multipliers, zero-padded to `channels`."""
    return np.ascontiguousarray(np.pad(array, (0, channels - array.size)).astype(np.int32))


def steps_of(length: int, isa: ByteSet) -> int:
    """`length` of k padded to whole steps."""
    return -(-length // isa.step) * isa.step


def for_panels(panels: tiling.Panels, length: int, emit: Callable[[int, Expr, Expr], None]) -> None:
    """Call emit(width, first channel, first weight) for all panels. length: padded k."""
    if panels.full:
        with tir.loop(0, panels.full) as index:
            emit(panels.width, tir.bind(index * panels.width), tir.bind(index * (panels.width * length)))
    start = panels.full * panels.width
    for width in panels.rest:
        emit(width, start, start * length)
        start += width


def exact(panels: tiling.Panels, channels: int) -> tiling.Panels:
    """The panels, with a padded last one in the rest, where its channel is a constant and the padding is not stored."""
    if sum(panels.widths) > channels and not panels.rest:
        return tiling.Panels(panels.width, panels.full - 1, (panels.width,))
    return panels
