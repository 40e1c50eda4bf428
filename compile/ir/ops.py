"""The operators as frozen records, from the importer to the kernel.

`Op` is what a schedule can claim: shapes (NHWC, batch 1) and element types. The other records of `Operator` are what
passes fuse or plain loops compute. What is no number of the operator, its weights and the values it reads and writes,
is the node's (`graph.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import ClassVar

import numpy as np

from .dtype import FLOAT32, INT8, INT32, Types


class Role(str, Enum):
    """The part that a tensor plays for an operator; the names of a kernel's pointers."""

    X = "x"  # activation
    STATE = "state"  # channels of the last frame
    RESIDUAL = "r"  # added before the clamp
    Y = "y"  # result
    NEXT = "next"  # channels for the next frame
    SCRATCH = "scratch"  # the calling thread's own memory


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


@dataclass(frozen=True)
class GlobalPool:
    """Mean over all pixels: [height, width, channels] -> [channels]."""

    kind: ClassVar[str] = "global_pool"
    macs: ClassVar[int] = 0

    height: int
    width: int
    channels: int
    types: Types = field(default=Types(), repr=False)

    @property
    def label(self) -> str:
        return f"mean_{self.height}x{self.width}x{self.channels}"


@dataclass(frozen=True)
class MaxPool:
    """Windowed maximum; the pad never wins. `fold_out` as in Conv."""

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


@dataclass(frozen=True)
class Copy:
    """The first `fold` of `channels` for each of `pixels`: a state that no producer could write."""

    kind: ClassVar[str] = "copy"
    macs: ClassVar[int] = 0

    pixels: int
    channels: int
    fold: int
    types: Types = field(default=Types(), repr=False)

    @property
    def label(self) -> str:
        return f"copy_{self.pixels}x{self.channels}_{self.fold}"


@dataclass(frozen=True)
class Join:
    """`count` channels from `begin` on of x, then the same of r, for each of `pixels`; of r there may be none.

    What a lagged stream's convolution reads first: channels of the next frame and kept ones of the frame before.
    """

    kind: ClassVar[str] = "join"
    macs: ClassVar[int] = 0

    pixels: int
    channels: int
    begin: int
    count: int
    r_channels: int = 0
    r_begin: int = 0
    r_count: int = 0
    types: Types = field(default=Types(), repr=False)

    @property
    def label(self) -> str:
        other = f"_{self.r_channels}_{self.r_begin}_{self.r_count}" if self.r_count else ""
        return f"join_{self.pixels}x{self.channels}_{self.begin}_{self.count}{other}"


@dataclass(frozen=True)
class Transpose:
    """[rows, columns] -> [columns, rows]."""

    kind: ClassVar[str] = "transpose"
    macs: ClassVar[int] = 0

    rows: int
    columns: int
    types: Types = field(default=Types(), repr=False)

    @property
    def label(self) -> str:
        return f"transpose_{self.rows}x{self.columns}"


BYTES = Types(INT8, INT8, INT8, INT32, INT8, INT8, INT8)


@dataclass(frozen=True)
class QConv:
    """A convolution in 8 bits: the shapes of `conv`, whose clamp is the saturation, and the constants of its layer.

    x_zero: what lies outside the image. share, r_zero: of the residual.
    """

    kind: ClassVar[str] = "qconv"

    conv: Conv
    x_zero: int = 0
    share: int = 0
    r_zero: int = 0

    types: ClassVar[Types] = BYTES

    @property
    def macs(self) -> int:
        return self.conv.macs

    @property
    def label(self) -> str:
        return f"q{self.conv.label}"


@dataclass(frozen=True)
class QMaxPool:
    """A maximum in 8 bits."""

    kind: ClassVar[str] = "qmax_pool"

    pool: MaxPool

    types: ClassVar[Types] = BYTES
    macs: ClassVar[int] = 0

    @property
    def label(self) -> str:
        return f"q{self.pool.label}"


@dataclass(frozen=True)
class Quantise:
    """float32 numbers to 8 bits: q = nearest(v * (1 / step)) + zero."""

    kind: ClassVar[str] = "quantise"

    size: int
    step: float
    zero: int

    types: ClassVar[Types] = Types(x=FLOAT32, y=INT8)
    macs: ClassVar[int] = 0

    @property
    def label(self) -> str:
        return f"quantise_{self.size}"


@dataclass(frozen=True)
class QMean:
    """The mean over the pixels of [pixels, channels] in 8 bits, as float32."""

    kind: ClassVar[str] = "qmean"

    pixels: int
    channels: int
    step: float
    zero: int

    types: ClassVar[Types] = Types(x=INT8)
    macs: ClassVar[int] = 0

    @property
    def label(self) -> str:
        return f"qmean_{self.pixels}x{self.channels}"


QOp = QConv | QMaxPool | Quantise | QMean
Op = Conv | InvertedResidual | GlobalPool | MaxPool | Copy | Join | Transpose | QOp


@dataclass(frozen=True, eq=False)
class BatchNorm:
    """x * scale + shift, one of each a channel; float64."""

    kind: ClassVar[str] = "batch_norm"

    scale: np.ndarray
    shift: np.ndarray


@dataclass(frozen=True)
class Clip:
    """x limited to [low, high]; None leaves that side open."""

    kind: ClassVar[str] = "clip"

    low: float | None
    high: float | None


@dataclass(frozen=True)
class Add:
    """The sum of two values, which may broadcast."""

    kind: ClassVar[str] = "add"


@dataclass(frozen=True)
class Slice:
    """Elements [begin, end) along an axis."""

    kind: ClassVar[str] = "slice"

    axis: int
    begin: int
    end: int


@dataclass(frozen=True)
class Concat:
    """Values one after the other along an axis."""

    kind: ClassVar[str] = "concat"

    axis: int


@dataclass(frozen=True)
class Alias:
    """The same bytes under another shape."""

    kind: ClassVar[str] = "alias"


@dataclass(frozen=True)
class Opaque:
    """An operator that only TVM knows."""

    kind: ClassVar[str] = "opaque"


Operator = Op | BatchNorm | Clip | Add | Slice | Concat | Alias | Opaque


def parts(op: Op) -> tuple[Op, ...]:
    """The convolutions of a block; any other operator alone."""
    return op.convs if isinstance(op, InvertedResidual) else (op,)


def text(op: Op) -> str:
    """The operator in words, equal for equal records; element types are said where one is not float32."""
    types = [part.types for part in parts(op)]
    return repr(op) if all(each == Types() for each in types) else f"{op!r} in {types!r}"
