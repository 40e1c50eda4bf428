"""Requests for memory ahead of its use, one with every step of a register tile's reduction.

What is worth asking for is up to a schedule (`schedules/cpu/_prefetch.py`); here is which line each step asks for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...ir.dtype import DType
from . import builder as tir
from .builder import Buffer, Expr

LINE_BYTES = 64  # of a cache line


@dataclass(frozen=True)
class Ahead:
    """Memory that is needed soon: every step of a reduction asks for the cache line of one element of it.

    Most steps ask for the line that the step before asked for. To ask once a line takes two loops or several steps of
    straight code; LLVM then has the weights of two steps in registers and accumulators in memory.
    """

    buffer: Buffer
    at: Callable[[Expr], Expr]  # step -> element

    @classmethod
    def run(cls, buffer: Buffer, first: Expr, size: int, steps: int, part: Expr = 0, parts: int = 1) -> Ahead:
        """One part of `size` elements from `first`, which so many equal parts ask for together."""
        each = -(-size // parts)
        start = tir.bind(first + part * each)
        return cls(buffer, lambda step: start + step * -(-each // steps))

    @classmethod
    def rows(
        cls, buffer: Buffer, first: Expr, pitch: int, width: int, rows: int, steps: int, dtype: DType
    ) -> Ahead:
        """`width` elements of each of `rows` rows, which are `pitch` apart, from `first`."""
        line = LINE_BYTES // dtype.bytes
        lines, start = -(-width // line), tir.bind(first)
        each = max(1, steps // rows)
        return cls(buffer, lambda step: start + step // each * pitch + step % lines * line)
