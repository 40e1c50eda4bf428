"""Tile sizes of CPU kernels from a target's facts and a layer's shape; arithmetic only, no TVM.

The cost model gives the cycles of one k step of a register tile: the largest of the bounds by FMA pipes, load ports and
FMA latency. Its constants are those of the cores' published optimisation guides; they only have to rank a few dozen
candidates.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from math import ceil

from ...ir.dtype import FLOAT16, FLOAT32, DType
from ...ir.ops import (
    Attention,
    Dequantise,
    GlobalPool,
    LayerNorm,
    Op,
    OverlapMean,
    QMean,
    Quantise,
    RegionMax,
    VolumeConv,
)

#: k steps of one partial sum, for types whose precision a running sum of thousands would exhaust
LONGEST_SUM = {FLOAT16: 256}
FMA_LATENCY = 4  # cycles; 4 on Zen 3, Skylake-X, A72 (fmla forwarding) and A76
TRIED = 6  # register tiles that tuning measures, the best of the model
TILE_OVERHEAD = 12  # cycles: addresses, bias, epilogue and the k loop's prologue, per register tile


@dataclass(frozen=True)
class Machine:
    """What CPU schedules read of a target: elements per vector, registers, and rates per cycle.

    lanes are those of `dtype`, the type that is computed in; `computing` gives the machine of another one.
    """

    lanes: int
    registers: int
    fma_per_cycle: float
    loads_per_cycle: float
    half_width_fma: bool  # FMA units are half the vector width; a full-width FMA takes two passes
    broadcasts: bool  # AVX-512: an FMA broadcasts a memory operand by itself
    fma_by_element: bool  # NEON FMLA by element: k is unrolled by the vector length
    paired_loads: bool  # one instruction (LDP) loads two adjacent vectors faster than two do
    fused: bool  # the code generator forms no FMA by itself: call the intrinsic
    clamp: tuple[str, str] | None  # LLVM intrinsics of vector maximum and minimum; None: compare and select
    index: str  # integer type of a pointer
    l2_bytes: int
    private_l2: bool  # each core has its own second-level cache: images are walked in quarters
    cores: int
    prefetch: bool  # software prefetch pays (a fact of the target)
    stream: float  # bytes per cycle that all cores together read from memory
    dtype: DType = FLOAT32  # of the accumulators
    dotprod: bool = False  # SDOT: four products of bytes added to each of four int32 sums
    vnni: bool = False  # vpdpbusd: the same on x86, unsigned by signed
    vector_per_cycle: float = 1.0  # vector instructions on integers
    storage: DType = FLOAT32  # how activations, states and weights are stored

    @property
    def biases(self) -> DType:
        """How biases are stored: as the accumulators that begin with them."""
        return self.storage

    @property
    def converts(self) -> bool:
        """Whether a vector is converted behind every load and before every store, on the pipes that multiply."""
        return self.storage is FLOAT16 and self.dtype is FLOAT32

    plain_loops: bool = True  # an operator without a schedule becomes TVM's own loops

    @property
    def blocks_channels(self) -> bool:
        """Whether values in blocks of channels gain: NEON loads and stores two neighbouring vectors at once."""
        return self.fma_by_element

    def computing(self, dtype: DType) -> Machine:
        """The machine for kernels that compute in `dtype`, with its number of elements per vector."""
        return replace(self, lanes=self.lanes * self.dtype.bytes // dtype.bytes, dtype=dtype)

    def of(self, op: Op) -> Machine:
        """The machine of one operator.

        Global pools, convolutions along time, what is computed of boxes and operators with float32 input and output (a
        classifier after the pool) compute in float32: they have a network's longest sums, or positions in a picture.
        Between 8 bits and floats an operator says it itself.
        """
        if isinstance(op, (Quantise, Dequantise, QMean)):
            return self.computing(op.arithmetic)
        types = op.types
        wide = isinstance(op, (Attention, GlobalPool, VolumeConv, RegionMax, OverlapMean, LayerNorm))
        float32_operands = wide or (types.x is FLOAT32 and types.y is FLOAT32)
        return self.computing(FLOAT32) if self.dtype is FLOAT16 and float32_operands else self


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
    """Whether the accumulators, weight vectors and activations of a rows x width tile fit the register file."""
    pieces = ceil(width / machine.lanes)
    # by element the k vectors of all rows live through the unrolled step; else one broadcast at a time
    activations = rows if machine.fma_by_element else 1
    return rows * pieces + pieces + activations <= machine.registers


def loads(
    machine: Machine, groups: tuple[tuple[int, int], ...], rows: int, panels: Panels, length: int, blocks: bool
) -> float:
    """Instructions that load the operands of register tiles: weights in pairs, and along k a vector of each row.

    blocks: of channels, where the vectors of two rows are loaded in pairs, too.
    """
    return sum(
        runs
        * count
        * length
        * (ceil(width / machine.lanes) / 2 + (ceil(height / 2) if blocks else height) / machine.lanes)
        for runs, pixels in groups
        for count, height in split_rows(pixels, rows)
        for width in panels.widths
    )


def piece_lanes(machine: Machine, rows: int, width: int) -> int:
    """Elements per vector of a rows x width tile: half a vector where the FMA units are that narrow and it pays.

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
    loads = share * (pieces + (rows / machine.lanes if machine.fma_by_element else rows))
    arithmetic = fma + machine.converts * loads / machine.fma_per_cycle
    return length * max(arithmetic, loads / machine.loads_per_cycle, FMA_LATENCY) + TILE_OVERHEAD + rows * pieces


def split_rows(total: int, rows: int) -> list[tuple[int, int]]:
    """Cut `total` pixels into tiles of two adjacent heights, at most `rows`: [(count, height), ...].

    No tile runs nearly empty: 49 = 4 x 6 + 5 x 5 in place of 8 x 6 + 1.
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
    """The tile height and the panels for runs of pixels x channels over a reduction of `length`, by the cost model.

    groups: (how many runs, pixels of a run); a tile never crosses a run. A pointwise layer is one run of H * W pixels,
    a k x k convolution H runs of W pixels.
    """
    return best_tile(machine, groups, channels, length)[1:]


def best_tile(
    machine: Machine, groups: tuple[tuple[int, int], ...], channels: int, length: int
) -> tuple[float, int, Panels]:
    """Modelled cycles on one core, tile height and panels of the choice of `choose`."""
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
    """The walk that re-reads the smaller operand from the L2 cache: activations, weights, or a block of tiles.

    Weights that fit are read once per quarter of the tiles: threads then divide the image as in the layers before and
    after, and find most of their rows in their own second-level cache (docs/decisions/007-register-tiles.md).
    """
    budget = machine.l2_bytes // 2
    if tiles * tile_bytes <= min(budget, weight_bytes):
        quarter = -(-tiles // 4)
        divided = machine.private_l2 and weight_bytes <= budget and quarter >= 4
        return Order(tiles, panels, quarter if divided else tiles)
    if weight_bytes <= budget:
        return Order(tiles, panels, 1)
    return Order(tiles, panels, max(1, min(tiles, budget // max(1, tile_bytes))))
