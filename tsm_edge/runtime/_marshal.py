"""What crosses between numpy and a bundle's library: arguments are checked here, for C would only crash on them."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import DeviceError, FrameError, RuntimeFailure, UnknownName
from ..pixels import FORMATS, STANDARDS, Frame, Pixels, check_names, split
from . import abi

Floats = NDArray[np.float32]
FLOAT, BYTE = np.dtype(np.float32), np.dtype(np.uint8)


def check_array(name: str, value: object, dtype: np.dtype[np.generic], shape: tuple[int, ...] | None = None) -> None:
    """Refuse what is no array of this type and shape (None: of any) with a FrameError that calls it ``name``."""
    fits = isinstance(value, np.ndarray) and value.dtype == dtype and shape in (None, value.shape)
    if fits:  # nothing is worded for the usual case: this stands in every step
        return
    allowed = f"a numpy array of {dtype}" + (f" and shape {list(shape)}" if shape else "")
    if not isinstance(value, np.ndarray):
        raise FrameError(f"'{name}' is no array.", found=type(value).__name__, allowed=allowed)
    raise FrameError(f"'{name}' does not fit.", found=f"{value.dtype} {list(value.shape)}", allowed=allowed)


def in_order(
    values: Mapping[str, NDArray[np.generic]], allowed: Sequence[tuple[str, tuple[int, ...], np.dtype[np.generic]]]
) -> list[tuple[int, NDArray[np.generic]]]:
    """States by their number, each a contiguous array; refuses all of them where one has a wrong name, shape or type.

    allowed: name, shape and type of every state.
    """
    known = {name: (index, shape, dtype) for index, (name, shape, dtype) in enumerate(allowed)}
    for name, value in values.items():
        if name not in known:
            raise UnknownName.of("state", name, known)
        check_array(name, value, known[name][2], known[name][1])
    return [(known[name][0], np.ascontiguousarray(value)) for name, value in values.items()]


def address(array: NDArray[np.generic]) -> int:
    """Where an array's numbers lie.

    `array.ctypes` runs through much of numpy, and after a step nothing of that is in a cache.
    """
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))  # type: ignore[arg-type]
    except (TypeError, ValueError):  # not to be written, or rows apart: no such buffer
        return int(array.ctypes.data)


def c_frame(frame: Frame, format: str, color: str) -> tuple[abi.Frame, tuple[Pixels, ...]]:
    """Return a frame for the library, and the arrays that must live as long as it is used.

    Rows are read where they are. A frame in which they do not lie as the format says (mirrored, transposed) is copied.
    Raises FrameError when type, shape, format or color are wrong.
    """
    check_names(format, color)
    planes = split(frame, format)
    width, height = planes.width, planes.height
    out = abi.Frame(width=width, height=height, format=FORMATS[format], color=STANDARDS[color])
    main, chroma = planes.main, planes.chroma
    if format == "yuyv" and isinstance(frame, np.ndarray):
        main, chroma = frame, None  # one plane for the library
    elif format == "nv12":
        out.format = FORMATS["yuv420"]  # the same samples; U and V need not be interleaved in an own array
    kept = [_rows(main)]
    if chroma is not None:
        kept += _same_step(chroma)
        out.chroma_step = kept[1].strides[1] if kept[1].shape[1] > 1 else 1
    for index, plane in enumerate(kept):
        out.planes[index] = address(plane)
        least = plane.shape[1] * (plane.shape[2] if plane.ndim == 3 else max(out.chroma_step, 1) if index else 1)
        out.strides[index] = plane.strides[0] if plane.shape[0] > 1 else least  # of a single row numpy keeps any
    return out, tuple(kept)


def _rows(plane: Pixels) -> Pixels:
    """The plane, or a copy where its rows are not bytes one behind the other."""
    samples = plane.shape[2] if plane.ndim == 3 else 1
    inner = (samples, 1) if plane.ndim == 3 else (1,)
    good = plane.strides[1:] == inner and plane.strides[0] >= samples * plane.shape[1]
    return plane if good else np.ascontiguousarray(plane)


def _same_step(chroma: tuple[Pixels, Pixels]) -> list[Pixels]:
    """U and V, or copies of both where the library could not walk along them with one step of 1 or 2 bytes."""
    steps = {plane.strides[1] for plane in chroma}
    good = len(steps) == 1 and steps <= {1, 2} and all(p.strides[0] >= p.strides[1] * p.shape[1] for p in chroma)
    return list(chroma) if good else [np.ascontiguousarray(plane) for plane in chroma]


def failure_of(status: int) -> type[RuntimeFailure]:
    """Return the error that a status of the library is, other than OK."""
    return DeviceError if status == abi.DEVICE else RuntimeFailure
