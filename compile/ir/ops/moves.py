"""Operators that move elements and compute nothing: copies, joins, transposes, slices, views."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ..dtype import Types


@dataclass(frozen=True)
class Copy:
    """[pixels, channels] -> [pixels, fold], the first `fold` channels: a next state that no producer could write."""

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
    """Channels [begin, begin + count) of x, then [r_begin, r_begin + r_count) of r, for each pixel; r_count may be 0.

    The input of a lagged stream's convolution: channels of the next frame, then those kept from the frame before it.
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


@dataclass(frozen=True)
class Slice:
    """Elements [begin, end) along an axis."""

    kind: ClassVar[str] = "slice"

    axis: int
    begin: int
    end: int


@dataclass(frozen=True)
class Concat:
    """Operands concatenated along an axis."""

    kind: ClassVar[str] = "concat"

    axis: int


@dataclass(frozen=True)
class Alias:
    """A view: the same bytes under another shape."""

    kind: ClassVar[str] = "alias"
