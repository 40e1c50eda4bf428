"""Convolutions and blocks of convolutions that one kernel computes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

from ..dtype import Types


@dataclass(frozen=True)
class Conv:
    """A 2-D convolution with its epilogue and its part of the temporal shift.

    out = clip(conv(x, w) + bias [+ residual], low, high). Where `fold_in` is set, the first `fold_in` input
    channels are read from the state of the last frame instead of x. Where `fold_out` is set, the first `fold_out`
    output channels are also written to the next state. groups is 1 (dense) or `channels` (depthwise).
    blocked_in, blocked_out: x or the output lie in blocks of channels (`kernels/cpu/layout.py`) in place of NHWC.
    """

    kind: ClassVar[str] = "conv"

    height: int
    width: int
    channels: int
    out_channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)  # top, left, bottom, right
    groups: int = 1
    residual: bool = False
    low: float | None = None
    high: float | None = None
    fold_in: int = 0
    fold_out: int = 0
    blocked_in: bool = False
    blocked_out: bool = False
    types: Types = field(default=Types(), repr=False)

    @property
    def out_height(self) -> int:
        return (self.height + self.pad[0] + self.pad[2] - self.kernel[0]) // self.stride[0] + 1

    @property
    def out_width(self) -> int:
        return (self.width + self.pad[1] + self.pad[3] - self.kernel[1]) // self.stride[1] + 1

    @property
    def depthwise(self) -> bool:
        """One filter per channel."""
        return self.groups == self.channels == self.out_channels and self.groups > 1

    @property
    def pointwise(self) -> bool:
        """A plain matrix product over pixels."""
        return self.groups == 1 and self.kernel == (1, 1) and self.stride == (1, 1) and not any(self.pad)

    @property
    def pixels(self) -> int:
        return self.out_height * self.out_width

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.pixels * self.out_channels * self.taps

    @property
    def clamped(self) -> bool:
        """Whether a side of the result is limited."""
        return self.low is not None or self.high is not None

    @property
    def taps(self) -> int:
        """Multiply-accumulates of one output number."""
        return self.kernel[0] * self.kernel[1] * (self.channels // self.groups)

    @property
    def label(self) -> str:
        """Short name of the shape, used in kernel names and reports."""
        kind = "dw" if self.depthwise else "pw" if self.pointwise else "conv"
        size = "" if self.pointwise else f"{self.kernel[0]}x{self.kernel[1]}s{self.stride[0]}_"
        return f"{kind}_{size}{self.height}x{self.width}x{self.channels}_{self.out_channels}"


@dataclass(frozen=True)
class InvertedResidual:
    """Three convolutions in a row, computed row by row: expand (pointwise or the stem), depthwise, project.

    Residual and next state belong to `project`, the state of the last frame to `expand`. Without an expand layer
    the depthwise convolution reads x itself.
    """

    kind: ClassVar[str] = "block"

    expand: Conv | None
    depthwise: Conv
    project: Conv

    @property
    def convs(self) -> tuple[Conv, ...]:
        """The convolutions in order."""
        return (
            (self.depthwise, self.project)
            if self.expand is None
            else (self.expand, self.depthwise, self.project)
        )

    @property
    def types(self) -> Types:
        """Those of the block's own operands."""
        first, last = self.convs[0].types, self.project.types
        return replace(first, r=last.r, y=last.y, next=last.next)

    @property
    def macs(self) -> int:
        return sum(conv.macs for conv in self.convs)

    @property
    def label(self) -> str:
        first, middle, last = self.convs[0], self.depthwise, self.project
        return (
            f"block_s{middle.stride[0]}_{first.height}x{first.width}x{first.channels}_{middle.channels}"
            f"_{last.out_channels}"
        )
