"""Choosing tile sizes from a target's facts and a layer's shape; pure arithmetic, no TVM.

The cost model counts cycles of one k step of a register tile: the FMA pipes, the load ports and the FMA latency
each give a bound and the largest one holds. Constants are those of the cores' published optimisation guides, coarse
on purpose: they only have to order a few dozen candidates.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from math import ceil

from ...ir.dtype import FLOAT16, FLOAT32, DType
from ...ir.ops import GlobalPool, Op

#: steps after which a sum is put aside, of numbers that lose too much where thousands are added up one by one
LONGEST_SUM = {FLOAT16: 256}
FMA_LATENCY = 4  # cycles; 4 on Zen 3, Skylake-X, A72 (fmla forwarding) and A76
TRIED = 6  # register tiles that a search by measurement tries, of a few dozen
TILE_OVERHEAD = 12  # cycles: addresses, bias, epilogue and the k loop's prologue, per register tile


@dataclass(frozen=True)
class Machine:
    """What the schedules ask of a target: elements per vector, registers, and rates per cycle.

    lanes are those of `dtype`, the type that is computed in; `computing` gives the machine of another one.
    """

    lanes: int
    registers: int
    fma_per_cycle: float
    loads_per_cycle: float
    half_width_fma: bool  # FMA units are half the vector width; a full-width FMA takes two passes
    broadcasts: bool  # AVX-512: a multiply-add itself broadcasts a number that is in memory
    by_lane: bool  # NEON multiplies by an element of a vector, so k is unrolled by the vector length
    pairs: bool  # whether one instruction loads two neighbouring vectors sooner than two would
    fused: bool  # the code generator needs to be asked for FMAs
    clamp: (
        tuple[str, str] | None
    )  # LLVM's names of vector maximum and minimum; None: compare and select; see tir.clip
    index: str  # integer type of a pointer
    l2_bytes: int
    private_l2: bool  # whether walking an image in quarters, which stay in one core's cache, was seen to pay
    cores: int
    prefetch: bool  # whether asking for weights ahead of their use was seen to pay
    stream: float  # bytes per cycle that all cores together read from memory

    dtype: DType = FLOAT32  # of the accumulators
    dotprod: bool = False  # one instruction adds four products of bytes to each of four sums
    storage: DType = FLOAT32  # how activations, states and weights are stored

    @property
    def biases(self) -> DType:
        """How biases are stored: as the accumulators that begin with them."""
        return self.storage

    plain_loops: bool = True  # an operator without a schedule becomes TVM's own loops

    @property
    def blocks_channels(self) -> bool:
        """Whether values in blocks of channels gain: NEON loads and stores two neighbouring vectors at once."""
        return self.by_lane

    def computing(self, dtype: DType) -> Machine:
        """The machine of kernels that compute in a type: its vectors have so many more or fewer elements."""
        return replace(self, lanes=self.lanes * self.dtype.bytes // dtype.bytes, dtype=dtype)

    def of(self, op: Op) -> Machine:
        """The machine of one operator.

        A mean over the image and what computes float32 from float32, as a classifier after a mean does, is computed in
        float32: these are the longest sums of a network, and the smallest part of its work.
        """
        types = op.types
        wide = isinstance(op, GlobalPool) or (types.x is FLOAT32 and types.y is FLOAT32)
        return self.computing(FLOAT32) if self.dtype is FLOAT16 and wide else self


@dataclass(frozen=True)
class Panels:
    """Output channels cut into panels: `full` panels of `width`, then the widths in `rest`."""

    width: int
    full: int
    rest: tuple[int, ...]

    @property
    def widths(self) -> tuple[int, ...]:
        """All panel widths in channel order."""
        return (self.width,) * self.full + self.rest


def fits(machine: Machine, rows: int, width: int) -> bool:
    """Whether a rows x width tile leaves room for one weight vector per piece and the activations."""
    pieces = ceil(width / machine.lanes)
    # by element: the k-vectors of all rows live as long as the unrolled step; else one broadcast at a time
    held = rows if machine.by_lane else 1
    return rows * pieces + pieces + held <= machine.registers


def piece_lanes(machine: Machine, rows: int, width: int) -> int:
    """Floats of a vector of a rows x width tile: half a vector where the multiply-add units are that narrow.

    FMA units are half the vector width there, and a full-width FMA takes two passes: a width of 24 is three half
    vectors, not one and a half (docs/decisions/007-register-tiles.md).
    """
    half = machine.lanes // 2
    if not machine.half_width_fma or width % machine.lanes != half:
        return machine.lanes
    return half if fits(replace(machine, lanes=half), rows, width) else machine.lanes


def tile_cycles(machine: Machine, rows: int, width: int, length: int) -> float:
    """Modelled cycles of one register tile over a reduction of `length`."""
    lanes = piece_lanes(machine, rows, width)
    pieces, share = ceil(width / lanes), lanes / machine.lanes
    fma = share * rows * pieces / machine.fma_per_cycle
    loads = share * (pieces + (rows / machine.lanes if machine.by_lane else rows)) / machine.loads_per_cycle
    return length * max(fma, loads, FMA_LATENCY) + TILE_OVERHEAD + rows * pieces


def split_rows(total: int, rows: int) -> list[tuple[int, int]]:
    """Cut `total` pixels into tiles of `rows` and `rows - 1`, or `rows` and one tail: [(count, height), ...].

    Two neighbouring heights waste nothing: 49 = 4 x 6 + 5 x 5 where 8 x 6 + 1 would run one nearly empty tile.
    """
    tiles = ceil(total / rows)
    high, short = divmod(total, tiles)
    return [(count, height) for count, height in ((short, high + 1), (tiles - short, high)) if count]


def panels_of(channels: int, width: int, lanes: int) -> Panels:
    """Cut `channels` into panels of `width`; a small remainder is shared with the last full panel."""
    full, rest = divmod(channels, width)
    if rest and rest < width // 2 and full > 1:
        both = width + rest
        first = ceil(both / 2 / lanes) * lanes
        return Panels(width, full - 1, (first, both - first))
    return Panels(width, full, (rest,) if rest else ())


def choose(
    machine: Machine, groups: tuple[tuple[int, int], ...], channels: int, length: int
) -> tuple[int, Panels]:
    """Pick the tile height and the panels for runs of pixels x channels over a reduction of `length`.

    groups: (how many runs, pixels of a run); a tile never crosses a run. A pointwise layer is one run of H * W pixels,
    a k x k convolution H runs of W pixels.
    """
    return best_tile(machine, groups, channels, length)[1:]


def best_tile(
    machine: Machine, groups: tuple[tuple[int, int], ...], channels: int, length: int
) -> tuple[float, int, Panels]:
    """Modelled cycles of one core, tile height and panels of what `choose` picks."""
    return ranked_tiles(machine, groups, channels, length)[0]


@cache
def ranked_tiles(
    machine: Machine, groups: tuple[tuple[int, int], ...], channels: int, length: int
) -> list[tuple[float, int, Panels]]:
    """Modelled cycles, tile height and panels of every candidate, the fastest first."""
    found = []
    for rows, width in candidates(machine, channels):
        panels = panels_of(channels, width, machine.lanes)
        cycles = sum(
            runs * count * tile_cycles(machine, height, w, length)
            for runs, pixels in groups
            for count, height in split_rows(pixels, rows)
            for w in panels.widths
        )
        found.append((cycles, rows, panels))
    return sorted(found, key=lambda one: one[0])


def candidates(machine: Machine, channels: int) -> Iterable[tuple[int, int]]:
    """Tile shapes (rows, width) that fit the register file."""
    for rows in range(1, machine.registers):
        for pieces in range(1, 7):
            width = min(pieces * machine.lanes, channels)
            if fits(machine, rows, width):
                yield rows, width


@dataclass(frozen=True)
class Order:
    """Work items = tiles x panels, walked in blocks of `block` tiles: for block, for panel, for tile in block."""

    tiles: int
    panels: int
    block: int


def order(machine: Machine, tiles: int, panels: int, tile_bytes: int, weight_bytes: int) -> Order:
    """Walk the smaller operand again and again while it is in cache: the activations, the weights, or a block of tiles.

    Where the weights are small enough to be read several times, they are, for every quarter of the tiles: several
    threads then divide the image much as the layers before and after do, and find most of their rows in their own
    second-level cache (docs/decisions/007-register-tiles.md).
    """
    budget = machine.l2_bytes // 2
    if tiles * tile_bytes <= min(budget, weight_bytes):
        quarter = -(-tiles // 4)
        divided = machine.private_l2 and weight_bytes <= budget and quarter >= 4
        return Order(tiles, panels, quarter if divided else tiles)
    if weight_bytes <= budget:
        return Order(tiles, panels, 1)
    return Order(tiles, panels, max(1, min(tiles, budget // max(1, tile_bytes))))
