"""Calls over the frames of a clip as volumes: [1, C, T, H, W] is kept as the clip's own [T, C, H, W].

Both are the same bytes, [T, H, W, C], so what only changes the order of axes between them computes nothing: it is
remembered as a view of the value until a call reads it. A call that reads a volume without a record is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from tsm_edge.errors import ImportFailed

from ..ir.ops import Conv, FrameMax, GlobalPool, MaxPool, VolumeConv
from .operators import Call, Found, Weighted, four, ints

Shape = tuple[int, ...]


@dataclass(frozen=True)
class View:
    """How a Relax variable shows a value [T, C, H, W]: its axes in order, "t", "c", "h", "w" and "1".

    Axes that a reshape joined are one word: "thw". A vector a frame is [T, C], axes "t" and "c".
    """

    value: str
    axes: tuple[str, ...]


VOLUME = ("1", "c", "t", "h", "w")
FRAMES = ("t", "c", "h", "w")
VECTORS = ("t", "c")


def is_volume(axes: Sequence[str]) -> bool:
    """Whether convolutions along time read these axes."""
    return tuple(axes) == VOLUME


def permuted(view: View, order: Sequence[int]) -> View:
    """The view with its axes in another order."""
    return View(view.value, tuple(view.axes[axis] for axis in order))


def reshaped(view: View, sizes: dict[str, int], shape: Shape) -> View | None:
    """The view with the extents of a new shape; None where an axis is cut otherwise than between the value's own.

    sizes: extents of the value's axes by letter.
    """
    letters = [letter for axis in view.axes for letter in axis if letter != "1"]
    axes: list[str] = []
    for place, extent in enumerate(shape):
        if tuple(sizes[letter] for letter in letters) == shape[place:]:  # one each, those of extent 1 too
            return View(view.value, (*axes, *letters))
        word, size = "", 1
        while letters and (size < extent or (extent > 1 and sizes[letters[0]] == 1)):
            size *= sizes[letters[0]]
            word += letters.pop(0)
        if size != extent:
            return None
        axes.append(word or "1")
    if letters and prod(sizes[letter] for letter in letters) > 1:
        return None
    return View(view.value, tuple(axes))


def sizes_of(shape: Shape) -> dict[str, int]:
    """Extents by letter of a value [T, C, H, W] or [T, C]."""
    return dict(zip("tchw", shape, strict=False))


def alike(axes: Sequence[str], wanted: Sequence[str], sizes: dict[str, int]) -> bool:
    """Whether two words of axes name the same bytes: an axis of extent 1 may stand anywhere, or be left out."""

    def bare(names: Sequence[str]) -> list[str]:
        return ["".join(letter for letter in word if sizes.get(letter, 1) > 1) for word in names]

    return bare(axes) == bare(wanted)


def stored_as(axes: Sequence[str]) -> tuple[str, ...] | None:
    """The axes of the graph's value that a view can stand for by itself, or None."""
    bare = tuple(axis for axis in axes if axis != "1")
    return bare if bare in (FRAMES, VECTORS) else None


def conv3d(call: Call, constants: Sequence[np.ndarray | None], shape: Shape) -> Found | None:
    """A convolution of [T, C, H, W]: of each frame alone, or along time."""
    attrs, weight = call.attrs, constants[1]
    layouts = (attrs.data_layout, attrs.kernel_layout)
    if weight is None or layouts != ("NCDHW", "OIDHW") or ints(attrs.dilation) != (1, 1, 1):
        return None
    if int(attrs.groups) != 1:
        return None
    frames, channels, height, width = shape
    depth, *kernel = weight.shape[2:]
    step, *stride = ints(attrs.strides)
    pad = ints(attrs.padding)
    front, back = pad[0], pad[3]
    sides = four((*pad[1:3], *pad[4:6]))
    one = Conv(
        height, width, channels, weight.shape[0], (kernel[0], kernel[1]), (stride[0], stride[1]), sides
    )
    if (depth, step, front, back) == (1, 1, 0, 0):
        return Weighted(one, weight[:, :, 0])
    return Weighted(VolumeConv(frames, one, depth, step, front, back), weight)


def max_pool3d(call: Call, shape: Shape) -> tuple[MaxPool | None, FrameMax | None] | None:
    """A maximum over each frame's windows, then over frames; None for one without records."""
    attrs = call.attrs
    if attrs.layout != "NCDHW" or ints(attrs.dilation) != (1, 1, 1) or bool(attrs.ceil_mode):
        return None
    frames, channels, height, width = shape
    depth, *kernel = ints(attrs.pool_size)
    step, *stride = ints(attrs.strides)
    pad = ints(attrs.padding)
    sides = four((*pad[1:3], *pad[4:6]))
    spatial = (tuple(kernel), tuple(stride), sides) != ((1, 1), (1, 1), (0, 0, 0, 0))
    temporal = (depth, step, pad[0], pad[3]) != (1, 1, 0, 0)
    if pad[0] != pad[3]:
        return None
    pool = MaxPool(height, width, channels, (kernel[0], kernel[1]), (stride[0], stride[1]), sides)
    after = (pool.out_height, pool.out_width) if spatial else (height, width)
    along = FrameMax(frames, prod(after) * channels, depth, step, pad[0])
    return (pool if spatial else None), (along if temporal else None)


def mean(axes: Sequence[str], over: Sequence[int], shape: Shape) -> GlobalPool | None:
    """The mean over all pixels, all frames, or both; None for another one."""
    gone = set("".join(axes[axis] for axis in over)) - {"1"}
    frames, channels, *pixels = shape
    height, width = pixels or (1, 1)
    if gone == {"h", "w"}:
        return GlobalPool(height, width, channels)
    if gone in ({"t", "h", "w"}, {"t"}) and (gone != {"t"} or height * width == 1):
        return GlobalPool(height, width, channels, frames=frames)
    return None


def refuse(operator: str, axes: Sequence[str]) -> ImportFailed:
    """A volume where no record reads one."""
    return ImportFailed(
        f"{operator} reads the frames of a clip in an order that has no kernel.",
        found=f"axes {' x '.join(axes)}",
        allowed="1 x c x t x h x w, and t x c x h x w",
        hint="move the axes back before it",
    )

