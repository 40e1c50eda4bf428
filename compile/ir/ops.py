"""The operators a schedule can claim, as frozen records of shapes and element types; NHWC, batch 1."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from .dtype import Types


@dataclass(frozen=True)
class Conv:
    """A 2-D convolution with its epilogue and its part of the temporal shift.

    out = clip(conv(x, w) + bias [+ residual], low, high). Where `fold_in` is set, the first `fold_in` input
    channels are read from the state of the last frame instead of x. Where `fold_out` is set, the first `fold_out`
    output channels are also written to the next state. groups is 1 (dense) or `channels` (depthwise).
    blocked_in, blocked_out: x or the output lie in blocks of channels (`kernels/cpu/layout.py`) in place of NHWC.
    """

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


@dataclass(frozen=True)
class GlobalPool:
    """Mean over all pixels: [height, width, channels] -> [channels]."""

    height: int
    width: int
    channels: int
    types: Types = field(default=Types(), repr=False)

    @property
    def macs(self) -> int:
        return 0

    @property
    def label(self) -> str:
        return f"mean_{self.height}x{self.width}x{self.channels}"


@dataclass(frozen=True)
class MaxPool:
    """Windowed maximum; the pad never wins. `fold_out` as in Conv."""

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
    def macs(self) -> int:
        return 0

    @property
    def label(self) -> str:
        return f"maxpool_{self.kernel[0]}x{self.kernel[1]}s{self.stride[0]}_{self.height}x{self.width}x{self.channels}"


@dataclass(frozen=True)
class Copy:
    """The first `fold` of `channels` for each of `pixels`: a state that no producer could write."""

    pixels: int
    channels: int
    fold: int
    types: Types = field(default=Types(), repr=False)

    @property
    def macs(self) -> int:
        return 0

    @property
    def label(self) -> str:
        return f"copy_{self.pixels}x{self.channels}_{self.fold}"


@dataclass(frozen=True)
class Transpose:
    """[rows, columns] -> [columns, rows]."""

    rows: int
    columns: int
    types: Types = field(default=Types(), repr=False)

    @property
    def macs(self) -> int:
        return 0

    @property
    def label(self) -> str:
        return f"transpose_{self.rows}x{self.columns}"


Op = Conv | InvertedResidual | GlobalPool | MaxPool | Copy | Transpose


def parts(op: Op) -> tuple[Op, ...]:
    """The convolutions of a block; any other operator alone."""
    return op.convs if isinstance(op, InvertedResidual) else (op,)


def text(op: Op) -> str:
    """The operator in words, equal for equal records; element types are said where one is not float32."""
    types = [part.types for part in parts(op)]
    return repr(op) if all(each == Types() for each in types) else f"{op!r} in {types!r}"
