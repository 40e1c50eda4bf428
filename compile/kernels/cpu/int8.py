"""Arithmetic of 8-bit kernels on NEON: dot products of bytes, and the requantising epilogue.

`compile/quantize/scheme.py` defines the results. A sum is requantised by one sqrdmulh (Q31 multiplier, rounding half
up) and saturating narrowings; a residual is added before the last of them, with 8 fractional bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tvm import tirx

from ...ir.dtype import INT32
from ...ir.ops import RESIDUAL_BITS
from . import builder as tir
from .builder import Buffer, Expr

PREFIX = "llvm.aarch64.neon."


def intrinsic(kind: str, name: str, *arguments: Expr) -> Expr:
    """A pure NEON intrinsic."""
    return tirx.call_llvm_pure_intrin(kind, PREFIX + name, *arguments)


def sdot(total: Expr, a: Expr, b: Expr) -> Expr:
    """int32x4 + four sums of four products each of int8x16."""
    return intrinsic("int32x4", "sdot.v4i32.v16i8", total, a, b)


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


@dataclass(frozen=True)
class Requantise:
    """The epilogue of a layer: out and next are int8, multipliers int32 by channel.

    share, r_zero: of the residual, if there is one.
    """

    out: Buffer
    channels: int  # of a pixel of the output
    multipliers: Buffer
    residual: Buffer | None = None
    share: int = 0
    r_zero: int = 0
    next: Buffer | None = None
    fold: int = 0

    def write(self, totals: Sequence[Expr], pixel: Expr, channel: Expr, kept: int, multipliers: Sequence[Expr]) -> None:
        """Store up to 16 channels: `totals` are int32x4 of four channels each, `kept` how many of them exist."""
        at = tir.bind(pixel * self.channels + channel)
        words = []
        for index, total in enumerate(totals):
            value = intrinsic("int32x4", "sqrdmulh.v4i32", total, multipliers[index])
            if self.residual is not None:
                value = self.added(value, at + 4 * index)
                words.append(intrinsic("int16x4", "sqrshrn.v4i16", value, tirx.const(RESIDUAL_BITS, "int32")))
            else:
                words.append(intrinsic("int16x4", "sqxtn.v4i16", value))
        place = 0
        for size in pieces(len(words)):
            self.bytes(words[place : place + size], at + 4 * place, min(4 * size, kept - 4 * place))
            place += size

    def added(self, value: Expr, at: Expr) -> Expr:
        """A value with 8 fractional bits plus the residual."""
        r = tirx.Cast("int16x4", tir.load(self.residual, at, 4))
        share = tirx.Broadcast(tirx.const(self.share, "int16"), 4)
        value = value + intrinsic("int32x4", "smull.v4i32", r, share)
        return value if self.r_zero == 0 else value - tir.constant(self.r_zero * self.share, 4, INT32)

    def bytes(self, words: Sequence[Expr], at: Expr, kept: int) -> None:
        """Narrow int16x4 vectors to bytes and store those that exist."""
        if kept <= 0:
            return
        pairs = [
            tirx.Shuffle(list(words[i : i + 2]), list(range(8))) if len(words) > 1 else widened(words[0])
            for i in range(0, len(words), 2)
        ]
        narrow = [intrinsic("int8x8", "sqxtn.v8i8", pair) for pair in pairs]
        whole = tirx.Shuffle(narrow, list(range(16))) if len(narrow) == 2 else narrow[0]
        whole = tir.bind(whole)
        offset = 0
        for offset, lanes in tir.vectors(kept, 16):
            part = whole if lanes == 8 * len(narrow) else shuffled(whole, offset, lanes)
            tir.store(self.out, at + offset, part, lanes)

    def keep(self, pixel: Expr) -> None:
        """Copy the first channels of a finished pixel into the next state."""
        if self.next is None:
            return
        for offset, lanes in tir.vectors(self.fold, 16):
            value = tir.load(self.out, pixel * self.channels + offset, lanes)
            tir.store(self.next, pixel * self.fold + offset, value, lanes)


def shuffled(vector: Expr, offset: int, lanes: int) -> Expr:
    """So many lanes of a vector from `offset`."""
    return tirx.Shuffle([vector], list(range(offset, offset + lanes)))


def widened(word: Expr) -> Expr:
    """An int16x4 twice."""
    return tirx.Shuffle([word, word], list(range(8)))


def pieces(vectors: int) -> list[int]:
    """Split vectors of four channels into fours, twos and ones."""
    found = []
    for size in (4, 2, 1):
        while vectors >= size:
            found.append(size)
            vectors -= size
    return found


@dataclass(frozen=True)
class ByteTile:
    """A register tile of `rows` pixels times `width` output channels (a multiple of 4) over a reduction of bytes.

    dot: with sdot, whose accumulators hold four channels each; weights are packed [k / 4][width][4]. Otherwise with
    smull, smlal2 and sadalp: an accumulator holds four partial sums of one channel, and weights are packed
    [k / 16][width][16], a tail of 8 as [width][8]. A tail is padded with zero weights; up to 7 bytes behind a row of
    activations are then read and multiplied by zero.
    """

    rows: int
    width: int
    dot: bool

    @property
    def step(self) -> int:
        """Bytes of k that weights are padded to."""
        return 4 if self.dot else 8

    def accumulators(self, bias: Buffer, channel: Expr) -> Buffer:
        """Allocate the accumulators; of sdot they start at the bias."""
        acc = tir.local(self.rows * self.width * (1 if self.dot else 4), INT32)
        if self.dot:
            starts = [tir.bind(tir.load(bias, channel + at, 4)) for at in range(0, self.width, 4)]
            for row in range(self.rows):
                for piece, start in enumerate(starts):
                    tir.store(acc, row * self.width + 4 * piece, start, 4)
        else:
            for at in range(self.rows * self.width):
                tir.store(acc, 4 * at, tir.constant(0, 4, INT32), 4)
        return acc

    def reduce(
        self, acc: Buffer, source: Buffer, bases: Sequence[Expr], length: int, weights: Buffer, panel: Expr
    ) -> None:
        """acc[row] += source[bases[row] : + length] x weights; length is a multiple of `step`."""
        whole = length // 16
        one = self._dot if self.dot else self._widen
        if whole == 1:
            one(acc, source, bases, 0, 16, weights, panel)
        elif whole:
            with tir.loop(0, whole) as k:
                one(acc, source, bases, k * 16, 16, weights, panel)
        rest = length - 16 * whole
        for offset, lanes in tir.vectors(rest, 8):
            one(acc, source, bases, 16 * whole + offset, lanes, weights, panel)

    def _dot(
        self, acc: Buffer, source: Buffer, bases: Sequence[Expr], k: Expr, lanes: int, weights: Buffer, panel: Expr
    ) -> None:
        values = [tir.bind(tir.load(source, base + k, lanes)) for base in bases]
        for g in range(lanes // 4):
            at = panel + k * self.width + g * 4 * self.width
            loaded = [tir.bind(tir.load(weights, at + 4 * p, 16)) for p in range(0, self.width, 4)]
            for row, value in enumerate(values):
                element = word_of(value, g, lanes)
                for piece, weight in enumerate(loaded):
                    place = row * self.width + 4 * piece
                    tir.store(acc, place, sdot(tir.load(acc, place, 4), weight, element), 4)

    def _widen(
        self, acc: Buffer, source: Buffer, bases: Sequence[Expr], k: Expr, lanes: int, weights: Buffer, panel: Expr
    ) -> None:
        values = [tir.bind(tir.load(source, base + k, lanes)) for base in bases]
        for channel in range(self.width):
            weight = tir.bind(tir.load(weights, panel + k * self.width + channel * lanes, lanes))
            for row, value in enumerate(values):
                if lanes == 16:
                    products = smull(half(value, 16, False), half(weight, 16, False))
                    products = products + smull(half(value, 16, True), half(weight, 16, True))
                else:
                    products = smull(value, weight)
                place = 4 * (row * self.width + channel)
                tir.store(acc, place, sadalp(tir.load(acc, place, 4), products), 4)

    def totals(self, acc: Buffer, row: int, bias: Buffer, channel: Expr) -> list[Expr]:
        """The sums of a row, four channels each."""
        if self.dot:
            return [tir.load(acc, row * self.width + at, 4) for at in range(0, self.width, 4)]
        found = []
        for at in range(0, self.width, 4):
            a, b, c, d = (tir.load(acc, 4 * (row * self.width + at + i), 4) for i in range(4))
            found.append(addp(addp(a, b), addp(c, d)) + tir.load(bias, channel + at, 4))
        return found

    def finish(
        self, acc: Buffer, epilogue: Requantise, pixels: Sequence[Expr], bias: Buffer, channel: Expr, kept: int
    ) -> None:
        """Requantise and store every row."""
        loaded = [tir.bind(tir.load(epilogue.multipliers, channel + at, 4)) for at in range(0, self.width, 4)]
        for row, pixel in enumerate(pixels):
            totals = self.totals(acc, row, bias, channel)
            for first in range(0, len(totals), 4):
                last = min(first + 4, len(totals))
                epilogue.write(
                    totals[first:last], pixel, channel + 4 * first, kept - 4 * first, loaded[first:last]
                )


def word_of(vector: Expr, index: int, lanes: int) -> Expr:
    """Four bytes of an int8 vector of so many lanes, in every group of an int8x16: sdot's operand by element."""
    if lanes == 4:
        word = tirx.reinterpret("int32", vector)
    else:
        word = tirx.Shuffle([tirx.reinterpret(f"int32x{lanes // 4}", vector)], [index])
    return tirx.reinterpret("int8x16", tirx.Broadcast(word, 4))
