"""The pointers of float kernels by operand, the same for every family (names: `ir/ops/roles.py`, and w, b)."""

from __future__ import annotations

from collections.abc import Mapping

from ..ir.dtype import Pointer, Types
from ..ir.ops import Conv, MaxPool


def typed(sizes: Mapping[str, int], types: Types) -> dict[str, Pointer]:
    """Pointers in calling order from their numbers of elements, typed by operand; those of size 0 are left out."""
    return {name: Pointer(size, types.of(name)) for name, size in sizes.items() if size}


def conv_pointers(op: Conv, weights: int, bias: int = 0) -> dict[str, Pointer]:
    """The pointers of a convolution. weights, bias: packed elements; bias 0: one per output channel."""
    pixels_in = op.height * op.width
    sizes = {
        "x": pixels_in * op.channels,
        "state": pixels_in * op.fold_in,
        "w": weights,
        "b": bias or op.out_channels,
        "r": op.pixels * op.out_channels if op.residual else 0,
        "y": op.pixels * op.out_channels,
        "next": op.pixels * op.fold_out,
    }
    return typed(sizes, op.types)


def max_pool_pointers(op: MaxPool) -> dict[str, Pointer]:
    """The pointers of a maximum pooling."""
    pixels = op.windows.pixels
    sizes = {"x": op.height * op.width * op.channels, "y": pixels * op.channels, "next": pixels * op.fold_out}
    return typed(sizes, op.types)
