"""The 8-bit operators that a schedule can claim: shapes, and the integers of `compile/quantize/scheme.py` they need."""

from __future__ import annotations

from dataclasses import dataclass

from .dtype import FLOAT32, INT8, INT32, Types
from .ops import Conv, MaxPool

BYTES = Types(INT8, INT8, INT8, INT32, INT8, INT8, INT8)


@dataclass(frozen=True)
class QConv:
    """A convolution in 8 bits: the shapes of `conv`, whose clamp is the saturation, and the constants of its layer.

    x_zero: what lies outside the image. share, r_zero: of the residual.
    """

    conv: Conv
    x_zero: int = 0
    share: int = 0
    r_zero: int = 0

    types = BYTES

    @property
    def macs(self) -> int:
        return self.conv.macs

    @property
    def label(self) -> str:
        return f"q{self.conv.label}"


@dataclass(frozen=True)
class QMaxPool:
    """A maximum in 8 bits."""

    pool: MaxPool

    types = BYTES
    macs = 0

    @property
    def label(self) -> str:
        return f"q{self.pool.label}"


@dataclass(frozen=True)
class Quantise:
    """float32 numbers to 8 bits: q = nearest(v * (1 / step)) + zero."""

    size: int
    step: float
    zero: int

    types = Types(x=FLOAT32, y=INT8)
    macs = 0

    @property
    def label(self) -> str:
        return f"quantise_{self.size}"


@dataclass(frozen=True)
class QMean:
    """The mean over the pixels of [pixels, channels] in 8 bits, as float32."""

    pixels: int
    channels: int
    step: float
    zero: int

    types = Types(x=INT8)
    macs = 0

    @property
    def label(self) -> str:
        return f"qmean_{self.pixels}x{self.channels}"


QOp = QConv | QMaxPool | Quantise | QMean
