"""Modelled cycles of 8-bit CPU kernels on one core: their vector instructions, by the pipes that take them.

Everything that wants the cost of an 8-bit kernel asks here: the latency model, and the choice of mixed precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from ...ir.ops import Conv
from .tiling import TILE_OVERHEAD, Machine, Panels, split_rows

VECTOR = 16  # bytes of a NEON register, and the channels that depthwise kernels take at once
DOT_LATENCY = 5  # cycles of vpdpbusd; an ARM core hands sums from one sdot to the next in one


@dataclass(frozen=True)
class Mix:
    """Vector instructions of a piece of a kernel.

    dots: multiply-adds that sum within a lane (sdot, vpdpbusd, pmaddwd). multiplies: widening and high products; on ARM
    one pipe takes them, and the other one narrows: saturating narrowings, and additions of neighbours into sums.
    """

    dots: float = 0.0
    multiplies: float = 0.0
    narrows: float = 0.0
    others: float = 0.0
    loads: float = 0.0

    def cycles(self, machine: Machine) -> float:
        """Cycles of the busiest pipe."""
        one = 1.0 if machine.fma_by_element else machine.fma_per_cycle
        together = self.dots + self.multiplies + self.narrows + self.others
        return max(
            self.dots / machine.fma_per_cycle,
            self.multiplies / one,
            self.narrows / one,
            together / machine.vector_per_cycle,
            self.loads / machine.loads_per_cycle,
        )


def words(machine: Machine) -> int:
    """32-bit numbers of a vector, in whichever type the machine computes."""
    return VECTOR // 4 if machine.fma_by_element else machine.lanes


def dense(
    machine: Machine, runs: int, pixels: int, rows: int, panels: Panels, lengths: tuple[int, ...], residual: bool
) -> float:
    """Cycles of `runs` runs of pixels in register tiles. lengths: of a tile's reductions, one by one."""
    return runs * sum(
        count * tile(machine, height, width, lengths, residual)
        for count, height in split_rows(pixels, rows)
        for width in panels.widths
    )


def tile(machine: Machine, rows: int, width: int, lengths: tuple[int, ...], residual: bool) -> float:
    """Cycles of one register tile: its reductions, its epilogue, and what every tile costs."""
    inner = sum(reduction(machine, rows, width, length) for length in lengths)
    return inner + epilogue(machine, rows * width, residual) + TILE_OVERHEAD


def reduction(machine: Machine, rows: int, width: int, length: int) -> float:
    """Cycles of a register tile's sums over `length` bytes."""
    steps = ceil(length / VECTOR)
    if not machine.fma_by_element:
        groups, pieces = ceil(length / (4 if machine.vnni else 2)), ceil(width / machine.lanes)
        # without vpdpbusd sums are added apart, and weights are widened as they are loaded
        others = 0 if machine.vnni else groups * (rows + 1) * pieces
        mix = Mix(dots=groups * rows * pieces, others=others, loads=groups * (rows + pieces))
        return max(mix.cycles(machine), groups * DOT_LATENCY if machine.vnni else 0)
    if machine.dotprod:
        groups = ceil(length / 4)
        return Mix(dots=groups * rows * width / 4, loads=groups * width / 4 + steps * rows).cycles(machine)
    halves = ceil(length / 8)
    mix = Mix(multiplies=halves * rows * width, narrows=steps * rows * width, loads=steps * (rows + width))
    return mix.cycles(machine)


def epilogue(machine: Machine, numbers: float, residual: bool, partial: bool = True) -> float:
    """Cycles of requantising and storing numbers. partial: whether sums without sdot are in four parts."""
    if not machine.fma_by_element:
        # two pmuldq, their shifts, roundings and blend; two clamps, a narrowing and a store
        vectors = numbers / machine.lanes
        own = Mix(multiplies=2 * vectors, others=10 * vectors, loads=vectors)
        more = Mix(multiplies=vectors, others=4 * vectors, loads=vectors)
    else:
        # sqrdmulh, sqxtn and half of the next sqxtn; before that three addp and the bias
        vectors = numbers / 4
        parts = 4 * vectors if partial and not machine.dotprod else 0
        own = Mix(multiplies=vectors, narrows=1.5 * vectors, others=parts, loads=vectors / 4)
        more = Mix(multiplies=vectors, others=2.5 * vectors, loads=vectors / 4)
    return own.cycles(machine) + (more.cycles(machine) if residual else 0.0)


def depthwise(machine: Machine, op: Conv, columns: int) -> float:
    """Cycles of a depthwise convolution in products of two taps, by tiles of `columns` pixels."""
    taps = op.kernel[0] * op.kernel[1]
    pairs = ceil(taps / 2)
    inputs = op.kernel[0] * ((columns - 1) * op.stride[1] + op.kernel[1]) / columns
    if machine.fma_by_element:  # for each eight channels: smull, smlal, saddw and saddw2
        one = Mix(multiplies=2 * taps, others=4 * pairs, loads=inputs + 4 / columns)
    else:  # products and their sums in vectors of words, widened into vectors of sums
        words, sums = max(1.0, 8 / machine.lanes), max(1.0, VECTOR / machine.lanes)
        widened = inputs * words + 2 * pairs * sums
        one = Mix(multiplies=taps * words, others=(pairs * words) + widened, loads=inputs + sums)
    spans = op.pixels * ceil(op.channels / VECTOR)
    written = epilogue(machine, spans * VECTOR, op.residual, partial=False)
    return spans * one.cycles(machine) + written + spans / columns * TILE_OVERHEAD / 2


def depthwise_dot(machine: Machine, op: Conv, columns: int, groups: int, spans: int, channels: int) -> float:
    """Cycles of a depthwise convolution with vpdpbusd. groups: fours of pixels under a kernel row; spans and channels:
    how many pieces the channels have, and their sum with padding."""
    fours = op.kernel[0] * groups
    # four vectors of bytes change their signs and are interleaved by eight shuffles
    one = Mix(dots=4 * fours * columns, others=12 * fours, loads=4 * fours * (1 + columns) + 4)
    tiles = ceil(op.pixels / columns)
    return tiles * spans * (one.cycles(machine) + TILE_OVERHEAD) + epilogue(machine, op.pixels * channels, op.residual)


def copied(machine: Machine, numbers: float) -> float:
    """Cycles of copying bytes into scratch in the form that is multiplied."""
    vectors = numbers * (1 if machine.vnni or machine.fma_by_element else 2) / (4 * words(machine))
    return Mix(others=vectors if not machine.fma_by_element else 0.0, loads=2 * vectors).cycles(machine)


def maxima(machine: Machine, taps: float) -> float:
    """Cycles of a maximum of so many numbers, 16 at a time."""
    return Mix(others=taps / VECTOR, loads=taps / VECTOR).cycles(machine)


def converted(machine: Machine, numbers: float, half: bool) -> float:
    """Cycles of a conversion between bytes and floats. half: float16, twice as many a vector.

    Multiplied, rounded, moved by the zero and narrowed or widened: five instructions a vector of floats.
    """
    vectors = numbers / (words(machine) * (2 if half else 1))
    return Mix(narrows=vectors, others=4 * vectors, loads=vectors).cycles(machine)


def summed(machine: Machine, numbers: float) -> float:
    """Cycles of adding bytes to 32-bit sums, eight channels at a time: loaded, widened, and added by halves."""
    return Mix(others=3 * numbers / 8, loads=numbers / 8).cycles(machine)
