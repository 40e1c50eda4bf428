"""Test cases that schedules of several families share: every border of a pattern, on awkward sizes.

A schedule adds those of its own algorithm in its `CASES`.
"""

from __future__ import annotations

from ..ir.ops import (
    Conv,
    Copy,
    FrameJoin,
    GlobalPool,
    Join,
    LayerNorm,
    MaxPool,
    OverlapMean,
    RegionMax,
    Transpose,
)

CONV = (
    Conv(9, 11, 3, 32, (3, 3), (2, 2), (1, 1, 1, 1), low=0.0, high=6.0),
    Conv(20, 18, 3, 64, (7, 7), (2, 2), (3, 3, 3, 3), low=0.0),
    Conv(7, 7, 16, 24, (3, 3), (1, 1), (1, 1, 1, 1), fold_in=2, residual=True, low=0.0, fold_out=3),
    Conv(13, 15, 8, 20, (1, 1), (2, 2)),
    Conv(1, 1, 8, 8, (3, 3), (1, 1), (1, 1, 1, 1)),
    Conv(2, 3, 5, 9, (3, 3), (1, 1), (1, 1, 1, 1)),
    Conv(6, 17, 4, 8, (1, 3), (1, 1), (0, 1, 0, 1)),
)
POINTWISE = (
    Conv(7, 7, 24, 24, residual=True, fold_out=3),
    Conv(5, 3, 19, 27),
    Conv(14, 14, 33, 65, residual=True, low=0.0, fold_in=4, fold_out=8),
)
DEPTHWISE = (
    Conv(9, 11, 32, 32, (3, 3), (1, 1), (1, 1, 1, 1), 32, low=0.0, high=6.0),
    Conv(14, 14, 24, 24, (3, 3), (2, 2), (1, 1, 1, 1), 24, low=0.0, high=6.0),
    Conv(7, 7, 19, 19, (3, 3), (1, 1), (1, 1, 1, 1), 19),
    Conv(5, 6, 8, 8, (5, 5), (1, 1), (2, 2, 2, 2), 8, residual=True, low=0.0),
    Conv(1, 1, 4, 4, (3, 3), (1, 1), (1, 1, 1, 1), 4),
    Conv(2, 2, 12, 12, (3, 3), (2, 2), (0, 0, 1, 1), 12, fold_out=2),
    Conv(28, 28, 64, 64, (3, 3), (2, 2), (1, 1, 1, 1), 64),
)
MAX_POOL = (
    MaxPool(14, 12, 16, (3, 3), (2, 2), (1, 1, 1, 1), fold_out=2),
    MaxPool(7, 5, 19, (3, 3), (2, 2), (0, 0, 1, 1)),
    MaxPool(6, 6, 8, (2, 2), (2, 2), (0, 0, 0, 0)),
    MaxPool(28, 28, 64, (3, 3), (2, 2), (1, 1, 1, 1)),
    MaxPool(28, 28, 64, (3, 3), (2, 2), (1, 1, 1, 1), fold_out=8),
)
GLOBAL_POOL = (
    GlobalPool(7, 7, 1280),
    GlobalPool(3, 5, 19),
    GlobalPool(1, 1, 4),
    GlobalPool(4, 4, 512),
    GlobalPool(1, 1, 27, frames=8, pitch=32),
    GlobalPool(2, 3, 19, frames=3, pitch=128),
)
COPY = (
    Copy(15, 24, 3),
    Copy(4, 16, 16),
    Copy(784, 64, 8),
    Transpose(15, 7),
    Transpose(160, 320),
    Transpose(3, 64),
)
JOIN = (
    Join(15, 24, 3, 3, 3, 0, 3),
    Join(4, 16, 2, 5),
    Join(6, 160, 0, 80, 96, 5, 70),
    Join(1, 8, 0, 1, 2, 1, 1),
    Join(784, 96, 12, 60, 144, 3, 24),
)
FRAME_JOIN = (
    FrameJoin(7, 27, out_pitch=128),
    FrameJoin(7, 27, begin=1),
    FrameJoin(1, 19, out_pitch=128),
    FrameJoin(3, 300, begin=2, pitch=384),
    FrameJoin(7, 96 * 28 * 28, begin=1),
)
REGION_MAX = (
    RegionMax(2, 5, 7, 19, 6, pitch=768, out_pitch=128),
    RegionMax(1, 2, 3, 8, 5),
    RegionMax(1, 1, 1, 33, 4),
    RegionMax(3, 7, 7, 64, 50),
)
OVERLAP_MEAN = (
    OverlapMean(3, 7, 19, 1, pitch=256, out_pitch=384),
    OverlapMean(3, 9, 40, -1, pitch=384, out_pitch=384),
    OverlapMean(1, 3, 8, 1),
    OverlapMean(4, 50, 128, 1),
)
LAYER_NORM = (
    LayerNorm(2, 5, 19, 1e-5, pitch=128, out_pitch=256),
    LayerNorm(1, 3, 64, 1e-5, relu=True),
    LayerNorm(3, 4, 33, 1e-3, relu=True, residual=True, pitch=256, out_pitch=256),
    LayerNorm(8, 50, 512, 1e-5, relu=True),
)
