"""Element types of tensors, from the importer over the graph and the plan to the kernels' pointers."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import Enum

import numpy as np


class DType(str, Enum):
    """An element type by its name in TVM, numpy and the plan's text.

    Schedules compute in float32, float16 and int8 with int32 sums; the others occur in generic operators only.
    """

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT8 = "int8"
    UINT8 = "uint8"
    INT32 = "int32"
    FLOAT64 = "float64"
    INT64 = "int64"
    INT16 = "int16"
    UINT16 = "uint16"
    UINT32 = "uint32"
    UINT64 = "uint64"
    BOOL = "bool"

    @property
    def bytes(self) -> int:
        """Bytes of one element in memory."""
        return self.numpy.itemsize

    @property
    def numpy(self) -> np.dtype[np.generic]:
        """The numpy type of the same bytes."""
        return np.dtype(self.value)

    def __str__(self) -> str:
        return self.value

    def __format__(self, spec: str) -> str:
        return format(self.value, spec)


FLOAT32, FLOAT16, INT8, UINT8, INT32 = DType.FLOAT32, DType.FLOAT16, DType.INT8, DType.UINT8, DType.INT32
#: values of --precision -> element type of activations and weights
PRECISIONS = {"fp32": FLOAT32, "fp16": FLOAT16, "int8": INT8}


@dataclass(frozen=True)
class Types:
    """Element types of an operator's operands, by the names of a kernel's pointers.

    x: activation read. state: channels of the last frame. w: packed weights. b: bias. r: residual. y: result. next:
    channels for the next frame. k, v: panels of keys and values. boxes: boxes of frames.
    """

    x: DType = FLOAT32
    state: DType = FLOAT32
    w: DType = FLOAT32
    b: DType = FLOAT32
    r: DType = FLOAT32
    y: DType = FLOAT32
    next: DType = FLOAT32
    k: DType = FLOAT32
    v: DType = FLOAT32
    boxes: DType = FLOAT32

    @classmethod
    def stored(cls, dtype: DType) -> Types:
        """All operands in one type except the bias, which is added to float32 sums."""
        return cls(dtype, dtype, dtype, FLOAT32, dtype, dtype, dtype)

    @property
    def all(self) -> frozenset[DType]:
        """The types that occur."""
        return frozenset(getattr(self, field.name) for field in fields(self))

    def of(self, pointer: str) -> DType:
        """The element type of the pointer called `pointer`."""
        found: DType = getattr(self, pointer)
        return found


@dataclass(frozen=True)
class Pointer:
    """A kernel's pointer argument: `size` elements of a type."""

    size: int
    dtype: DType = FLOAT32

    @property
    def bytes(self) -> int:
        """Size in bytes."""
        return self.size * self.dtype.bytes
