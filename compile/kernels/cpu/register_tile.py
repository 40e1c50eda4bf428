"""The register tile MR x NR of a dense convolution: `rows` pixels x `width` output channels, accumulated over k.

All convolutions with a dense reduction (pointwise, stem, k x k, classifier) run this micro-kernel under different
loops. Its packed weight panel is `[k][width]`: one k step loads `width` contiguous weights and multiplies them with one
activation per row, as in Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008.
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
from .prefetch import Prefetch
from .tiling import FMA_LATENCY

UNROLLED = 9  # reductions up to this length are straight code: a row of a 3x3 stem, the head of a shifted tap


@dataclass(frozen=True)
class Tile:
    """rows x width accumulators in vectors of at most `lanes` elements, and the reductions into them.

    A vector of accumulators holds `lanes` output channels of one pixel.
    """

    rows: int
    width: int
    lanes: int
    fma_by_element: bool  # load activations as vectors along k and multiply by element (NEON)
    fused: bool  # call the FMA intrinsic in place of mul and add (`builder.multiply_add`)
    registers: int  # of the machine
    dtype: DType = FLOAT32  # of the accumulators
    longest: int = 0  # k steps of one partial sum of a long reduction; 0: a single sum

    @property
    def chains(self) -> int:
        """Independent accumulators per output, which hide the FMA latency of a tile with few of them."""
        return self.lanes if self.fma_by_element and self.rows * -(-self.width // self.lanes) <= FMA_LATENCY else 1

    def accumulators(self, bias: Buffer, channel: Expr, bias_repeats: int = 1, pixel: Expr = 0) -> Buffer:
        """Allocate the accumulators and start them at the bias of `channel`...

        bias_repeats: how often every vector of the packed bias is repeated, 1 or `rows`. Repeated, the accumulators
        start by paired loads (LDP) in place of register moves. pixel: of the tile; the loads depend on it, so that LLVM
        does not hoist them.
        """
        acc = self._cleared(1)
        first = channel * bias_repeats + (tir.opaque_zero(pixel) if bias_repeats > 1 else 0)
        for offset, lanes in tir.vectors(self.width, self.lanes):
            start = tir.bind(tir.load(bias, channel + offset, lanes)) if bias_repeats == 1 else None
            for row in range(self.rows):
                at = first + offset * bias_repeats + row * lanes
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
        """The vector of accumulators at element `at`, summed over the chains."""
        size = self.rows * self.width
        return sum(
            (tir.load(acc, at + chain * size, lanes) for chain in range(1, self.chains)),
            start=tir.load(acc, at, lanes),
        )

    def store(self, acc: Buffer, target: Buffer, base: Expr) -> None:
        """Store the sums without an epilogue, [rows][width] from element `base`."""
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

        kept: how many channels to store; None: all of the panel.
        """
        layout = epilogue.layout
        bases = [tir.bind(layout.at(pixel, channel)) for pixel in pixels]
        places = [
            (row, piece) for row in range(self.rows) for piece in tir.vectors(kept or self.width, self.lanes)
        ]
        channel_stride = layout.channel_step
        if blocked(channel_stride):
            places.sort(key=lambda place: place[1])  # in the order of addresses
            if self.fma_by_element and isinstance(channel_stride, int) and self.rows > 1:
                channel_stride = tir.opaque(channel_stride)  # one base address per block, for paired stores (STP)
        pending = []
        for row, (offset, lanes) in places:
            at = bases[row] + offset * channel_stride
            value = write(epilogue, self.total(acc, row * self.width + offset, lanes), at, lanes)
            pending.append((value, at, pixels[row], channel + offset, lanes))
            if not self.fma_by_element:
                keep(epilogue, *pending.pop())
        # A branch between the stores would keep LLVM from pairing them.
        for part in pending:
            keep(epilogue, *part)

    def shared(self, fold: int, channels: int, channel_stride: Expr) -> int:
        """How many of the first x vector's elements are channels of the state, where k is read in whole vectors.

        NEON loads that vector as a whole and multiplies by the elements behind the state's.
        """
        skip = fold % self.lanes
        return skip if (self.fma_by_element or blocked(channel_stride)) and channels - fold >= self.lanes - skip else 0

    def reduce(
        self,
        acc: Buffer,
        source: Buffer,
        bases: Sequence[Expr | None],
        length: int,
        weights: Buffer,
        panel: Expr,
        channel_stride: Expr = 1,
        prefetches: Sequence[Prefetch] = (),
        skip: int = 0,
    ) -> None:
        """acc[row] += source[bases[row] : + length] x weights[panel : + length * width]; a None base skips its row.

        channel_stride: of the source's layout, in elements. prefetches: issued by every step of the loop. skip: with
        vectors along k, leading elements of the first one, at the base, that are not part of the reduction (`shared`).
        """
        if all(base is None for base in bases) or length == 0:
            return
        step = self.lanes if self.fma_by_element or blocked(channel_stride) else 1
        if skip:
            self._step(acc, source, bases, 0, step, weights, panel - skip * self.width, channel_stride, skip)
            bases = [None if base is None else base + step * channel_stride for base in bases]
            length, panel = length - (step - skip), panel + (step - skip) * self.width
        whole = length // step
        together = self._together(whole, channel_stride)
        short = length <= UNROLLED and not self.fma_by_element
        looped = 0 if short and (self.two_steps_fit or length == 1) else whole
        if looped:
            if self.fma_by_element and isinstance(channel_stride, int) and blocked(channel_stride):
                channel_stride = tir.opaque(channel_stride)
            rounds = looped // together
            # LLVM turns a few rounds into straight code, and then moves all loads to its head.
            hidden = self.fma_by_element and rounds == 2 and looped * step == length

            def round_of(k: Expr) -> None:
                for one in prefetches:
                    tir.prefetch(one.buffer, one.at(k))
                for part in range(together):
                    self._step(acc, source, bases, (k * together + part) * step, step, weights, panel, channel_stride)

            if self.longest and length > 2 * self.longest:
                self._in_parts(acc, rounds, -(-length // self.longest), round_of)
            else:
                with tir.loop(0, tir.opaque(rounds) if hidden or short else rounds) as k:
                    round_of(k)
        for k in range(looped, whole):
            self._step(acc, source, bases, k * step, step, weights, panel, channel_stride)
        for offset, lanes in tir.vectors(length - whole * step, step):
            self._step(acc, source, bases, whole * step + offset, lanes, weights, panel, channel_stride)

    def _in_parts(self, acc: Buffer, rounds: int, parts: int, emit: Callable[[Expr], None]) -> None:
        """A long reduction as `parts` partial sums (blocked summation), each of which starts at zero.

        The rounding error of a running sum of n numbers grows with n. In blocks of c it is about c / n + 1 / c of that
        (Higham, "The Accuracy of Floating Point Summation", 1993), for four instructions per block and accumulator.
        """
        size = self.rows * self.width * self.chains
        aside, zero = tir.local(size, self.dtype), tir.opaque(0)  # an opaque index keeps `aside` in memory
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
        """Whether unrolled steps, whose weights LLVM loads early, leave all accumulators in registers.

        Spills make a kernel's time differ between processes: store-to-load forwarding is predicted by the addresses of
        the two instructions (docs/decisions/006-software-prefetch.md).
        """
        pieces = -(-self.width // self.lanes)
        return (self.rows + 2) * pieces + 1 <= self.registers

    def _together(self, steps: int, channel_stride: Expr) -> int:
        """The unroll factor of the k loop, a divisor of `steps`, of the by-element form; LLVM unrolls the scalar one.

        In NHWC LLVM then loads two vectors of each row at once, which must fit into registers with the accumulators.
        A remainder after the loop makes the register allocator spill, so only divisors count.
        """
        if not self.fma_by_element:
            return 1
        pieces = -(-self.width // self.lanes)
        roomy = blocked(channel_stride) or self.rows * (pieces + 2) + 2 <= self.registers
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
        channel_stride: Expr,
        skip: int = 0,
    ) -> None:
        pieces = tir.vectors(self.width, self.lanes)
        rows = [row for row in range(self.rows) if bases[row] is not None]
        first = {row: bases[row] + k * channel_stride for row in rows}
        values = {row: tir.bind(tir.load(source, first[row], step)) for row in rows} if self.fma_by_element else {}
        for s in range(skip, step):
            if not self.fma_by_element:
                values = {row: tir.bind(tir.load(source, first[row] + s, 1)) for row in rows}
            w = [
                tir.bind(tir.load(weights, panel + (k + s) * self.width + offset, lanes))
                for offset, lanes in pieces
            ]
            for row in rows:
                for (offset, lanes), weight in zip(pieces, w, strict=True):
                    at = (s % self.chains * self.rows + row) * self.width + offset
                    fma_by_element = self.fma_by_element and step > 1
                    a = tir.lane(values[row], s, lanes) if fma_by_element else tir.splat(values[row], lanes)
                    total = tir.multiply_add(
                        tir.load(acc, at, lanes), a, weight, lanes, self.fused, self.dtype
                    )
                    tir.store(acc, at, total, lanes)
