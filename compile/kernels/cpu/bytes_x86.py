"""x86 as an instruction set of 8-bit kernels: vpdpbusd with AVX512-VNNI or AVX-VNNI, else pmaddwd of 16-bit words.

1. vpdpbusd multiplies unsigned by signed bytes: activations are copied with 128 added (their sign bit flipped), and the
   bias starts at -128 * sum of the weights. Its sums wrap and do not saturate, so the result is exact.
2. pmaddubsw saturates two products to 16 bits, which 8-bit weights exceed. Without VNNI, activations are copied as
   16-bit words and weights are widened as they are loaded: pmaddwd, with 32-bit sums, is exact.
3. Depthwise, vpdpbusd sums four taps of a channel: four pixels' bytes are interleaved (punpck), and the sums, which are
   then scattered over the vectors, are in order again when they are packed.
4. A multiplier in Q31 needs 64-bit products: pmuldq of the even and of the odd lanes, rounded, shifted and merged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import ClassVar

import numpy as np
from tvm import tirx

from ...ir.dtype import FLOAT32, INT32, DType
from ...ir.ops import RESIDUAL_BITS
from . import builder as tir
from .builder import Buffer, Expr

DOT = {16: "avx512.vpdpbusd.512", 8: "avx512.vpdpbusd.256", 4: "avx512.vpdpbusd.128"}
PACKS = {
    16: ("avx512.packssdw.512", "avx512.packsswb.512"),
    8: ("avx2.packssdw", "avx2.packsswb"),
    4: ("sse2.packssdw.128", "sse2.packsswb.128"),
}
MADD = {16: "avx512.pmaddw.d.512", 8: "avx2.pmadd.wd", 4: "sse2.pmadd.wd"}
OFFSET = 128
IN_FLIGHT = 3  # registers: a broadcast, the next one that LLVM loads early, a product
LATENCY = 8  # instructions that a multiply-add's latency has room for
EPILOGUE = 12  # instructions that requantise and store a vector of sums
BEYOND = 512.0  # a quotient that saturates with every zero point


@dataclass(frozen=True)
class X86:
    """Vectors of `lanes` int32. vnni: with vpdpbusd."""

    lanes: int
    registers: int
    vnni: bool

    copies: ClassVar[bool] = True
    dot: ClassVar[bool] = True

    @property
    def group(self) -> int:
        """Numbers of k that one 32-bit lane sums."""
        return 4 if self.vnni else 2

    @property
    def step(self) -> int:
        """Numbers of k that weights are padded to."""
        return self.group

    @property
    def wide(self) -> int:
        """Bytes of a copied activation."""
        return 1 if self.vnni else 2

    @property
    def chunk(self) -> int:
        """Activations copied at once."""
        return 4 * self.lanes // self.wide

    @property
    def widths(self) -> tuple[int, ...]:
        """Panel widths worth trying."""
        return tuple(self.lanes * pieces for pieces in range(1, 6))

    def fits(self, rows: int, width: int) -> bool:
        """Whether accumulators, weights and the operands in flight fit the register file."""
        pieces = width // self.lanes
        return rows * pieces + pieces + IN_FLIGHT <= self.registers

    def cost(self, rows: int, width: int, length: int) -> float:
        """Instructions of a register tile, where loads go beside multiplies and a short chain waits for its sums."""
        pieces = width // self.lanes
        multiplies, loads = rows * pieces * (1 if self.vnni else 2), rows + pieces
        inner = ceil(length / self.group) * max(multiplies + loads / 4, loads, LATENCY)
        return inner + rows * pieces * EPILOGUE + 12

    def bias(self, bias: np.ndarray, sums: np.ndarray) -> np.ndarray:
        """The bias less what the offset of the activations adds. sums: of each channel's weights."""
        return (bias - OFFSET * sums.astype(np.int64)).astype(np.int32) if self.vnni else bias

    def copied(self, value: Expr, lanes: int) -> Expr:
        """int8 as a tile reads it: with the sign bit flipped, or as 16-bit words, seen as bytes."""
        if self.vnni:
            return value ^ tir.constant(-OFFSET, lanes, DType.INT8)
        return tirx.reinterpret(f"int8x{2 * lanes}", tirx.Cast(tir.vector_type(DType.INT16, lanes), value))

    def row(self, source: Buffer, at: Expr, lanes: int) -> Callable[[int], Expr]:
        """A function that broadcasts a group of a row's copied activations."""

        def element(group: int) -> Expr:
            word = tirx.reinterpret("int32", tir.load(source, (at + group * self.group) * self.wide, 4))
            return tir.bind(tirx.reinterpret(self.operand, tirx.Broadcast(word, self.lanes)))

        return element

    @property
    def operand(self) -> str:
        """The type of a multiply's operands."""
        return f"int8x{4 * self.lanes}" if self.vnni else f"int16x{2 * self.lanes}"

    def weights(self, source: Buffer, at: Expr) -> Expr:
        """A vector of weights, widened where there is no product of bytes."""
        return tir.bind(tirx.Cast(self.operand, tir.load(source, at, self.group * self.lanes)))

    def multiply(self, total: Expr, weight: Expr, element: Expr) -> Expr:
        """int32 sums plus, in every lane, the sum of a group's products."""
        kind = tir.vector_type(INT32, self.lanes)
        if self.vnni:
            return intrinsic(kind, DOT[self.lanes], total, element, weight)
        return total + intrinsic(kind, MADD[self.lanes], element, weight)

    def requantised(self, total: Expr, multiplier: Expr) -> Expr:
        """total * multiplier in Q31, rounded half up: the product's bits from 31 on."""
        pairs = self.lanes // 2
        low, high = (tirx.Broadcast(tirx.const(bits, "int64"), pairs) for bits in (31, 32))
        total, multiplier = (tir.bind(tirx.reinterpret(f"int64x{pairs}", v)) for v in (total, multiplier))
        half = tirx.Broadcast(tirx.const(1 << 30, "int64"), pairs)
        even = ((total << high) >> high) * ((multiplier << high) >> high) + half
        odd = (total >> high) * (multiplier >> high) + half
        words = [tirx.reinterpret(f"int32x{self.lanes}", v) for v in (even >> low, odd << (high - low))]
        order = [lane if lane % 2 == 0 else self.lanes + lane for lane in range(self.lanes)]
        return tir.bind(tirx.Shuffle(words, order))

    def shared(self, residual: Expr, share: int) -> Expr:
        """Bytes times a 16-bit number."""
        return tirx.Cast(tir.vector_type(INT32, self.lanes), residual) * tir.constant(share, self.lanes, INT32)

    def narrowed(self, values: Sequence[Expr], shift: bool) -> tuple[Expr, int]:
        """int32 vectors saturated to one of bytes, and its lanes. shift: drop the residual's fraction, rounding."""
        parts = []
        for value in values:
            value = self.whole(value) if shift else value
            value = tirx.max(value, tir.constant(-128, self.lanes, INT32))
            value = tirx.min(value, tir.constant(127, self.lanes, INT32))
            parts.append(tirx.Cast(tir.vector_type(DType.INT8, self.lanes), value))
        lanes = self.lanes * len(parts)
        return (tirx.Shuffle(parts, list(range(lanes))) if len(parts) > 1 else parts[0]), lanes

    def whole(self, value: Expr) -> Expr:
        """A value with the residual's fraction, rounded half up."""
        half = tir.constant(1 << (RESIDUAL_BITS - 1), self.lanes, INT32)
        return (value + half) >> tir.constant(RESIDUAL_BITS, self.lanes, INT32)

    def rounded(self, value: Expr, zero: int) -> Expr:
        """float32 rounded half to even, plus zero; a conversion out of range is undefined, so it is clamped before."""
        value = tir.bind(value)
        low, high = (tir.constant(bound, self.lanes) for bound in (-BEYOND, BEYOND))
        value = tirx.Select(value > low, value, low)  # NaN becomes the lower bound
        value = tirx.Select(value < high, value, high)
        kind = tir.vector_type(FLOAT32, self.lanes)
        whole = tirx.call_llvm_pure_intrin(kind, "llvm.rint", value)
        return tirx.Cast(tir.vector_type(INT32, self.lanes), whole) + tir.constant(zero, self.lanes, INT32)

    def sums(self, products: Sequence[tuple[Expr, Expr]], starts: Sequence[Expr], lanes: int) -> list[Expr]:
        """int32 sums of products of bytes, channel by channel. lanes: channels of every operand.

        Two products fit 16 bits, as |x| <= 128 and |w| <= 127.
        """
        totals = [tir.bind(start) for start in starts]
        kind = tir.vector_type(DType.INT16, lanes)
        for index in range(0, len(products), 2):
            pair = None
            for x, w in products[index : index + 2]:
                one = tirx.Cast(kind, x) * tirx.Cast(kind, w)
                pair = one if pair is None else pair + one
            pair = tir.bind(pair)
            for at, total in enumerate(totals):
                first = at * self.lanes
                part = pair if lanes == self.lanes else tirx.Shuffle([pair], list(range(first, first + self.lanes)))
                totals[at] = tir.bind(total + tirx.Cast(tir.vector_type(INT32, self.lanes), part))
        return totals


    def interleaved(self, a: Expr, b: Expr, c: Expr, d: Expr) -> list[Expr]:
        """Four vectors of bytes as four of groups, a byte of each operand; channels in the order `scattered`."""
        size = 4 * self.lanes
        parts = []
        for upper in (False, True):
            left, right = unpacked(a, b, size, 1, upper), unpacked(c, d, size, 1, upper)
            parts += [unpacked(left, right, size, 2, half) for half in (False, True)]
        return parts

    def scattered(self) -> np.ndarray:
        """[4][lanes]: the channels in each vector of `interleaved`, within every 16 bytes four apart."""
        groups = np.arange(4 * self.lanes).reshape(-1, 4, 4)
        return np.concatenate([groups[:, vector].reshape(1, -1) for vector in range(4)])

    def packed(self, values: Sequence[Expr]) -> Expr:
        """Four vectors of int32, scattered, as one of saturated bytes in order."""
        words, whole = PACKS[self.lanes]
        kind = tir.vector_type(DType.INT16, 2 * self.lanes)
        pairs = [intrinsic(kind, words, values[at], values[at + 1]) for at in (0, 2)]
        return tir.bind(intrinsic(tir.vector_type(DType.INT8, 4 * self.lanes), whole, *pairs))


def unpacked(a: Expr, b: Expr, size: int, element: int, upper: bool) -> Expr:
    """Elements of a and b by turns, from one half of every 16 bytes: punpckl and punpckh."""
    order: list[int] = []
    for begin in range(8 if upper else 0, size, 16):
        for at in range(begin, begin + 8, element):
            order += [*range(at, at + element), *range(size + at, size + at + element)]
    return tir.bind(tirx.Shuffle([a, b], order))


def intrinsic(kind: str, name: str, *arguments: Expr) -> Expr:
    """A pure intrinsic of x86."""
    return tirx.call_llvm_pure_intrin(kind, f"llvm.x86.{name}", *arguments)
