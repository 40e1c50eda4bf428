"""States as a bundle stores them: their form, and the numbers that a float32 stands for."""

from __future__ import annotations

import ctypes
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import RuntimeFailure
from ..signature import Signature
from . import abi

Stored = NDArray[np.float32] | NDArray[np.float16] | NDArray[np.int8]
#: by the numbers of `tsm_dtype`
DTYPES: tuple[np.dtype[np.float32] | np.dtype[np.float16] | np.dtype[np.int8], ...] = (
    np.dtype(np.float32),
    np.dtype(np.float16),
    np.dtype(np.int8),
)


class StateForm(NamedTuple):
    """How a state is stored: shape (NCHW), type, and, for int8, the scale and zero by which q is (q - zero) * scale."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[np.float32] | np.dtype[np.float16] | np.dtype[np.int8]
    scale: float
    zero: int


def forms(library: ctypes.CDLL, handle: ctypes.c_void_p, signature: Signature) -> tuple[StateForm, ...]:
    """The form of every state; RuntimeFailure for a bundle whose version does not tell it."""
    if not hasattr(library, "tsm_state_stored"):
        raise RuntimeFailure("This bundle does not give its states as stored.", hint="compile the bundle again")
    found, form = [], abi.StateForm()
    for index, pair in enumerate(signature.states):
        library.tsm_state_stored(handle, index, ctypes.byref(form))
        name, shape = pair.input.name, pair.input.shape
        found.append(StateForm(name, shape, DTYPES[form.dtype], float(form.scale), int(form.zero)))
    return tuple(found)
