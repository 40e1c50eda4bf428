"""NEON as an instruction set of 8-bit kernels: sdot, or smull, smlal2 and sadalp; sqrdmulh and narrowings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import ClassVar

import numpy as np
from tvm import tirx

from ...ir.dtype import INT32, DType
from ...ir.ops import RESIDUAL_BITS
from . import builder as tir
from .builder import Buffer, Expr

PREFIX = "llvm.aarch64.neon."
REGISTERS = 32


@dataclass(frozen=True)
class Neon:
    """Vectors of 16 bytes. dot: with sdot, whose accumulators hold four channels each.

    Otherwise with smull, smlal2 and sadalp: an accumulator holds four partial sums of one channel.
    """

    dot: bool

    lanes: ClassVar[int] = 4
    wide: ClassVar[int] = 1
    chunk: ClassVar[int] = 16
    copies: ClassVar[bool] = False

    @property
    def step(self) -> int:
        """Bytes of k that weights are padded to."""
        return 4 if self.dot else 8

    @property
    def group(self) -> int:
        """Bytes of k that one 32-bit lane sums; 0: a channel's bytes fill vectors of their own."""
        return 4 if self.dot else 0

    @property
    def widths(self) -> tuple[int, ...]:
        """Panel widths worth trying."""
        return (4, 8, 12, 16, 20, 24) if self.dot else (4, 8)

    def fits(self, rows: int, width: int) -> bool:
        """Whether a register tile leaves a register free."""
        used = rows * width // 4 + rows + width // 4 if self.dot else rows * width + rows + 8
        return used < REGISTERS

    def cost(self, rows: int, width: int, length: int) -> float:
        """Instructions of a register tile: multiplies, loads (weights two at a time), epilogue and addresses."""
        steps = ceil(length / 16)
        if self.dot:
            inner = steps * (rows * width + rows + width / 2)
            return inner + rows * (width * 0.9 + 1) + 12
        inner = steps * (3 * rows * width + rows + width / 2)
        return inner + rows * width * 1.7 + 12

    def bias(self, bias: np.ndarray, sums: np.ndarray) -> np.ndarray:
        """The bias as it is: products are signed."""
        return bias

    def copied(self, value: Expr, lanes: int) -> Expr:
        """Bytes as they are."""
        return value

    def row(self, source: Buffer, at: Expr, lanes: int) -> Callable[[int], Expr]:
        """So many bytes of a row in one register; the function gives sdot's operand by element."""
        value = tir.bind(tir.load(source, at, lanes))
        return lambda group: word_of(value, group, lanes)

    def weights(self, source: Buffer, at: Expr) -> Expr:
        """A vector of weights."""
        return tir.bind(tir.load(source, at, 16))

    def multiply(self, total: Expr, weight: Expr, element: Expr) -> Expr:
        """int32x4 + four sums of four products each."""
        return intrinsic("int32x4", "sdot.v4i32.v16i8", total, weight, element)

    def requantised(self, total: Expr, multiplier: Expr) -> Expr:
        """total * multiplier in Q31, rounded half up."""
        return intrinsic("int32x4", "sqrdmulh.v4i32", total, multiplier)

    def shared(self, residual: Expr, share: int) -> Expr:
        """Bytes times a 16-bit number."""
        word = tirx.Cast("int16x4", residual)
        return intrinsic("int32x4", "smull.v4i32", word, tirx.Broadcast(tirx.const(share, "int16"), 4))

    def narrowed(self, values: Sequence[Expr], shift: bool) -> tuple[Expr, int]:
        """int32x4 saturated to one vector of bytes, and its lanes. shift: drop the residual's fraction, rounding."""
        bits = tirx.const(RESIDUAL_BITS, "int32")
        words = [
            intrinsic("int16x4", "sqrshrn.v4i16", value, bits) if shift else intrinsic("int16x4", "sqxtn.v4i16", value)
            for value in values
        ]
        pairs = [
            tirx.Shuffle(words[i : i + 2] if len(words) > 1 else words * 2, list(range(8)))
            for i in range(0, len(words), 2)
        ]
        narrow = [intrinsic("int8x8", "sqxtn.v8i8", pair) for pair in pairs]
        return (tirx.Shuffle(narrow, list(range(16))), 16) if len(narrow) == 2 else (narrow[0], 8)

    def rounded(self, value: Expr, zero: int) -> Expr:
        """float32x4 rounded half to even, plus zero, saturated to int32."""
        number = intrinsic("int32x4", "fcvtns.v4i32.v4f32", value)
        return intrinsic("int32x4", "sqadd.v4i32", number, tir.constant(zero, 4, INT32))

    def sums(self, products: Sequence[tuple[Expr, Expr]], starts: Sequence[Expr], lanes: int) -> list[Expr]:
        """int32x4 sums of products of bytes, channel by channel. lanes: 8 or 16 channels of every operand."""
        totals = [tir.bind(start) for start in starts]
        for part in range(lanes // 8):
            for index in range(0, len(products), 2):
                product = None
                for operands in products[index : index + 2]:
                    one = smull(*((half(v, 16, part == 1) if lanes == 16 else v) for v in operands))
                    product = one if product is None else product + one
                product = tir.bind(product)
                for at in range(2 * part, min(2 * part + 2, len(totals))):
                    added = tirx.Cast("int32x4", half(product, 8, at % 2 == 1))
                    totals[at] = tir.bind(totals[at] + added)
        return totals


def of_halves(values: Sequence[Expr], zero: int) -> tuple[Expr, int]:
    """One or two float16x8 rounded half to even, plus zero, as one vector of saturated bytes, and its lanes."""
    narrow = []
    for value in values:
        number = intrinsic("int16x8", "fcvtns.v8i16.v8f16", value)
        number = intrinsic("int16x8", "sqadd.v8i16", number, tir.constant(zero, 8, DType.INT16))
        narrow.append(intrinsic("int8x8", "sqxtn.v8i8", number))
    return (tirx.Shuffle(narrow, list(range(16))), 16) if len(narrow) == 2 else (narrow[0], 8)


def intrinsic(kind: str, name: str, *arguments: Expr) -> Expr:
    """A pure NEON intrinsic."""
    return tirx.call_llvm_pure_intrin(kind, PREFIX + name, *arguments)


def half(vector: Expr, lanes: int, upper: bool) -> Expr:
    """One half of a vector."""
    begin = lanes // 2 if upper else 0
    return tirx.Shuffle([vector], list(range(begin, begin + lanes // 2)))


def smull(a: Expr, b: Expr) -> Expr:
    """int16x8, the products of int8x8: two of them may be added, as |a| <= 128 and |b| <= 127."""
    return intrinsic("int16x8", "smull.v8i16", a, b)


def sadalp(total: Expr, products: Expr) -> Expr:
    """int32x4 + the sums of adjacent int16."""
    return total + intrinsic("int32x4", "saddlp.v4i32.v8i16", products)


def addp(a: Expr, b: Expr) -> Expr:
    """Pairwise sums of two int32x4."""
    return intrinsic("int32x4", "addp.v4i32", a, b)


def word_of(vector: Expr, index: int, lanes: int) -> Expr:
    """Four bytes of an int8 vector of so many lanes, in every group of an int8x16: sdot's operand by element."""
    if lanes == 4:
        word = tirx.reinterpret("int32", vector)
    else:
        word = tirx.Shuffle([tirx.reinterpret(f"int32x{lanes // 4}", vector)], [index])
    return tirx.reinterpret("int8x16", tirx.Broadcast(word, 4))
