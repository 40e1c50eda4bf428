"""Pooling: a maximum per window, the mean of a channel."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ..dtype import Types
from .convolution import Conv


@dataclass(frozen=True)
class GlobalPool:
    """Global average pooling: [height, width, channels] -> [channels]; also over `frames`, `pitch` elements apart."""

    kind: ClassVar[str] = "global_pool"
    macs: ClassVar[int] = 0

    height: int
    width: int
    channels: int
    frames: int = 1
    pitch: int = 0
    types: Types = field(default=Types(), repr=False)

    @property
    def label(self) -> str:
        frames = f"{self.frames}x" if self.frames > 1 else ""
        return f"mean_{frames}{self.height}x{self.width}x{self.channels}"


@dataclass(frozen=True)
class MaxPool:
    """Maximum per window, NHWC; padding counts as minus infinity. `fold_out` as in Conv."""

    kind: ClassVar[str] = "max_pool"
    macs: ClassVar[int] = 0

    height: int
    width: int
    channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int, int, int]
    fold_out: int = 0
    types: Types = field(default=Types(), repr=False)

    @property
    def windows(self) -> Conv:
        """The depthwise convolution with the same windows."""
        return Conv(
            self.height,
            self.width,
            self.channels,
            self.channels,
            self.kernel,
            self.stride,
            self.pad,
            self.channels,
        )

    @property
    def out_height(self) -> int:
        return self.windows.out_height

    @property
    def out_width(self) -> int:
        return self.windows.out_width

    @property
    def label(self) -> str:
        return f"maxpool_{self.kernel[0]}x{self.kernel[1]}s{self.stride[0]}_{self.height}x{self.width}x{self.channels}"
