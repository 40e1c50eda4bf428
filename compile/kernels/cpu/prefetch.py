"""Software prefetch (x86 only): which cache line each k step of a register tile prefetches.

What is prefetched is up to a schedule (`schedules/cpu/_prefetch.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...ir.dtype import DType
from . import builder as tir
from .builder import Buffer, Expr

LINE_BYTES = 64  # of a cache line, on every core in targets/


@dataclass(frozen=True)
class Prefetch:
    """A range of memory of which every step of a reduction prefetches the line of one element.

    Most steps prefetch the same line as the step before. One prefetch per line would take a nested or an unrolled loop,
    where LLVM holds the weights of two steps in registers and spills accumulators.
    """

    buffer: Buffer
    at: Callable[[Expr], Expr]  # step -> element

    @classmethod
    def run(cls, buffer: Buffer, first: Expr, size: int, steps: int, part: Expr = 0, parts: int = 1) -> Prefetch:
        """Part number `part` of `parts` equal parts of the `size` elements from `first`, spread over `steps` steps."""
        each = -(-size // parts)
        start = tir.bind(first + part * each)
        return cls(buffer, lambda step: start + step * -(-each // steps))

    @classmethod
    def rows(
        cls, buffer: Buffer, first: Expr, pitch: int, width: int, rows: int, steps: int, dtype: DType
    ) -> Prefetch:
        """`width` elements of each of `rows` rows, `pitch` elements apart, from `first`."""
        line = LINE_BYTES // dtype.bytes
        lines, start = -(-width // line), tir.bind(first)
        each = max(1, steps // rows)
        return cls(buffer, lambda step: start + step // each * pitch + step % lines * line)
