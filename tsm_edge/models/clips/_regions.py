"""Regions of a clip's frames in torch: their features (RoIAlign), and means over the regions that they overlap.

Boxes are [N, T, B, 4]: left, top, right, bottom as fractions of the picture. Four zeros stand for the box of a fixed
grid. While a network is exported the functions are operators of their own, `tsm_edge::...`, which the compiler reads.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from math import isqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    Function = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]

SAMPLES = 14  # along each side of a box: 7 bins of 2


def grid(count: int) -> list[tuple[float, float, float, float]]:
    """The boxes where none are given: square windows that overlap by half, then the whole picture."""
    side = isqrt(count)
    step = 1 / (side + 1)
    windows = [
        (column * step, row * step, (column + 2) * step, (row + 2) * step)
        for row in range(side)
        for column in range(side)
    ]
    return windows + [(0.0, 0.0, 1.0, 1.0)] * (count - side * side)


def region_max(x: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """RoIAlign to 7x7 bins of 2x2 samples, then the maximum over the bins: [N, C, T, H, W] to [N, C, T, 1, B]."""
    return _called("region_max", _region_max, x, boxes, 0)


def overlap_mean(x: torch.Tensor, boxes: torch.Tensor, by: int) -> torch.Tensor:
    """The mean of the regions of the next frame (by 1) or the one before (-1), weighted by intersection over union.

    x: [N, C, T, 1, B]. Zeros where a region overlaps none, and where there is no such frame.
    """
    return _called("overlap_mean", _overlap_mean, x, boxes, by)


def _called(name: str, function: Function, x: torch.Tensor, boxes: torch.Tensor, by: int) -> torch.Tensor:
    import torch

    if not torch.compiler.is_exporting():
        return function(x, boxes, by)
    result: torch.Tensor = _operator(name, function)(x, boxes, by)
    return result


@functools.cache
def _operator(name: str, function: Function) -> Function:
    """The function as an operator that torch.export keeps whole."""
    import torch

    schema = "(Tensor x, Tensor boxes, int by) -> Tensor"
    operator = torch.library.custom_op(f"tsm_edge::{name}", function, mutates_args=(), schema=schema)

    def shape(x: torch.Tensor, boxes: torch.Tensor, by: int) -> torch.Tensor:
        return x.new_empty((*x.shape[:3], 1, boxes.shape[2]))

    operator.register_fake(shape)
    called: Function = operator
    return called


def _filled(boxes: torch.Tensor) -> torch.Tensor:
    """The boxes, those of the grid in place of zeros."""
    import torch

    absent = (boxes == 0).all(-1, keepdim=True)
    return torch.where(absent, boxes.new_tensor(grid(boxes.shape[2])), boxes)


def _region_max(x: torch.Tensor, boxes: torch.Tensor, by: int) -> torch.Tensor:
    import torch

    boxes = _filled(boxes)
    height, width = x.shape[3:]
    columns = _interpolation(boxes[..., 0] * width, boxes[..., 2] * width, width)
    rows = _interpolation(boxes[..., 1] * height, boxes[..., 3] * height, height)
    found = []
    for t in range(x.shape[2]):
        samples = torch.einsum("nbph,nchw,nbqw->ncbpq", rows[:, t], x[:, :, t], columns[:, t])
        bins = torch.nn.functional.avg_pool2d(samples.flatten(0, 1), 2)
        found.append(bins.amax((2, 3)).unflatten(0, samples.shape[:2]))
    return torch.stack(found, 2)[:, :, :, None]


def _interpolation(start: torch.Tensor, end: torch.Tensor, extent: int) -> torch.Tensor:
    """The weights [..., 14, extent] of the positions that each sample along a side lies between.

    A side is one position long at least. A sample more than one position outside is zero; others outside are those of
    the border.
    """
    import torch

    at = torch.arange(SAMPLES, dtype=start.dtype, device=start.device) + 0.5
    places = start[..., None] + at * ((end - start).clamp(min=1) / SAMPLES)[..., None]
    inside = (places >= -1) & (places <= extent)
    held = places.clamp(0, extent - 1)
    distance = (held[..., None] - torch.arange(extent, dtype=start.dtype, device=start.device)).abs()
    return (1 - distance).clamp(min=0) * inside[..., None]


def _overlap_mean(x: torch.Tensor, boxes: torch.Tensor, by: int) -> torch.Tensor:
    import torch

    boxes = _filled(boxes)
    frames = x.shape[2]
    result = torch.zeros_like(x)
    for t in range(max(0, -by), min(frames, frames - by)):
        weights = _intersection_over_union(boxes[:, t], boxes[:, t + by])
        total = weights.sum(-1, keepdim=True)
        shares = weights / torch.where(total > 0, total, torch.ones_like(total))
        result[:, :, t, 0] = torch.einsum("nij,ncj->nci", shares, x[:, :, t + by, 0])
    return result


def _intersection_over_union(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """[N, I, 4] and [N, J, 4] to [N, I, J]."""
    import torch

    a, b = first[:, :, None], second[:, None]
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    inside = (high - low).clamp(min=0).prod(-1)
    areas = [(each[..., 2:] - each[..., :2]).prod(-1) for each in (a, b)]
    union = areas[0] + areas[1] - inside
    return torch.where(inside > 0, inside / torch.where(inside > 0, union, torch.ones_like(union)), inside)
