"""Operators on each element, which passes fuse into a convolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np


@dataclass(frozen=True, eq=False)
class BatchNorm:
    """x * scale + shift per channel, in inference form; both float64 [channels]."""

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
    """The sum of two operands, which may broadcast."""

    kind: ClassVar[str] = "add"
