"""Output rows of a depthwise convolution in 8 bits: which taps exist, and the tiles along a row."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from ...ir.ops import QConv
from ...kernels.cpu import builder as tir
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.int8 import ByteSet
from . import _rule
from ._borders import Borders, column_runs, runs_of


@dataclass(frozen=True)
class Rows(ABC):
    """The statements of output rows. columns: pixels of a tile."""

    op: QConv
    isa: ByteSet
    columns: int
    buffers: dict[str, Buffer]

    def emit(self, y: Expr) -> None:
        """Row y, by the set of kernel rows that it has."""
        runs = runs_of(Borders.of(self.op.conv).rows)
        cases: list[Callable[[], None]] = [lambda taps=taps: self.row(y, taps) for _, taps in runs]  # type: ignore[misc]
        tir.switch(y, [first for first, _ in runs], cases)
        epilogue = _rule.epilogue(self.op, self.isa, self.buffers)
        if epilogue.next is not None:
            with tir.loop(0, self.op.conv.out_width) as x:
                epilogue.keep(tir.bind(y * self.op.conv.out_width + x))

    @abstractmethod
    def row(self, y: Expr, taps: tuple[int, int]) -> None:
        """All channels of a row."""

    def along(self, tile: Callable[[tuple[int, int], Expr, int], None]) -> None:
        """Call tile(kernel columns inside the image, first pixel, pixels) for all tiles of a row."""
        for first, columns, count in column_runs(Borders.of(self.op.conv).columns):
            size = self.columns if count >= self.columns else 1
            tiles = count // size
            if tiles > 1:
                with tir.loop(0, tiles) as index:
                    tile(columns, tir.bind(index * size + first), size)
            else:
                tile(columns, first, size)
            for rest in range(first + tiles * size, first + count):
                tile(columns, rest, 1)

    def origin(self, y: Expr, x: Expr, channel: Expr) -> Expr:
        """Where the first tap of an output pixel lies in x."""
        conv = self.op.conv
        top, left = y * conv.stride[0] - conv.pad[0], x * conv.stride[1] - conv.pad[1]
        return tir.bind((top * conv.width + left) * conv.channels + channel)
