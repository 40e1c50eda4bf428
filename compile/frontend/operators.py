"""Which Relax operators the passes understand, and what they keep of them.

`recognise` answers with the record of a call and its weights; `Opaque` for everything else. A reader returns None when
a detail of the call (a dilation, a foreign layout) is outside what the schedules compute.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tsm_edge.errors import ImportFailed

from ..ir.ops import (
    Add,
    Alias,
    BatchNorm,
    Clip,
    Concat,
    Conv,
    Dense,
    GlobalPool,
    MaxPool,
    Opaque,
    Operator,
    Slice,
)


@dataclass(frozen=True)
class Split:
    """The pieces of a value along an axis; `cuts` are their bounds. The importer makes a slice of each."""

    axis: int
    cuts: tuple[int, ...]


@dataclass(frozen=True)
class Weighted:
    """A convolution with its weight [CO, CI, KH, KW], or [CO, CI, KT, KH, KW]; its bias is zero."""

    op: Dense
    weight: np.ndarray


Call = Any  # a Relax call, variable or argument: TVM has no types
Found = Operator | Split | Weighted
Constants = list["np.ndarray | None"]
Reader = Callable[[Call, Constants, "tuple[int, ...]"], "Found | None"]


def recognise(
    operator: str, call: Call, constants: Constants, shape: tuple[int, ...], clip: bool = False
) -> Found:
    """constants: the constant behind each tensor argument or None; shape: of the first argument.

    clip: the first axis counts frames, each of which the record of one is for; else it must be 1.
    """
    reader = READERS.get(operator) if clip or operator not in CLIP_ONLY else None
    found = reader(call, constants, shape) if reader else None
    if not clip and isinstance(found, (Weighted, GlobalPool, MaxPool)) and shape[0] != 1:
        return Opaque()
    return found or Opaque()


def conv2d(call: Call, constants: Constants, shape: tuple[int, ...]) -> Found | None:
    attrs, weight = call.attrs, constants[1]
    layouts = (attrs.data_layout, attrs.kernel_layout)
    if weight is None or layouts != ("NCHW", "OIHW") or ints(attrs.dilation) != (1, 1):
        return None
    groups = int(attrs.groups)
    if groups != 1 and not weight.shape[0] == groups == shape[1]:
        return None
    channels, height, width = shape[1:]
    kernel, stride, pad = pair(weight.shape[2:]), pair(ints(attrs.strides)), four(ints(attrs.padding))
    return Weighted(Conv(height, width, channels, weight.shape[0], kernel, stride, pad, groups), weight)


def batch_norm(call: Call, constants: Constants, shape: tuple[int, ...]) -> Found | None:
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta as scale * x + shift."""
    gamma, beta, mean, variance = constants[1:5]
    if gamma is None or beta is None or mean is None or variance is None or int(call.attrs.axis) != 1:
        return None
    scale = 1.0 / np.sqrt(variance.astype(np.float64) + float(call.attrs.epsilon))
    scale = scale * gamma if call.attrs.scale else scale
    shift = (beta if call.attrs.center else 0.0) - mean * scale
    return BatchNorm(scale, shift)


def clip(call: Call, constants: Constants, shape: tuple[int, ...]) -> Found | None:
    low, high = float(call.args[1].value), float(call.args[2].value)
    if low > high:  # frameworks disagree on what that means, and nobody means it
        raise ImportFailed(
            "A clamp has its bounds crossed.", found=f"{low:g} to {high:g}", allowed="low <= high"
        )
    return Clip(None if low < -1e37 else low, None if high > 1e37 else high)


def relu(call: Call, constants: Constants, shape: tuple[int, ...]) -> Found | None:
    return Clip(0.0, None)


def relu6(call: Call, constants: Constants, shape: tuple[int, ...]) -> Found | None:
    return Clip(0.0, 6.0)


def add(call: Call, constants: Constants, shape: tuple[int, ...]) -> Found | None:
    return Add()


def strided_slice(call: Call, constants: Constants, shape: tuple[int, ...]) -> Found | None:
    """One axis, step 1, constant bounds; end is cut to the extent."""
    try:
        axes, begin, end = (integers(call.args[i]) for i in (1, 2, 3))
        steps = integers(call.args[4]) if len(call.args) > 4 else [1]
    except (AttributeError, TypeError, ValueError):
        return None
    if len(axes) != 1 or steps != [1] or len(shape) not in (2, 4):
        return None
    axis = axes[0] % len(shape)
    extent = shape[axis]
    first, last = (
        min(max(value + extent if value < 0 else value, 0), extent) for value in (begin[0], end[0])
    )
    return Slice(axis, first, last)


def split(call: Call, constants: Constants, shape: tuple[int, ...]) -> Found | None:
    """A split of a 4-D value: `cuts` are the bounds of its pieces along `axis`."""
    axis = int(call.attrs.axis) % max(1, len(shape))
    sections = call.attrs.indices_or_sections
    if len(shape) != 4:
        return None
    if isinstance(sections, int) or hasattr(sections, "value"):
        piece = -(-shape[axis] // int(sections))
        cuts = [min(piece * i, shape[axis]) for i in range(int(sections) + 1)]
    else:
        cuts = [0, *ints(sections), shape[axis]]
    return Split(axis, tuple(cuts))


def concat(call: Call, constants: Constants, shape: tuple[int, ...]) -> Found | None:
    return Concat(int(call.attrs.axis) % max(1, len(shape)))


def mean(call: Call, constants: Constants, shape: tuple[int, ...]) -> Found | None:
    axes = sorted(axis % len(shape) for axis in ints(call.attrs.axis)) if call.attrs.axis is not None else []
    if len(shape) == 2 and shape[0] > 1 and axes == [0]:
        return GlobalPool(1, 1, shape[1], frames=shape[0])
    return pool_of(shape) if len(shape) == 4 and axes == [2, 3] else None


def global_average(call: Call, constants: Constants, shape: tuple[int, ...]) -> Found | None:
    size = call.attrs.output_size
    ok = size is not None and ints(size) == (1, 1) and call.attrs.layout == "NCHW"
    return pool_of(shape) if ok else None


def max_pool2d(call: Call, constants: Constants, shape: tuple[int, ...]) -> Found | None:
    attrs = call.attrs
    if attrs.layout != "NCHW" or ints(attrs.dilation) != (1, 1):
        return None
    channels, height, width = shape[1:]
    kernel, stride, pad = pair(ints(attrs.pool_size)), pair(ints(attrs.strides)), four(ints(attrs.padding))
    if bool(attrs.ceil_mode):  # windows that end outside: as many more rows and columns, which never win
        rows, columns = (
            (count - 1) * step + size - extent - before
            for count, step, size, extent, before in zip(
                extents(call)[2:], stride, kernel, (height, width), pad[:2], strict=True
            )
        )
        pad = (pad[0], pad[1], max(rows, pad[2]), max(columns, pad[3]))
    return MaxPool(height, width, channels, kernel, stride, pad)


def avg_pool2d(call: Call, constants: Constants, shape: tuple[int, ...]) -> Found | None:
    """A mean over windows that counts its padding is a depthwise convolution with equal weights."""
    attrs = call.attrs
    pad = four(ints(attrs.padding))
    if attrs.layout != "NCHW" or ints(attrs.dilation) != (1, 1) or (any(pad) and not bool(attrs.count_include_pad)):
        return None
    channels, height, width = shape[1:]
    kernel, stride = pair(ints(attrs.pool_size)), pair(ints(attrs.strides))
    op = Conv(height, width, channels, channels, kernel, stride, pad, channels)
    if (op.out_height, op.out_width) != extents(call)[2:] or channels == 1:  # a last window that ends outside
        return None
    share = 1.0 / (kernel[0] * kernel[1])
    return Weighted(op, np.full((channels, 1, *kernel), share, np.float32))


def multiply(call: Call, constants: Constants, shape: tuple[int, ...]) -> Found | None:
    """A product with one number, per channel as a batch norm has it."""
    factor = scalar_bound(call, constants, shape)
    if factor is None or len(shape) not in (2, 4):
        return None
    return BatchNorm(np.full(shape[1], factor, np.float64), np.zeros(shape[1]))


def matmul(call: Call, constants: Constants, shape: tuple[int, ...]) -> Found | None:
    """[1, K] x constant [K, N]: a pointwise convolution of one pixel."""
    weight = constants[1]
    if weight is None or weight.ndim != 2 or len(shape) != 2:
        return None
    matrix = np.ascontiguousarray(weight.T)[:, :, None, None]
    return Weighted(Conv(1, 1, shape[1], weight.shape[1]), matrix)


def reshape(call: Call, constants: Constants, shape: tuple[int, ...]) -> Found | None:
    """A reshape is free when every 4-D side has one pixel: then NHWC and NCHW are the same bytes."""
    free = all(len(side) < 4 or side[2:] == (1, 1) for side in (shape, extents(call)))
    return Alias() if free else None


def call_tir(call: Call, constants: Constants, shape: tuple[int, ...]) -> Found | None:
    """The ONNX frontend lowers Clip on the spot, to topi's maximum and minimum with a scalar."""
    reader = {"maximum": maximum, "minimum": minimum}.get(call.args[0].name_hint.rstrip("0123456789_"))
    return reader(call, constants, shape) if reader else None


def maximum(call: Call, constants: Constants, shape: tuple[int, ...]) -> Found | None:
    bound = scalar_bound(call, constants, shape)
    return None if bound is None else Clip(bound, None)


def minimum(call: Call, constants: Constants, shape: tuple[int, ...]) -> Found | None:
    bound = scalar_bound(call, constants, shape)
    return None if bound is None else Clip(None, bound)


def scalar_bound(call: Call, constants: Constants, shape: tuple[int, ...]) -> float | None:
    """The one number that the first argument is compared with, when that leaves its shape as it is."""
    if len(constants) != 2 or constants[1] is None or constants[1].size != 1 or extents(call) != shape:
        return None
    bound = float(constants[1].reshape(()))
    return None if np.isnan(bound) else bound


READERS: dict[str, Reader] = {
    "relax.nn.conv2d": conv2d,
    "relax.nn.batch_norm": batch_norm,
    "relax.call_tir": call_tir,
    "relax.clip": clip,
    "relax.maximum": maximum,
    "relax.minimum": minimum,
    "relax.nn.relu": relu,
    "relax.nn.relu6": relu6,
    "relax.add": add,
    "relax.strided_slice": strided_slice,
    "relax.split": split,
    "relax.concat": concat,
    "relax.mean": mean,
    "relax.nn.adaptive_avg_pool2d": global_average,
    "relax.nn.max_pool2d": max_pool2d,
    "relax.nn.avg_pool2d": avg_pool2d,
    "relax.multiply": multiply,
    "relax.matmul": matmul,
    "relax.reshape": reshape,
    "relax.squeeze": reshape,
    "relax.expand_dims": reshape,
    "relax.flatten": reshape,
    "relax.nn.batch_flatten": reshape,
}


#: what plain loops compute well enough in a network that runs frame by frame; a clip has none
CLIP_ONLY = {"relax.nn.avg_pool2d", "relax.multiply"}


def pool_of(shape: tuple[int, ...]) -> GlobalPool:
    """The mean over the pixels of a value."""
    channels, height, width = shape[1:]
    return GlobalPool(height, width, channels)


def pair(values: tuple[int, ...]) -> tuple[int, int]:
    """Along y and x."""
    y, x = values
    return y, x


def four(values: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Top, left, bottom, right."""
    top, left, bottom, right = values
    return top, left, bottom, right


def extents(call: Call) -> tuple[int, ...]:
    """The shape of a call's only result."""
    return tuple(int(extent) for extent in call.ty.shape.values)


def ints(values: Any) -> tuple[int, ...]:
    """TVM integers as Python's."""
    return tuple(int(value) for value in values)


def integers(argument: Any) -> list[int]:
    """A tuple of integer literals in a call's arguments."""
    fields = argument.fields if hasattr(argument, "fields") else argument.values
    return [int(field.value) if hasattr(field, "value") else int(field) for field in fields]
