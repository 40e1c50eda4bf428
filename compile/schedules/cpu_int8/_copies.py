"""Copies of bytes into the thread's scratch, in the form that an instruction set multiplies."""

from __future__ import annotations

from dataclasses import dataclass

from ...ir.dtype import INT8
from ...kernels.cpu import builder as tir
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.int8 import ByteSet

UNROLLED = 4  # chunks that are copied without a loop


@dataclass(frozen=True)
class Scratch:
    """The scratch of a kernel. Places and sizes count activations, of which each takes `isa.wide` bytes."""

    isa: ByteSet
    buffer: Buffer

    def copy(self, source: Buffer, begin: Expr, at: Expr, size: int) -> None:
        """Copy activations."""
        begin, at = tir.bind(begin), tir.bind(at)

        def chunk(place: Expr, lanes: int) -> None:
            self.put(at + place, tir.load(source, begin + place, lanes), lanes)

        tir.each_vector(size, self.isa.chunk, chunk, UNROLLED)

    def splash(self, at: Expr, size: int, value: int) -> None:
        """Fill with one number."""
        def chunk(place: Expr, lanes: int) -> None:
            self.put(at + place, tir.constant(value, lanes, INT8), lanes)

        tir.each_vector(size, self.isa.chunk, chunk, UNROLLED)

    def put(self, at: Expr, value: Expr, lanes: int) -> None:
        """Store a vector of activations."""
        wide = self.isa.wide
        tir.store(self.buffer, at * wide, self.isa.copied(value, lanes), lanes * wide)
