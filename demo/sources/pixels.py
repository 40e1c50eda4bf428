"""Raw frames: how many bytes one has, and how it becomes uint8 BGR. Colours are BT.601, as webcams deliver them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tsm_edge.errors import UsageError
from tsm_edge.pixels import saturated

#: bits of a pixel in each raw format
_BITS = {"bgr": 24, "rgb": 24, "grey": 8, "yuyv": 16, "nv12": 12, "yuv420": 12}
_CODES = {
    "rgb": cv2.COLOR_RGB2BGR,
    "grey": cv2.COLOR_GRAY2BGR,
    "yuyv": cv2.COLOR_YUV2BGR_YUY2,
    "nv12": cv2.COLOR_YUV2BGR_NV12,
    "yuv420": cv2.COLOR_YUV2BGR_I420,
}
_LEVELS = np.arange(256.0)
#: from limited range (luma 16 to 235, colour 16 to 240) to full
_LUMA = saturated(np.rint((_LEVELS - 16) * 255 / 219))
_COLOUR = saturated(np.rint((_LEVELS - 128) * 255 / 224 + 128))


def frame_bytes(format: str, size: tuple[int, int]) -> int:
    """Return the bytes of a frame without padding.

    Raises:
        UsageError: the format halves a side that is odd.
    """
    width, height = size
    odd_height = format in ("nv12", "yuv420") and height % 2
    if format in ("nv12", "yuv420", "yuyv") and width % 2 or odd_height:
        raise UsageError(
            f"Frames of format {format} have even sides.",
            found=f"{width}x{height}",
            allowed=f"{width + width % 2}x{height + height % 2}, for example",
        )
    return width * height * _BITS[format] // 8


def to_bgr(data: bytes | bytearray | memoryview, format: str, size: tuple[int, int]) -> np.ndarray:
    """Return a frame, uint8 BGR (H, W, 3), from its bytes, of which there are `frame_bytes`."""
    width, height = size
    flat = np.frombuffer(data, np.uint8)
    if format == "bgr":
        frame: NDArray[np.uint8] = flat.reshape(height, width, 3).copy()
        return frame
    shape: tuple[int, ...] = {
        "rgb": (height, width, 3),
        "grey": (height, width),
        "yuyv": (height, width, 2),
    }.get(format, (height * 3 // 2, width))
    return np.asarray(cv2.cvtColor(flat.reshape(shape), _CODES[format]), np.uint8)


def planes_to_bgr(planes: tuple[np.ndarray, np.ndarray, np.ndarray], *, full_range: bool) -> np.ndarray:
    """Return a frame from its three planes, of which the two of colour may be smaller."""
    luma, blue, red = planes
    height, width = luma.shape
    blue, red = (cv2.resize(plane, (width, height), interpolation=cv2.INTER_NEAREST) for plane in (blue, red))
    if not full_range:
        luma = cv2.LUT(luma, _LUMA)
        blue, red = cv2.LUT(blue, _COLOUR), cv2.LUT(red, _COLOUR)
    return np.asarray(cv2.cvtColor(cv2.merge([luma, red, blue]), cv2.COLOR_YCrCb2BGR), np.uint8)
