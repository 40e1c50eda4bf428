"""Arithmetic of 8-bit kernels: instruction sets, the register tile of dot products of bytes, and the epilogue.

`compile/quantize/scheme.py` defines the results. A sum is requantised by a Q31 multiplier, rounding half up, and
saturated; a residual is added before that, with 8 fractional bits. `bytes_neon.py` and `bytes_x86.py` have the
instructions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from tvm import tirx

from ...ir.dtype import INT32
from . import builder as tir
from .builder import Buffer, Expr
from .bytes_neon import Neon, addp, half, sadalp, smull
from .bytes_x86 import X86
from .tiling import Machine

STORED = 16  # channels that are narrowed and stored together


class ByteSet(Protocol):
    """What a family of processors computes with bytes."""

    @property
    def lanes(self) -> int:
        """int32 numbers of a vector."""

    @property
    def dot(self) -> bool:
        """Whether a lane sums one channel; else a vector holds partial sums of one."""

    @property
    def group(self) -> int:
        """Numbers of k that a lane sums at once; 0 without `dot`."""

    @property
    def step(self) -> int:
        """Numbers of k that weights are padded to."""

    @property
    def copies(self) -> bool:
        """Whether activations are read from a copy, in the form that `copied` gives."""

    @property
    def wide(self) -> int:
        """Bytes of a copied activation."""

    @property
    def chunk(self) -> int:
        """Activations that are copied at once."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Panel widths worth trying."""

    def fits(self, rows: int, width: int) -> bool:
        """Whether a register tile fits."""

    def cost(self, rows: int, width: int, length: int) -> float:
        """The cost of a register tile over a reduction."""

    def bias(self, bias: np.ndarray, sums: np.ndarray) -> np.ndarray:
        """The bias that sums start with. sums: of each channel's weights."""

    def copied(self, value: Expr, lanes: int) -> Expr:
        """Activations as the copy has them."""

    def row(self, source: Buffer, at: Expr, lanes: int) -> Callable[[int], Expr]:
        """The operands of so many activations of a row, by group."""

    def weights(self, source: Buffer, at: Expr) -> Expr:
        """A vector of weights."""

    def multiply(self, total: Expr, weight: Expr, element: Expr) -> Expr:
        """Sums plus a group's products."""

    def requantised(self, total: Expr, multiplier: Expr) -> Expr:
        """Sums times multipliers in Q31, rounded half up."""

    def shared(self, residual: Expr, share: int) -> Expr:
        """Bytes times a 16-bit number, int32."""

    def narrowed(self, values: Sequence[Expr], shift: bool) -> tuple[Expr, int]:
        """One vector of saturated bytes and its lanes. shift: drop the residual's fraction, rounding half up."""

    def rounded(self, value: Expr, zero: int) -> Expr:
        """float32 to int32, halves to even, plus zero."""

    def sums(self, products: Sequence[tuple[Expr, Expr]], starts: Sequence[Expr], lanes: int) -> list[Expr]:
        """Sums of products of bytes, channel by channel."""


def instructions(machine: Machine) -> ByteSet:
    """The instruction set of a machine."""
    if machine.fma_by_element:
        return Neon(machine.dotprod)
    return X86(machine.lanes, machine.registers, machine.vnni)


@dataclass(frozen=True)
class Requantise:
    """The epilogue of a layer: out and next are int8, multipliers int32 by channel.

    share, r_zero: of the residual, if there is one.
    """

    isa: ByteSet
    out: Buffer
    channels: int  # of a pixel of the output
    multipliers: Buffer
    residual: Buffer | None = None
    share: int = 0
    r_zero: int = 0
    next: Buffer | None = None
    fold: int = 0

    def write(self, totals: Sequence[Expr], pixel: Expr, channel: Expr, kept: int, multipliers: Sequence[Expr]) -> None:
        """Store up to 16 channels: `totals` are vectors of int32 by channel, `kept` how many channels exist."""
        at = tir.bind(pixel * self.channels + channel)
        lanes, values = self.isa.lanes, []
        for index, total in enumerate(totals):
            value = self.isa.requantised(total, multipliers[index])
            if self.residual is not None:
                value = self.added(value, at + lanes * index, kept - lanes * index)
            values.append(value)
        place = 0
        for size in pieces(len(values)):
            self.bytes(values[place : place + size], at + lanes * place, min(lanes * size, kept - lanes * place))
            place += size

    def added(self, value: Expr, at: Expr, kept: int) -> Expr:
        """A value with 8 fractional bits plus the residual, of which `kept` channels exist."""
        lanes = self.isa.lanes
        value = value + self.isa.shared(some(self.residual, at, kept, lanes), self.share)
        return value if self.r_zero == 0 else value - tir.constant(self.r_zero * self.share, lanes, INT32)

    def bytes(self, values: Sequence[Expr], at: Expr, kept: int) -> None:
        """Narrow vectors to bytes and store those that exist."""
        if kept <= 0:
            return
        whole, size = self.isa.narrowed(values, self.residual is not None)
        whole = tir.bind(whole)
        for offset, lanes in tir.vectors(kept, STORED):
            part = whole if lanes == size else shuffled(whole, offset, lanes)
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


def some(buffer: Buffer, at: Expr, kept: int, lanes: int) -> Expr:
    """A vector whose first `kept` elements, at least one, are loaded; the others repeat one of them.

    Fewer than four elements are loaded as four: a tensor's end is padded to that.
    """
    if kept >= lanes or lanes == 4:
        return tir.load(buffer, at, lanes)
    parts, place = [], 0
    order: list[int] = []
    for offset, size in tir.vectors(kept, lanes):
        value = tir.load(buffer, at + offset, size)
        parts.append(value if size > 1 else tirx.Broadcast(value, 2))
        order += range(place, place + size)
        place += max(size, 2)
    while place < lanes:  # a shuffle has no more lanes than its operands
        parts, place = parts * 2, place * 2
    return tirx.Shuffle(parts, order + order[-1:] * (lanes - kept))


def pieces(vectors: int) -> list[int]:
    """Split vectors into fours, twos and ones."""
    found = []
    for size in (4, 2, 1):
        while vectors >= size:
            found.append(size)
            vectors -= size
    return found


@dataclass(frozen=True)
class ByteTile:
    """A register tile of `rows` pixels times `width` output channels (whole vectors) over a reduction of bytes.

    With `isa.dot` accumulators hold a channel a lane, and weights are packed [k / group][width][group]. Otherwise with
    smull, smlal2 and sadalp: an accumulator holds four partial sums of one channel, and weights are packed
    [k / 16][width][16], a tail of 8 as [width][8]. A tail is padded with zero weights; up to 7 bytes behind a row of
    activations are then read and multiplied by zero.
    """

    rows: int
    width: int
    isa: ByteSet

    def accumulators(self, bias: Buffer, channel: Expr) -> Buffer:
        """Allocate the accumulators; with `isa.dot` they start at the bias."""
        lanes = self.isa.lanes
        acc = tir.local(self.rows * self.width * (1 if self.isa.dot else 4), INT32)
        if self.isa.dot:
            starts = [tir.bind(tir.load(bias, channel + at, lanes)) for at in range(0, self.width, lanes)]
            for row in range(self.rows):
                for piece, start in enumerate(starts):
                    tir.store(acc, row * self.width + lanes * piece, start, lanes)
        else:
            for at in range(self.rows * self.width):
                tir.store(acc, 4 * at, tir.constant(0, 4, INT32), 4)
        return acc

    def reduce(
        self, acc: Buffer, source: Buffer, bases: Sequence[Expr], length: int, weights: Buffer, panel: Expr
    ) -> None:
        """acc[row] += source[bases[row] : + length] x weights; length is a multiple of `isa.step`."""
        whole = length // 16
        one = self._dot if self.isa.dot else self._widen
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
        isa = self.isa
        rows = [isa.row(source, base + k, lanes) for base in bases]
        for g in range(lanes // isa.group):
            at = panel + (k + g * isa.group) * self.width
            loaded = [isa.weights(weights, at + isa.group * p) for p in range(0, self.width, isa.lanes)]
            for row, element in enumerate(rows):
                value = element(g)
                for piece, weight in enumerate(loaded):
                    place = row * self.width + isa.lanes * piece
                    total = tir.load(acc, place, isa.lanes)
                    tir.store(acc, place, isa.multiply(total, weight, value), isa.lanes)

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
        """The sums of a row, a vector of channels each."""
        if self.isa.dot:
            lanes = self.isa.lanes
            return [tir.load(acc, row * self.width + at, lanes) for at in range(0, self.width, lanes)]
        found = []
        for at in range(0, self.width, 4):
            a, b, c, d = (tir.load(acc, 4 * (row * self.width + at + i), 4) for i in range(4))
            found.append(addp(addp(a, b), addp(c, d)) + tir.load(bias, channel + at, 4))
        return found

    def finish(
        self, acc: Buffer, epilogue: Requantise, pixels: Sequence[Expr], bias: Buffer, channel: Expr, kept: int
    ) -> None:
        """Requantise and store every row."""
        lanes = self.isa.lanes
        loaded = [tir.bind(tir.load(epilogue.multipliers, channel + at, lanes)) for at in range(0, self.width, lanes)]
        together = STORED // lanes
        for row, pixel in enumerate(pixels):
            totals = self.totals(acc, row, bias, channel)
            for first in range(0, len(totals), together):
                last = min(first + together, len(totals))
                place = lanes * first
                epilogue.write(totals[first:last], pixel, channel + place, kept - place, loaded[first:last])
