"""The formats of a frame's pixels: their names, their planes, and their conversion to RGB in plain numpy.

The names and numbers are those of ``tsm_format`` and ``tsm_color`` in ``tsm_edge.h`` and of ``tsm-edge-run --format``
and ``--color``. The conversion is the reference for the runtime's C code, bit for bit: coefficients in fixed point with
20 fractional bits, one rounding, colour not interpolated between its samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from .errors import FrameError, UnknownName

Pixels = NDArray[np.uint8]
#: one array, or the planes of a format that has several
Frame = NDArray[np.uint8] | Sequence[NDArray[np.uint8]]

#: name -> number of tsm_format
FORMATS = {"bgr": 0, "rgb": 1, "grey": 2, "yuyv": 3, "nv12": 4, "yuv420": 5}
#: name -> number of tsm_color; limited range unless the name says "full"
STANDARDS = {"bt601": 0, "bt601-full": 1, "bt709": 2, "bt709-full": 3}
#: longest side of a frame, TSM_MAX_IMAGE_SIDE
MAX_SIDE = 16384
#: Kr and Kb: what red and blue are worth in Y
_LUMA = {"bt601": (Fraction(299, 1000), Fraction(114, 1000)), "bt709": (Fraction(2126, 10000), Fraction(722, 10000))}
_BITS = 20
_SHAPES = {
    "bgr": "[height, width, 3]",
    "rgb": "[height, width, 3]",
    "grey": "[height, width]",
    "yuyv": "[height, width, 2] of an even width",
    "nv12": "[height * 3/2, width] of even sides, or the planes [height, width] and [height/2, width/2, 2]",
    "yuv420": "[height * 3/2, width] of even sides, or the planes [height, width] and twice [height/2, width/2]",
}


@dataclass(frozen=True)
class Planes:
    """A frame whose shape was checked: views of its planes, U and V apart; none for formats without them."""

    width: int
    height: int
    main: Pixels  # [height, width, 3] of bgr and rgb, else Y, [height, width]
    chroma: tuple[Pixels, Pixels] | None = None


def saturated(values: NDArray[np.integer] | NDArray[np.floating]) -> Pixels:
    """Values as bytes: what is below 0 or above 255 becomes the nearest of these, fractions are cut off."""
    found: Pixels = np.clip(values, 0, 255).astype(np.uint8)
    return found


def check_names(format: str, color: str = "bt601") -> None:
    """Refuse an unknown format or standard with a FrameError."""
    if format not in FORMATS:
        raise FrameError("Unknown pixel format.", found=repr(format), allowed=", ".join(FORMATS))
    if color not in STANDARDS:
        raise FrameError("Unknown standard of color.", found=repr(color), allowed=", ".join(STANDARDS))


def split(frame: Frame, format: str) -> Planes:
    """Return the planes of ``frame``; FrameError when it is not what ``format`` says."""
    found: Planes | None = None
    if isinstance(frame, np.ndarray):
        found = _of_array(frame, format) if _is_bytes(frame) else None
    elif isinstance(frame, (tuple, list)) and all(map(_is_bytes, frame)):
        found = _of_planes(frame, format)
    if found is None or not (0 < found.width <= MAX_SIDE and 0 < found.height <= MAX_SIDE):
        raise FrameError(
            "A frame has the wrong type or shape.",
            found=_described(frame),
            allowed=f"uint8 {_SHAPES[format]}, each side 1 to {MAX_SIDE}",
        )
    return found


def _is_bytes(value: object) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.uint8


def _described(frame: object) -> str:
    if isinstance(frame, np.ndarray):
        return f"{frame.dtype} {list(frame.shape)}"
    if isinstance(frame, (tuple, list)):
        return f"{type(frame).__name__} of {', '.join(map(_described, frame[:4])) or 'nothing'}"
    return type(frame).__name__


def _of_array(frame: Pixels, format: str) -> Planes | None:
    if format in ("bgr", "rgb"):
        fits = frame.ndim == 3 and frame.shape[2] == 3
        return Planes(frame.shape[1], frame.shape[0], frame) if fits else None
    if format == "grey":
        return Planes(frame.shape[1], frame.shape[0], frame) if frame.ndim == 2 else None
    if format == "yuyv":
        if frame.ndim != 3 or frame.shape[2] != 2 or frame.shape[1] % 2:
            return None
        both = frame[:, :, 1]
        return Planes(frame.shape[1], frame.shape[0], frame[:, :, 0], (both[:, 0::2], both[:, 1::2]))
    if frame.ndim != 2 or frame.shape[0] % 3 or frame.shape[1] % 2 or frame.shape[0] // 3 * 2 % 2:
        return None
    height, width = frame.shape[0] // 3 * 2, frame.shape[1]
    if format == "nv12":
        return Planes(width, height, frame[:height], (frame[height:, 0::2], frame[height:, 1::2]))
    both = np.ascontiguousarray(frame[height:]).reshape(2, height // 2, width // 2)
    return Planes(width, height, frame[:height], (both[0], both[1]))


def _of_planes(planes: Sequence[Pixels], format: str) -> Planes | None:
    count = {"nv12": 2, "yuv420": 3}.get(format)
    if len(planes) != count or planes[0].ndim != 2:
        return None
    height, width = planes[0].shape
    half = ((height + 1) // 2, (width + 1) // 2)
    if format == "nv12":
        chroma = (planes[1][..., 0], planes[1][..., 1]) if planes[1].shape == (*half, 2) else None
    else:
        chroma = (planes[1], planes[2]) if planes[1].shape == planes[2].shape == half else None
    return None if chroma is None else Planes(width, height, planes[0], chroma)


def matrix(color: str) -> tuple[int, int, int, int, int, int]:
    """Return the coefficients of ``color``: Y, V in red, U in green, V in green, U in blue, and Y of black."""
    name, _, full = color.partition("-")
    if name not in _LUMA:
        raise UnknownName.of("standard of color", color, STANDARDS)
    red, blue = _LUMA[name]
    green = 1 - red - blue
    luma, chroma = (Fraction(1), Fraction(1)) if full else (Fraction(255, 219), Fraction(255, 224))
    exact = (
        luma,
        2 * (1 - red) * chroma,
        2 * blue * (1 - blue) / green * chroma,
        2 * red * (1 - red) / green * chroma,
        2 * (1 - blue) * chroma,
    )
    y, v_red, u_green, v_green, u_blue = (round(value * (1 << _BITS)) for value in exact)
    return y, v_red, u_green, v_green, u_blue, 0 if full else 16


def to_rgb(frame: Frame, format: str, color: str = "bt601") -> Pixels:
    """Return ``frame`` as uint8 [height, width, 3] in the order red, green, blue.

    Raises:
        FrameError: unknown names, or a frame that is not what ``format`` says.
    """
    check_names(format, color)
    planes = split(frame, format)
    if format == "rgb":
        return planes.main
    if format == "bgr":
        return planes.main[:, :, ::-1]
    if planes.chroma is None:
        return np.repeat(planes.main[:, :, None], 3, axis=2)
    y, v_red, u_green, v_green, u_blue, black = matrix(color)
    luma = (planes.main.astype(np.int64) - black) * y
    u, v = (_spread(plane, format, planes.height, planes.width).astype(np.int64) - 128 for plane in planes.chroma)
    sums = np.stack([luma + v_red * v, luma - u_green * u - v_green * v, luma + u_blue * u], axis=2)
    return saturated((sums + (1 << (_BITS - 1))) >> _BITS)


def _spread(plane: Pixels, format: str, height: int, width: int) -> Pixels:
    """Each sample of U or V for all pixels that it covers."""
    tall = plane if format == "yuyv" else np.repeat(plane, 2, axis=0)
    return np.repeat(tall, 2, axis=1)[:height, :width]
