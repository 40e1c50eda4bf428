"""Operators over the boxes of a clip's frames, and the layer norm of what they make.

Boxes are [frames, boxes, 4] without gaps: left, top, right and bottom as fractions of the picture. Four zeros stand for
the box of a fixed grid: square windows that overlap by half, then the whole picture.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isqrt
from typing import ClassVar

from ..dtype import Types
from .frames import at_least

BINS = 7  # along each side of a box
SAMPLES = 2  # along each side of a bin


def windows_aside(boxes: int) -> int:
    """Windows of the grid along each side of the picture; boxes beyond their square are the whole picture."""
    return isqrt(boxes)


@dataclass(frozen=True)
class RegionMax:
    """RoIAlign of each box over [height, width, channels], the maximum of its bins: y [frames, boxes, channels]."""

    kind: ClassVar[str] = "region_max"
    macs: ClassVar[int] = 0

    frames: int
    height: int
    width: int
    channels: int
    boxes: int
    pitch: int = 0
    out_pitch: int = 0
    types: Types = field(default=Types(), repr=False)

    def __post_init__(self) -> None:
        at_least(self, pitch=self.height * self.width * self.channels, out_pitch=self.boxes * self.channels)

    @property
    def label(self) -> str:
        return f"regions_{self.frames}x{self.height}x{self.width}x{self.channels}_{self.boxes}"


@dataclass(frozen=True)
class OverlapMean:
    """x [frames, boxes, channels] -> y: the mean of the regions of frame t + by that the box of frame t overlaps.

    Weights are intersection over union, divided by their sum; zeros where that is 0 or there is no such frame.
    """

    kind: ClassVar[str] = "overlap_mean"

    frames: int
    boxes: int
    channels: int
    by: int
    pitch: int = 0
    out_pitch: int = 0
    types: Types = field(default=Types(), repr=False)

    def __post_init__(self) -> None:
        at_least(self, pitch=self.boxes * self.channels, out_pitch=self.boxes * self.channels)

    @property
    def macs(self) -> int:
        """A product of matrices a frame that has such a neighbour."""
        return (self.frames - 1) * self.boxes**2 * self.channels

    @property
    def label(self) -> str:
        side = "next" if self.by > 0 else "last"
        return f"overlap_{side}_{self.frames}x{self.boxes}x{self.channels}"


@dataclass(frozen=True)
class LayerNorm:
    """(x - mean) / sqrt(variance + epsilon) * w + b over the channels of each position; then ReLU, then + r."""

    kind: ClassVar[str] = "layer_norm"
    macs: ClassVar[int] = 0

    frames: int
    pixels: int
    channels: int
    epsilon: float
    relu: bool = False
    residual: bool = False
    pitch: int = 0
    out_pitch: int = 0
    types: Types = field(default=Types(), repr=False)

    def __post_init__(self) -> None:
        at_least(self, pitch=self.pixels * self.channels, out_pitch=self.pixels * self.channels)

    @property
    def label(self) -> str:
        return f"layernorm_{self.frames}x{self.pixels}x{self.channels}"
