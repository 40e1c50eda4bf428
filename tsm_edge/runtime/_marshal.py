"""What crosses between numpy and a bundle's library: arguments are checked here, for C would only crash on them."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DeviceError, FrameError, RuntimeFailure
from . import abi

Floats = NDArray[np.float32]
FLOAT, BYTE = np.dtype(np.float32), np.dtype(np.uint8)


def check_array(name: str, value: object, dtype: np.dtype[Any], shape: tuple[int, ...] | None = None) -> None:
    """Refuse what is no array of this type and shape (None: of any) with a FrameError that calls it ``name``."""
    fits = isinstance(value, np.ndarray) and value.dtype == dtype and shape in (None, value.shape)
    if fits:  # nothing is worded for the usual case: this stands in every step
        return
    allowed = f"a numpy array of {dtype}" + (f" and shape {list(shape)}" if shape else "")
    if not isinstance(value, np.ndarray):
        raise FrameError(f"'{name}' is no array.", found=type(value).__name__, allowed=allowed)
    raise FrameError(f"'{name}' does not fit.", found=f"{value.dtype} {list(value.shape)}", allowed=allowed)


def address(array: NDArray[Any]) -> int:
    """Where an array's numbers lie.

    `array.ctypes` runs through much of numpy, and after a step nothing of it is in a cache: on a Zen 4 core it takes 35
    to 40 us then, and this 21. A step of 5.6 ms does not show it.
    """
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))  # type: ignore[arg-type]
    except (TypeError, ValueError):  # not to be written, or rows apart: no such buffer
        return int(array.ctypes.data)


def failure_of(status: int) -> type[RuntimeFailure]:
    """Return the error that a status of the library is, other than OK."""
    return DeviceError if status == abi.DEVICE else RuntimeFailure
