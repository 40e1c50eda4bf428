"""The accumulators of a register tile: how they begin, and how they are stored at the end.

A vector of accumulators is `lanes` output channels of one pixel. Between the two the tile reduces (`tile.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from . import tir
from .epilogue import Epilogue, keep, write
from .image_layout import blocked
from .tiling import FMA_LATENCY
from .tir import Buffer, Expr


@dataclass(frozen=True)
class Accumulators:
    """rows x width accumulators made of vectors of at most `lanes` floats."""

    rows: int
    width: int
    lanes: int
    by_lane: bool  # load activations as vectors along k and multiply by element (NEON)

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
        first = channel * copies + (tir.beside(pixel) if copies > 1 else 0)
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
        acc = tir.local(self.rows * self.width * self.chains)
        for row in range(first * self.rows, self.chains * self.rows):
            for offset, lanes in tir.vectors(self.width, self.lanes):
                tir.store(acc, row * self.width + offset, tir.constant(0.0, lanes), lanes)
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
                hop = tir.unknown(hop)  # an address for every block, and stores in pairs from there
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
