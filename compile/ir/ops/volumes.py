"""Convolutions along time as well as height and width, over the frames of a clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..dtype import Types
from .convolution import Conv


@dataclass(frozen=True)
class VolumeConv:
    """A convolution along time as well: `depth` taps, each `conv` of another frame, added up before its epilogue.

    frames: of x. step: stride along time. lead, trail: frames of zeros before the first and behind the last one.
    pitch, out_pitch: elements from one frame to the next of x, and of the output and the residual; at least a frame's.
    """

    kind: ClassVar[str] = "volume_conv"

    frames: int
    conv: Conv
    depth: int
    step: int = 1
    lead: int = 0
    trail: int = 0
    pitch: int = 0
    out_pitch: int = 0

    def __post_init__(self) -> None:
        conv = self.conv
        least = conv.height * conv.width * conv.channels, conv.pixels * conv.out_channels
        for name, value in zip(("pitch", "out_pitch"), least, strict=True):
            object.__setattr__(self, name, max(getattr(self, name), value))

    @property
    def types(self) -> Types:
        """Those of the convolution."""
        return self.conv.types

    @property
    def out_frames(self) -> int:
        """Frames of the output."""
        return (self.frames + self.lead + self.trail - self.depth) // self.step + 1

    @property
    def taps(self) -> int:
        """Multiply-accumulates of one output number."""
        return self.depth * self.conv.taps

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.out_frames * self.depth * self.conv.macs

    @property
    def label(self) -> str:
        conv = self.conv
        size = f"{self.depth}x{conv.kernel[0]}x{conv.kernel[1]}s{self.step}{conv.stride[0]}"
        return f"volume_{size}_{self.frames}x{conv.height}x{conv.width}x{conv.channels}_{conv.out_channels}"
