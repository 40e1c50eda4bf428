"""Operators over several frames of a clip; all others compute one frame after the other.

Frames of a value are `pitch` elements apart, so that each is aligned for vector loads. Pitches are 0 until
`passes/pitch.py` sets them to the alignment of a family.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ..dtype import Types


def at_least(op: object, **least: int) -> None:
    """Raise fields of an operator that is being made, such as its pitches, to the least that they may be."""
    for name, value in least.items():
        object.__setattr__(op, name, max(getattr(op, name), value))


@dataclass(frozen=True)
class FrameShift:
    """The temporal shift of a clip: x [frames, pixels, channels] -> y [frames, pixels, width].

    y[t] = x[t + 1][:future], then x[t - 1][future:future + past]; `whole`: then x[t][future + past:] as well. A missing
    frame is zeros (padding "zero"), that of the clip's other end ("circulant") or x[t] itself ("hold").
    """

    kind: ClassVar[str] = "frame_shift"
    macs: ClassVar[int] = 0

    frames: int
    pixels: int
    channels: int
    future: int
    past: int
    padding: str = "zero"
    whole: bool = False
    pitch: int = 0
    out_pitch: int = 0
    types: Types = field(default=Types(), repr=False)

    @property
    def width(self) -> int:
        """Channels of the output."""
        return self.channels if self.whole else self.future + self.past

    def source(self, frame: int, by: int) -> int | None:
        """The frame whose channels move into `frame`; None for zeros. by: 1 from the future, -1 from the past."""
        at = frame + by
        if 0 <= at < self.frames:
            return at
        return {"zero": None, "circulant": at % self.frames, "hold": frame}[self.padding]

    @property
    def label(self) -> str:
        whole = "_whole" if self.whole else ""
        return f"shift_{self.frames}x{self.pixels}x{self.channels}_{self.future}_{self.past}{whole}"


@dataclass(frozen=True)
class FrameMax:
    """Max pooling over frames: windows of `kernel` frames with `stride`; the `pad` frames at each end never win.

    size: elements of a frame.
    """

    kind: ClassVar[str] = "frame_max"
    macs: ClassVar[int] = 0

    frames: int
    size: int
    kernel: int = 3
    stride: int = 2
    pad: int = 1
    pitch: int = 0
    out_pitch: int = 0
    types: Types = field(default=Types(), repr=False)

    @property
    def out_frames(self) -> int:
        """Frames of the output."""
        return (self.frames + 2 * self.pad - self.kernel) // self.stride + 1

    def window(self, frame: int) -> range:
        """The frames of the input under one of the output."""
        begin = frame * self.stride - self.pad
        return range(max(begin, 0), min(begin + self.kernel, self.frames))

    @property
    def label(self) -> str:
        return f"framemax_{self.frames}x{self.size}_{self.kernel}s{self.stride}"


@dataclass(frozen=True)
class FrameJoin:
    """The frames of x from `begin` on, `size` elements each, then the one of r: what a stream keeps and its newest.

    pitch, out_pitch: elements from one frame of x or y to the next; those of a state lie without gaps.
    """

    kind: ClassVar[str] = "frame_join"
    macs: ClassVar[int] = 0

    frames: int
    size: int
    begin: int = 0
    pitch: int = 0
    out_pitch: int = 0
    types: Types = field(default=Types(), repr=False)

    def __post_init__(self) -> None:
        at_least(self, pitch=self.size, out_pitch=self.size)

    @property
    def out_frames(self) -> int:
        """Frames of the output."""
        return self.frames - self.begin + 1

    @property
    def label(self) -> str:
        return f"framejoin_{self.frames}x{self.size}_{self.begin}"
