"""The operators as frozen records, from the importer to the kernel, one file per subject.

`Op` is what a schedule can claim: shapes (NHWC, batch 1) and element types. The other records of `Operator` are fused
by passes or computed by TVM's plain loops. Weights and operands are not part of a record; they belong to the node
(`ir/graph.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..dtype import Types
from .attention import Attention, Panels
from .convolution import Conv, InvertedResidual
from .elementwise import Add, BatchNorm, Clip
from .frames import FrameJoin, FrameMax, FrameShift
from .int8 import RESIDUAL_BITS, Dequantise, QConv, QMaxPool, QMean, Quantise
from .moves import Alias, Concat, Copy, Join, Slice, Transpose
from .pooling import GlobalPool, MaxPool
from .regions import LayerNorm, OverlapMean, RegionMax
from .roles import Role
from .volumes import Dense, FrameGather, VolumeConv, with_epilogue, with_types

__all__ = [
    "RESIDUAL_BITS",
    "Add",
    "Alias",
    "Attention",
    "BatchNorm",
    "Clip",
    "Concat",
    "Conv",
    "Copy",
    "Dense",
    "Dequantise",
    "FrameGather",
    "FrameJoin",
    "FrameMax",
    "FrameShift",
    "GlobalPool",
    "InvertedResidual",
    "Join",
    "LayerNorm",
    "MaxPool",
    "Op",
    "Opaque",
    "Panels",
    "Operator",
    "OverFrames",
    "OverlapMean",
    "QConv",
    "QMaxPool",
    "QMean",
    "QOp",
    "Quantise",
    "RegionMax",
    "Role",
    "Slice",
    "Transpose",
    "VolumeConv",
    "parts",
    "text",
    "with_epilogue",
    "with_types",
]


@dataclass(frozen=True)
class Opaque:
    """An operator without a record here, computed by TVM's legalisation of its Relax call."""

    kind: ClassVar[str] = "opaque"


QOp = QConv | QMaxPool | Quantise | Dequantise | QMean
OverBoxes = RegionMax | OverlapMean
OverFrames = VolumeConv | FrameShift | FrameMax | FrameGather | FrameJoin | Panels | Attention | OverBoxes | LayerNorm
Op = Conv | InvertedResidual | GlobalPool | MaxPool | Copy | Join | Transpose | OverFrames | QOp
Operator = Op | BatchNorm | Clip | Add | Slice | Concat | Alias | Opaque


def parts(op: Op) -> tuple[Op, ...]:
    """The convolutions of a block; any other operator alone."""
    return op.convs if isinstance(op, InvertedResidual) else (op,)


def text(op: Op) -> str:
    """The record as text, equal for equal operators; element types are printed where one is not float32."""
    types = [part.types for part in parts(op)]
    return repr(op) if all(each == Types() for each in types) else f"{op!r} in {types!r}"
