"""Copies of bytes into the thread's scratch, in the form that an instruction set multiplies."""

from __future__ import annotations

from dataclasses import dataclass

from ...ir.dtype import INT8
from ...kernels.cpu import builder as tir
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.int8 import ByteSet


@dataclass(frozen=True)
class Scratch:
    """The scratch of a kernel. Places and sizes count activations, of which each takes `isa.wide` bytes."""

    isa: ByteSet
    buffer: Buffer

    def copy(self, source: Buffer, begin: Expr, at: Expr, size: int) -> None:
        """Copy activations."""
        begin, at = tir.bind(begin), tir.bind(at)
        chunk = self.isa.chunk
        whole = size // chunk
        if whole > 4:
            with tir.loop(0, whole) as index:
                self.put(at + index * chunk, tir.load(source, begin + index * chunk, chunk), chunk)
        rest = size - chunk * whole if whole > 4 else size
        for offset, lanes in tir.vectors(rest, chunk):
            place = size - rest + offset
            self.put(at + place, tir.load(source, begin + place, lanes), lanes)

    def splash(self, at: Expr, size: int, value: int) -> None:
        """Fill with one number."""
        chunk = self.isa.chunk
        whole = size // chunk
        if whole > 4:
            with tir.loop(0, whole) as index:
                self.put(at + index * chunk, tir.constant(value, chunk, INT8), chunk)
        rest = size - chunk * whole if whole > 4 else size
        for offset, lanes in tir.vectors(rest, chunk):
            self.put(at + size - rest + offset, tir.constant(value, lanes, INT8), lanes)

    def put(self, at: Expr, value: Expr, lanes: int) -> None:
        """Store a vector of activations."""
        wide = self.isa.wide
        tir.store(self.buffer, at * wide, self.isa.copied(value, lanes), lanes * wide)
