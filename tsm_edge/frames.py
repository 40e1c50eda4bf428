"""From a picture to the network's input, in plain numpy: the reference for the runtime's C code.

The picture is resized, the centre is cut out, the bytes are scaled and normalised. Resizing is Pillow's
antialiased bilinear filter, bit for bit (that is what the networks were trained with): weights in double precision,
rounded to fixed point with 22 fractional bits, the result rounded to 8 bits after the horizontal and again after the
vertical pass. It is written to be read, not to be fast; a step does the same inside the bundle.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .pixels import Frame, Pixels, to_rgb
from .signature import Preprocess

#: fractional bits of the filter's weights
PRECISION_BITS = 32 - 8 - 2


def preprocess(
    frame: Frame, how: Preprocess, *, format: str = "bgr", color: str = "bt601"
) -> NDArray[np.float32]:
    """Return the input tensor, float32 [1, channels, *crop], of ``frame``, uint8 [height, width, 3].

    ``format`` and ``color``: as of :func:`tsm_edge.pixels.to_rgb`, other formats have other shapes. FrameError when
    type, shape or format are wrong.
    """
    rgb = to_rgb(frame, format, color)
    ordered = rgb[:, :, ::-1] if how.color == "bgr" else rgb
    width, height = fitted_size(rgb.shape[1], rgb.shape[0], how)
    cropped = centre_crop(resize(ordered, width, height), how.crop)
    return normalise(luma(cropped) if how.color == "grey" else cropped, how)


def fitted_size(width: int, height: int, how: Preprocess) -> tuple[int, int]:
    """Return the (width, height) that a picture of ``width`` x ``height`` is resized to."""
    tall, wide = how.resize
    if how.fit == "stretch":
        return wide, tall
    if wide * height >= tall * width:
        return wide, wide * height // width
    return tall * width // height, tall


def resize(image: Pixels, width: int, height: int) -> Pixels:
    """Return ``image``, uint8 [h, w, channels], resized to uint8 [height, width, channels]."""
    narrowed = _resample(image, width, axis=1)
    return _resample(narrowed, height, axis=0)


def centre_crop(image: Pixels, size: tuple[int, int]) -> Pixels:
    """Return the ``size`` (height, width) pixels in the middle; the corner is rounded half to even."""
    top, left = (round((side - crop) / 2) for side, crop in zip(image.shape[:2], size))
    return image[top : top + size[0], left : left + size[1]]


def luma(image: Pixels) -> Pixels:
    """Return RGB, uint8 [h, w, 3], as grey, uint8 [h, w, 1]: BT.601 in 16-bit fixed point, Pillow's mode "L"."""
    weighted = image.astype(np.uint32) @ np.array([19595, 38470, 7471], np.uint32)
    return ((weighted + 32768) >> 16).astype(np.uint8)[:, :, None]


def normalise(image: Pixels, how: Preprocess) -> NDArray[np.float32]:
    """Return uint8 [h, w, channels] as float32 [1, channels, h, w]: (value / scale - mean) / std."""
    scaled = image.astype(np.float32) / np.float32(how.scale)
    normalised = (scaled - np.asarray(how.mean, np.float32)) / np.asarray(how.std, np.float32)
    return np.ascontiguousarray(normalised.transpose(2, 0, 1)[None])


def _resample(image: Pixels, size: int, axis: int) -> Pixels:
    """Resize one axis: each output is a weighted sum of neighbouring inputs in fixed point."""
    weights = filter_weights(image.shape[axis], size)
    source = np.moveaxis(image, axis, 0).astype(np.int64)
    out = np.empty((size, *source.shape[1:]), np.uint8)
    for index, (start, taps) in enumerate(weights):
        total = np.tensordot(taps, source[start : start + len(taps)], axes=1) + (1 << (PRECISION_BITS - 1))
        out[index] = np.clip(total >> PRECISION_BITS, 0, 255)
    return np.moveaxis(out, 0, axis)


def filter_weights(in_size: int, out_size: int) -> list[tuple[int, NDArray[np.int64]]]:
    """Return, for each output, the first input it reads and the fixed-point weights of those it reads."""
    scale = in_size / out_size
    support = max(scale, 1.0)  # shrinking widens the triangle, which is the antialiasing
    inverse = 1.0 / support
    rows = []
    for index in range(out_size):
        centre = (index + 0.5) * scale
        start = max(int(centre - support + 0.5), 0)
        stop = min(int(centre + support + 0.5), in_size)
        exact = [max(0.0, 1.0 - abs((k + start - centre + 0.5) * inverse)) for k in range(stop - start)]
        total = sum(exact)
        fixed = [math.floor(0.5 + value / total * (1 << PRECISION_BITS)) for value in exact]
        rows.append((start, np.array(fixed, np.int64)))
    return rows
