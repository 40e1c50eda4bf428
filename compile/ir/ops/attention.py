"""The matrix products of a non-local block: every position of a clip takes a weighted mean over all positions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ..dtype import Types
from .frames import at_least

PANEL = 16  # columns of a panel: of every register tile that reads one


@dataclass(frozen=True)
class Panels:
    """The numbers of a clip in panels of 16 columns, padded with zeros, as a register tile reads its weights.

    keys: [positions / 16][channels][16], else [channels / 16][positions][16]. pitch: elements from frame to frame of x.
    """

    kind: ClassVar[str] = "panels"
    macs: ClassVar[int] = 0

    frames: int
    pixels: int
    channels: int
    keys: bool
    pitch: int = 0
    types: Types = field(default=Types(), repr=False)

    def __post_init__(self) -> None:
        at_least(self, pitch=self.pixels * self.channels)

    @property
    def positions(self) -> int:
        """Those of all frames."""
        return self.frames * self.pixels

    @property
    def size(self) -> int:
        """Elements of the output."""
        columns, rows = (self.positions, self.channels) if self.keys else (self.channels, self.positions)
        return -(-columns // PANEL) * PANEL * rows

    @property
    def label(self) -> str:
        return f"panels_{'keys' if self.keys else 'values'}_{self.frames}x{self.pixels}x{self.channels}"


@dataclass(frozen=True)
class Attention:
    """softmax(x kᵀ · scale) v for every position of x; k and v are :class:`Panels` of `positions` positions.

    frames, pixels, channels: of x and of the output. pitch, out_pitch: elements from one of their frames to the next.
    """

    kind: ClassVar[str] = "attention"

    frames: int
    pixels: int
    channels: int
    positions: int
    scale: float = 1.0
    pitch: int = 0
    out_pitch: int = 0
    types: Types = field(default=Types(), repr=False)

    def __post_init__(self) -> None:
        at_least(self, pitch=self.pixels * self.channels, out_pitch=self.pixels * self.channels)

    @property
    def macs(self) -> int:
        """Of both products."""
        return 2 * self.frames * self.pixels * self.positions * self.channels

    @property
    def label(self) -> str:
        return f"attention_{self.frames}x{self.pixels}x{self.channels}_{self.positions}"
