"""Convolutions along time as well as height and width, over the frames of a clip."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

from ..dtype import Types
from .convolution import Conv
from .frames import at_least


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
        at_least(
            self, pitch=conv.height * conv.width * conv.channels, out_pitch=conv.pixels * conv.out_channels
        )

    @property
    def types(self) -> Types:
        """Those of the convolution."""
        return self.conv.types

    @property
    def out_channels(self) -> int:
        """Those of the convolution."""
        return self.conv.out_channels

    @property
    def residual(self) -> bool:
        """Whether its epilogue adds a tensor."""
        return self.conv.residual

    @property
    def low(self) -> float | None:
        """Lower bound of its epilogue's clamp."""
        return self.conv.low

    @property
    def high(self) -> float | None:
        """Upper bound of its epilogue's clamp."""
        return self.conv.high

    @property
    def clamped(self) -> bool:
        """Whether a side of the result is limited."""
        return self.conv.clamped

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


Dense = Conv | VolumeConv


def with_epilogue(op: Dense, **changes: bool | float | None) -> Dense:
    """The operator with another `residual`, `low` or `high`."""
    if isinstance(op, VolumeConv):
        return replace(op, conv=replace(op.conv, **changes))  # type: ignore[arg-type]
    return replace(op, **changes)  # type: ignore[arg-type]


def with_types(op: VolumeConv, types: Types) -> VolumeConv:
    """The operator with operands of these types."""
    return replace(op, conv=replace(op.conv, types=types))


@dataclass(frozen=True)
class FrameGather:
    """The chosen frames of a clip, `size` elements each, one behind the other `out_pitch` elements apart.

    A frame may be chosen twice. pitch: elements from one frame of x to the next.
    """

    kind: ClassVar[str] = "frame_gather"
    macs: ClassVar[int] = 0

    frames: int
    size: int
    chosen: tuple[int, ...]
    pitch: int = 0
    out_pitch: int = 0
    types: Types = field(default=Types(), repr=False)

    def __post_init__(self) -> None:
        at_least(self, pitch=self.size, out_pitch=self.size)

    @property
    def label(self) -> str:
        return f"gather_{self.frames}x{self.size}_{'_'.join(map(str, self.chosen[:4]))}"
