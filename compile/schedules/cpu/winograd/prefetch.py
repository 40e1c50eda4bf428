"""Software prefetch of Winograd's convolution: both states, the residual and the output."""

from __future__ import annotations

from collections.abc import Callable

from ....ir.dtype import DType
from ....ir.ops import Conv
from ....kernels.cpu import builder as tir
from ....kernels.cpu.builder import Buffer, Expr
from ....kernels.cpu.prefetch import LINE_BYTES, Prefetch
from ....kernels.cpu.tiling import Machine
from .. import _prefetch
from .._prefetch import Place
from .._rule import Operands, Panel

TILES = 3  # prefetch distance of a state, in tiles (docs/decisions/006-software-prefetch.md)


def prefetch_states(
    op: Conv, m: int, buffers: dict[str, Buffer], place: Callable[[Expr], tuple[Expr, Expr]], tile: Expr
) -> None:
    """Prefetch the part of the state that tile `tile + TILES` is the first to read, and this tile's next state.

    A state was written one frame earlier and has left every cache if the network's weights are larger.
    place: row and column of a tile's corner in the output.
    """
    if op.fold_in:
        y, x = place(tile + TILES)
        overlap = op.kernel[0] - 1
        corner = y - op.pad[0] + overlap, x - op.pad[1] + overlap
        prefetch_square(buffers["state"], (op.width, op.fold_in), corner, m, op.types.state)
    if op.fold_out:
        prefetch_square(buffers["next"], (op.out_width, op.fold_out), place(tile), m, op.types.next)


def prefetch_square(
    state: Buffer, shape: tuple[int, int], corner: tuple[Expr, Expr], size: int, dtype: DType
) -> None:
    """Prefetch size x size pixels of a state from (row, column) `corner`. shape: its width and channels."""
    width, channels = shape
    y, x = corner
    first = tir.bind((y * width + x) * channels)
    for row in range(size):
        for line in range(0, size * channels, LINE_BYTES // dtype.bytes):
            tir.prefetch(state, first + row * width * channels + line)


def output_block(
    op: Conv,
    machine: Machine,
    operands: Operands,
    rows: tuple[Expr, int],
    panel: Panel,
    share: tuple[Expr, int],
) -> list[Prefetch]:
    """One product's share of prefetching the residual and the output of a block and panel.

    rows: first output row of the block, and the number of rows it touches. share: number of the product, and of all.
    """
    first, count = rows
    number, products = share
    pixels = -(-count * op.out_width // products)
    place = Place(tir.bind(first * op.out_width + number * pixels), pixels, panel, 0, 1)
    return _prefetch.own_output(op, machine, operands, place, op.channels)
