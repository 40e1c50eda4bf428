"""The register tile: `rows` pixels times `width` output channels, accumulated in registers over a reduction.

All convolutions with a dense reduction (pointwise, stem, k x k, classifier) are this tile under different loops.
The packed weight panel of a tile is `[k][width]`, so one k step loads `width` contiguous weights and multiplies them
with one activation per row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tvm import tirx

from ...ir.dtype import FLOAT32, DType
from . import builder as tir
from .builder import Buffer, Expr
from .epilogue import Epilogue, keep, write
from .layout import blocked
from .prefetch import Ahead
from .tiling import FMA_LATENCY

UNROLLED = 9  # reductions up to this length are straight code: a row of a 3x3 stem, the head of a shifted tap


@dataclass(frozen=True)
class Tile:
    """rows x width accumulators made of vectors of at most `lanes` floats, and the reductions that add to them.

    A vector of accumulators is `lanes` output channels of one pixel.
    """

    rows: int
    width: int
    lanes: int
    by_lane: bool  # load activations as vectors along k and multiply by element (NEON)
    fused: bool  # ask for the FMA by name
    registers: int  # of the machine
    dtype: DType = FLOAT32  # of the accumulators
    longest: int = 0  # steps after which a sum is put aside; 0: never

    @property
    def chains(self) -> int:
        """Accumulators of one number: so few multiply-adds as a tile of one pixel has would wait for each other."""
        return self.lanes if self.by_lane and self.rows * -(-self.width // self.lanes) <= FMA_LATENCY else 1

    def accumulators(self, bias: Buffer, channel: Expr, copies: int = 1, pixel: Expr = 0) -> Buffer:
        """Allocate the accumulators and start them at the bias of `channel`...

        copies: how often every vector of the bias stands in memory; with as many as rows, NEON loads two accumulators
        at once where it else would copy one register to each. pixel: of the tile, for each loads the bias anew.
        """
        acc = self._cleared(1)
        first = channel * copies + (tir.opaque_zero(pixel) if copies > 1 else 0)
        for offset, lanes in tir.vectors(self.width, self.lanes):
            start = tir.bind(tir.load(bias, channel + offset, lanes)) if copies == 1 else None
            for row in range(self.rows):
                at = first + offset * copies + row * lanes
                value = tir.load(bias, at, lanes) if start is None else start
                tir.store(acc, row * self.width + offset, value, lanes)
        return acc

    def zeros(self) -> Buffer:
        """Allocate the accumulators and start them at zero."""
        return self._cleared(0)

    def _cleared(self, first: int) -> Buffer:
        """Allocate the accumulators; the chains from `first` on start at zero."""
        acc = tir.local(self.rows * self.width * self.chains, self.dtype)
        for row in range(first * self.rows, self.chains * self.rows):
            for offset, lanes in tir.vectors(self.width, self.lanes):
                tir.store(acc, row * self.width + offset, tir.constant(0.0, lanes, self.dtype), lanes)
        return acc

    def total(self, acc: Buffer, at: int, lanes: int) -> Expr:
        """Accumulators `at`..., all chains together."""
        size = self.rows * self.width
        return sum(
            (tir.load(acc, at + chain * size, lanes) for chain in range(1, self.chains)),
            start=tir.load(acc, at, lanes),
        )

    def store(self, acc: Buffer, target: Buffer, base: Expr) -> None:
        """Store the sums as they are, rows one after the other from element `base`."""
        for row in range(self.rows):
            for offset, lanes in tir.vectors(self.width, self.lanes):
                at = row * self.width + offset
                tir.store(target, base + at, self.total(acc, at, lanes), lanes)

    def finish(
        self,
        acc: Buffer,
        epilogue: Epilogue,
        pixels: Sequence[Expr],
        channel: Expr,
        kept: int | None = None,
    ) -> None:
        """Apply the epilogue to every row and store; `pixels[row]` is the output pixel, `channel` the first channel.

        kept: how many channels to store; None stands for all.
        """
        layout = epilogue.layout
        bases = [tir.bind(layout.at(pixel, channel)) for pixel in pixels]
        places = [
            (row, piece) for row in range(self.rows) for piece in tir.vectors(kept or self.width, self.lanes)
        ]
        hop = layout.channel_step
        if blocked(hop):
            places.sort(key=lambda place: place[1])  # neighbours in memory one after the other
            if self.by_lane and isinstance(hop, int) and self.rows > 1:
                hop = tir.opaque(hop)  # an address for every block, and stores in pairs from there
        copies = []
        for row, (offset, lanes) in places:
            at = bases[row] + offset * hop
            value = write(epilogue, self.total(acc, row * self.width + offset, lanes), at, lanes)
            copies.append((value, at, pixels[row], channel + offset, lanes))
            if not self.by_lane:
                keep(epilogue, *copies.pop())
        # Tests between the stores would keep them from becoming pairs.
        for copy in copies:
            keep(epilogue, *copy)

    def shared(self, fold: int, channels: int, hop: Expr) -> int:
        """How many of the state's `fold` channels lie in the vector in which the rest of `channels` begins.

        A block begins with them; NEON loads that vector as a whole, and multiplies by the elements behind them.
        """
        skip = fold % self.lanes
        return skip if (self.by_lane or blocked(hop)) and channels - fold >= self.lanes - skip else 0

    def reduce(
        self,
        acc: Buffer,
        source: Buffer,
        bases: Sequence[Expr | None],
        length: int,
        weights: Buffer,
        panel: Expr,
        hop: Expr = 1,
        ahead: Sequence[Ahead] = (),
        skip: int = 0,
    ) -> None:
        """acc[row] += source[bases[row] : + length] x weights[panel : + length * width]; a None base skips its row.

        hop: the channel step of the source's layout. ahead: what the steps of the loop ask for. skip: with vectors
        along k, how many numbers of the first one, which then stands at the base, belong to somebody else.
        """
        if all(base is None for base in bases) or length == 0:
            return
        step = self.lanes if self.by_lane or blocked(hop) else 1
        if skip:
            self._step(acc, source, bases, 0, step, weights, panel - skip * self.width, hop, skip)
            bases = [None if base is None else base + step * hop for base in bases]
            length, panel = length - (step - skip), panel + (step - skip) * self.width
        whole = length // step
        together = self._together(whole, hop)
        short = length <= UNROLLED and not self.by_lane
        looped = 0 if short and (self.two_steps_fit or length == 1) else whole
        if looped:
            if self.by_lane and isinstance(hop, int) and blocked(hop):
                hop = tir.opaque(hop)
            rounds = looped // together
            # LLVM turns a few rounds into straight code, and then moves all loads to its head.
            hidden = self.by_lane and rounds == 2 and looped * step == length

            def round_of(k: Expr) -> None:
                for one in ahead:
                    tir.prefetch(one.buffer, one.at(k))
                for part in range(together):
                    self._step(acc, source, bases, (k * together + part) * step, step, weights, panel, hop)

            if self.longest and length > 2 * self.longest:
                self._in_parts(acc, rounds, -(-length // self.longest), round_of)
            else:
                with tir.loop(0, tir.opaque(rounds) if hidden or short else rounds) as k:
                    round_of(k)
        for k in range(looped, whole):
            self._step(acc, source, bases, k * step, step, weights, panel, hop)
        for offset, lanes in tir.vectors(length - whole * step, step):
            self._step(acc, source, bases, whole * step + offset, lanes, weights, panel, hop)

    def _in_parts(self, acc: Buffer, rounds: int, parts: int, emit: Callable[[Expr], None]) -> None:
        """The rounds of a long reduction in so many sums of their own, which are added to each other.

        A sum of n numbers that is rounded at every step errs in proportion to n. In parts of a length c that is
        about c / n + 1 / c of it, for four instructions a part and accumulator.
        """
        size = self.rows * self.width * self.chains
        aside, zero = tir.local(size, self.dtype), tir.opaque(0)  # the index keeps them in memory, off the registers
        pieces = [
            (row * self.width + offset, lanes)
            for row in range(self.rows * self.chains)
            for offset, lanes in tir.vectors(self.width, self.lanes)
        ]
        for at, lanes in pieces:
            tir.store(aside, zero + at, tir.load(acc, at, lanes), lanes)
        each = -(-rounds // parts)
        with tir.loop(0, -(-rounds // each)) as part:
            for at, lanes in pieces:
                tir.store(acc, at, tir.constant(0.0, lanes, self.dtype), lanes)
            first = tir.bind(part * each)
            with tir.loop(first, tir.bind(tirx.min(first + each, rounds))) as k:
                emit(k)
            for at, lanes in pieces:
                total = tir.load(aside, zero + at, lanes) + tir.load(acc, at, lanes)
                tir.store(aside, zero + at, total, lanes)
        for at, lanes in pieces:
            tir.store(acc, at, tir.load(aside, zero + at, lanes), lanes)

    @property
    def two_steps_fit(self) -> bool:
        """Whether straight code of several steps, whose weights LLVM loads early, keeps all accumulators in registers.

        With spills the time of a kernel differs from process to process, since store-to-load forwarding is predicted by
        the two instructions' addresses (docs/decisions/006-software-prefetch.md).
        """
        pieces = -(-self.width // self.lanes)
        return (self.rows + 2) * pieces + 1 <= self.registers

    def _together(self, steps: int, hop: Expr) -> int:
        """Steps of one round of the loop: LLVM unrolls the scalar form by itself; by element we do.

        More save the loop's own instructions. By pixel LLVM then loads two vectors of a row at once, and twice the
        rows must fit beside the accumulators. Code beside the loop makes the register allocator spill, so an odd count
        stays single.
        """
        if not self.by_lane:
            return 1
        pieces = -(-self.width // self.lanes)
        roomy = blocked(hop) or self.rows * (pieces + 2) + 2 <= self.registers
        fits = [count for count in (4, 3, 2, 5) if steps % count == 0 and steps // count > 1]
        return next((count for count in fits if roomy or count == 2), 1)

    def _step(
        self,
        acc: Buffer,
        source: Buffer,
        bases: Sequence[Expr | None],
        k: Expr,
        step: int,
        weights: Buffer,
        panel: Expr,
        hop: Expr,
        skip: int = 0,
    ) -> None:
        pieces = tir.vectors(self.width, self.lanes)
        rows = [row for row in range(self.rows) if bases[row] is not None]
        first = {row: bases[row] + k * hop for row in rows}
        values = {row: tir.bind(tir.load(source, first[row], step)) for row in rows} if self.by_lane else {}
        for s in range(skip, step):
            if not self.by_lane:
                values = {row: tir.bind(tir.load(source, first[row] + s, 1)) for row in rows}
            w = [
                tir.bind(tir.load(weights, panel + (k + s) * self.width + offset, lanes))
                for offset, lanes in pieces
            ]
            for row in rows:
                for (offset, lanes), weight in zip(pieces, w, strict=True):
                    at = (s % self.chains * self.rows + row) * self.width + offset
                    by_lane = self.by_lane and step > 1
                    a = tir.lane(values[row], s, lanes) if by_lane else tir.splat(values[row], lanes)
                    total = tir.multiply_add(
                        tir.load(acc, at, lanes), a, weight, lanes, self.fused, self.dtype
                    )
                    tir.store(acc, at, total, lanes)
