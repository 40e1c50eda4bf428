"""Operators of an 8-bit network (`compile/quantize`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..dtype import FLOAT32, INT8, INT32, DType, Types
from .convolution import Conv
from .pooling import MaxPool

RESIDUAL_BITS = 8  # fractional bits of a sum with a residual, before its rounding
#: steps whose products with 8-bit numbers, and whose reciprocals, float16 holds without loss of its precision
HALF_STEPS = 2.0**-12, 2.0**4
BYTES = Types(INT8, INT8, INT8, INT32, INT8, INT8, INT8)


@dataclass(frozen=True)
class QConv:
    """A convolution in 8 bits with the shapes of `conv`; saturation is its clamp (`quantize/scheme.py`).

    x_zero: zero point of x and value of the padding. share, r_zero: multiplier and zero point of the residual.
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
    """Max pooling in 8 bits; padding never wins."""

    kind: ClassVar[str] = "qmax_pool"

    pool: MaxPool

    types: ClassVar[Types] = BYTES
    macs: ClassVar[int] = 0

    @property
    def label(self) -> str:
        return f"q{self.pool.label}"


@dataclass(frozen=True)
class Quantise:
    """Floats -> int8, elementwise: q = saturate(round_half_even(v * (1 / step)) + zero)."""

    kind: ClassVar[str] = "quantise"

    size: int
    step: float
    zero: int
    types: Types = Types(x=FLOAT32, y=INT8)

    macs: ClassVar[int] = 0

    @property
    def arithmetic(self) -> DType:
        """The type in which it multiplies."""
        return arithmetic_of(self.types.x, self.step)

    @property
    def label(self) -> str:
        return f"quantise_{self.size}"


@dataclass(frozen=True)
class Dequantise:
    """int8 -> floats, elementwise: v = (q - zero) * step."""

    kind: ClassVar[str] = "dequantise"

    size: int
    step: float
    zero: int
    types: Types = Types(x=INT8, y=FLOAT32)

    macs: ClassVar[int] = 0

    @property
    def arithmetic(self) -> DType:
        """The type in which it multiplies."""
        return arithmetic_of(self.types.y, self.step)

    @property
    def label(self) -> str:
        return f"dequantise_{self.size}"


@dataclass(frozen=True)
class QMean:
    """Global average pooling of int8 [pixels, channels], dequantised to float32 [channels]."""

    kind: ClassVar[str] = "qmean"

    pixels: int
    channels: int
    step: float
    zero: int

    types: ClassVar[Types] = Types(x=INT8)
    macs: ClassVar[int] = 0
    arithmetic: ClassVar[DType] = FLOAT32

    @property
    def label(self) -> str:
        return f"qmean_{self.pixels}x{self.channels}"


def arithmetic_of(floats: DType, step: float) -> DType:
    """float16 for float16 operands, unless a product or a reciprocal would leave its range."""
    return floats if HALF_STEPS[0] <= step <= HALF_STEPS[1] else FLOAT32
