"""Frames that are copied in pieces of many vectors; a piece is the unit of work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ...ir.ops import FrameGather, FrameJoin
from ...kernels.cpu import builder as tir
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.tiling import Machine


@dataclass(frozen=True)
class Params:
    """Elements of a piece, and of a vector."""

    piece: int
    lanes: int

    @classmethod
    def from_machine(cls, machine: Machine, op: FrameGather | FrameJoin) -> Params:
        return cls(machine.lanes * max(1, min(64, op.size // machine.lanes)), machine.lanes)

    def count(self, size: int) -> int:
        """Pieces of a frame of `size` elements, the last of which may be shorter."""
        return -(-size // self.piece)

    def copy(self, size: int, piece: Expr, x: Buffer, source: Expr, y: Buffer, target: Expr) -> None:
        """Copy one piece of a frame of `size` elements; source, target: where the piece begins in x and y."""
        whole, rest = divmod(size, self.piece)
        lengths = ([self.piece] if whole else []) + ([rest] if rest else [])
        moves: list[Callable[[], None]] = [partial(self._move, x, source, y, target, length) for length in lengths]
        tir.switch(piece, [0, whole][: len(moves)], moves)

    def _move(self, x: Buffer, source: Expr, y: Buffer, target: Expr, length: int) -> None:
        def vector(at: Expr, lanes: int) -> None:
            tir.store(y, target + at, tir.load(x, source + at, lanes), lanes)

        tir.each_vector(length, self.lanes, vector)
