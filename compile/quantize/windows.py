"""The windows of a convolution or pool over an image in numpy, and products with them; any dtype."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def windows(
    image: Array, kernel: tuple[int, int], stride: tuple[int, int], pad: tuple[int, int, int, int], fill: float
) -> Array:
    """[H, W, C] -> view [OH, OW, C, KH, KW]; elements outside the image are `fill`."""
    top, left, bottom, right = pad
    padded = np.pad(image, ((top, bottom), (left, right), (0, 0)), constant_values=fill)
    view = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(0, 1))
    return view[:: stride[0], :: stride[1]]


def convolve(
    image: Array,
    weight: Array,
    stride: tuple[int, int],
    pad: tuple[int, int, int, int],
    groups: int,
    fill: float = 0.0,
) -> Array:
    """[H, W, C] with weight [O, C / groups, KH, KW] -> [OH, OW, O] in the dtype of both.

    float64 is exact for integers up to 2^53, and BLAS has no integer products.
    """
    outputs, inner, *kernel = weight.shape
    view = windows(image, (kernel[0], kernel[1]), stride, pad, fill)
    if groups == outputs == image.shape[2] and inner == 1:
        return np.asarray(np.einsum("hwcij,cij->hwc", view, weight[:, 0]))
    height, width, channels = view.shape[:3]
    each, given = channels // groups, outputs // groups
    parts = [
        view[:, :, g * each : (g + 1) * each].reshape(height * width, -1)
        @ weight[g * given : (g + 1) * given].reshape(given, -1).T
        for g in range(groups)
    ]
    return np.concatenate(parts, axis=1).reshape(height, width, outputs)
