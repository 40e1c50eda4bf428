"""The C interface of a bundle's library for ctypes: the structures and prototypes of ``tsm_edge.h``, nothing else."""

from __future__ import annotations

import ctypes as c
from pathlib import Path

from ..errors import EdgeError, RuntimeFailure, UsageError

OK, ARGUMENT, MEMORY, CPU, DEVICE, THREADS, BUSY, FORKED = range(8)
ERROR_SIZE = 512
MAX_THREADS = 64

_handle, _floats, _size = c.c_void_p, c.POINTER(c.c_float), c.c_size_t


class Image(c.Structure):
    """``tsm_image``."""

    _fields_ = [
        ("pixels", c.c_void_p),
        ("width", c.c_int32),
        ("height", c.c_int32),
        ("stride", c.c_size_t),
        ("format", c.c_int),
    ]


class Frame(c.Structure):
    """``tsm_frame``."""

    _fields_ = [
        ("planes", c.c_void_p * 3),
        ("strides", c.c_size_t * 3),
        ("chroma_step", c.c_int32),
        ("width", c.c_int32),
        ("height", c.c_int32),
        ("format", c.c_int),
        ("color", c.c_int),
    ]


class TensorInfo(c.Structure):
    """``tsm_tensor_info``."""

    _fields_ = [("name", c.c_char_p), ("ndim", c.c_int32), ("shape", c.c_int32 * 4), ("bytes", c.c_size_t)]


class StateForm(c.Structure):
    """``tsm_state_form``."""

    _fields_ = [("dtype", c.c_int), ("scale", c.c_float), ("zero", c.c_int32), ("bytes", c.c_size_t)]


class DecisionRule(c.Structure):
    """``tsm_decision_rule``."""

    _fields_ = [
        ("window", c.c_int32),
        ("agree", c.c_int32),
        ("threshold", c.c_double),
        ("idle", c.POINTER(c.c_int32)),
        ("idle_count", c.c_size_t),
    ]


class ModelInfo(c.Structure):
    """``tsm_model_info``."""

    _fields_ = [
        ("model", c.c_char_p),
        ("target", c.c_char_p),
        ("weights_note", c.c_char_p),
        ("classes", c.c_int32),
        ("labels", c.POINTER(c.c_char_p)),
        ("label_count", c.c_size_t),
        ("input_height", c.c_int32),
        ("input_width", c.c_int32),
        ("input_channels", c.c_int32),
        ("arena_bytes", c.c_size_t),
        ("state_bytes", c.c_size_t),
        ("weights_bytes", c.c_size_t),
        ("scratch_bytes", c.c_size_t),
        ("state_count", c.c_size_t),
        ("op_count", c.c_size_t),
        ("rate_fps", c.c_double),
        ("scores", c.c_int),
        ("decision", DecisionRule),
    ]


class Sampler(c.Structure):
    """``tsm_sampler``."""

    _fields_ = [
        ("rate_fps", c.c_double),
        ("missed", c.c_double),
        ("repeated", c.c_uint64),
        ("stalls", c.c_uint64),
        ("start", c.c_double),
        ("previous", c.c_double),
        ("tick", c.c_double),
        ("begun", c.c_int32),
    ]


class Decided(c.Structure):
    """``tsm_decided``."""

    _fields_ = [
        ("index", c.c_int32),
        ("raw_index", c.c_int32),
        ("probability", c.c_double),
        ("changed", c.c_int32),
        ("idle", c.c_int32),
    ]


class OpInfo(c.Structure):
    """``tsm_op_info``."""

    _fields_ = [
        ("kernel", c.c_char_p),
        ("layer", c.c_char_p),
        ("schedule", c.c_char_p),
        ("macs", c.c_int64),
        ("bytes", c.c_int64),
    ]


_PROTOTYPES = {
    "tsm_open": (c.c_int, [c.POINTER(_handle), c.c_char_p, _size]),
    "tsm_close": (None, [_handle]),
    "tsm_info": (c.c_int, [_handle, c.POINTER(ModelInfo)]),
    "tsm_device": (c.c_char_p, [_handle]),
    "tsm_op": (c.c_int, [_handle, _size, c.POINTER(OpInfo)]),
    "tsm_state_info": (c.c_int, [_handle, _size, c.POINTER(TensorInfo)]),
    "tsm_stream_new": (c.c_int, [_handle, c.c_int32, c.POINTER(_handle), c.c_char_p, _size]),
    "tsm_stream_free": (None, [_handle]),
    "tsm_step_image": (c.c_int, [_handle, c.POINTER(Image)]),
    "tsm_step_frame": (c.c_int, [_handle, c.POINTER(Frame)]),
    "tsm_frame_packed": (_size, [c.POINTER(Frame), c.c_int, c.c_int32, c.c_int32, _size, c.c_void_p]),
    "tsm_step_tensor": (c.c_int, [_handle, c.c_void_p, _size]),
    "tsm_reset": (c.c_int, [_handle]),
    "tsm_scores": (_floats, [_handle, c.POINTER(_size)]),
    "tsm_answers": (c.c_uint64, [_handle]),
    "tsm_state_get": (c.c_int, [_handle, _size, c.c_void_p, _size]),
    "tsm_state_set": (c.c_int, [_handle, _size, c.c_void_p, _size]),
    "tsm_state_stored": (c.c_int, [_handle, _size, c.POINTER(StateForm)]),
    "tsm_state_get_raw": (c.c_int, [_handle, _size, c.c_void_p, _size]),
    "tsm_state_set_raw": (c.c_int, [_handle, _size, c.c_void_p, _size]),
    "tsm_profile": (c.c_int, [_handle, c.c_int]),
    "tsm_op_ns": (c.POINTER(c.c_uint64), [_handle, c.POINTER(_size)]),
    "tsm_error": (c.c_char_p, [_handle]),
    "tsm_sampler_init": (c.c_int, [c.POINTER(Sampler), c.c_double]),
    "tsm_sampler_take": (c.c_int32, [c.POINTER(Sampler), c.c_double]),
    "tsm_probabilities": (c.c_int, [c.c_int, _floats, _size, c.POINTER(c.c_double)]),
    "tsm_decision_new": (
        c.c_int,
        [c.POINTER(DecisionRule), c.c_int, c.c_int32, c.POINTER(_handle), c.c_char_p, _size],
    ),
    "tsm_decision_free": (None, [_handle]),
    "tsm_decision_push": (c.c_int, [_handle, _floats, _size, c.POINTER(Decided)]),
    "tsm_decision_probabilities": (c.POINTER(c.c_double), [_handle, c.POINTER(_size)]),
    "tsm_decision_reset": (None, [_handle]),
    "tsm_decision_error": (c.c_char_p, [_handle]),
}


#: functions that bundles of earlier versions do not have
_SINCE = ("tsm_answers", "tsm_state_stored", "tsm_state_get_raw", "tsm_state_set_raw")


def check_threads(value: int) -> int:
    """Return a stream's number of threads, 1 to 64; UsageError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_THREADS:
        raise UsageError("Bad number of threads.", found=value, allowed=f"an integer from 1 to {MAX_THREADS}")
    return value


def load(path: Path) -> c.CDLL:
    """Load the library at ``path`` (absolute) and declare its functions; RuntimeFailure when that fails.

    Calls release Python's global lock, so streams in different threads run at the same time.
    """
    try:
        library = c.CDLL(str(path))
        for name, (result, arguments) in _PROTOTYPES.items():
            function = getattr(library, name, None) if name in _SINCE else getattr(library, name)
            if function is None:
                continue
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise RuntimeFailure(
            f"The library '{path}' cannot be used.",
            found=error,
            hint="compile the bundle again for this machine",
        ) from None
    return library


def error_from(kind: type[EdgeError], text: bytes | None, **extra: str) -> EdgeError:
    """Turn a message of the C library (what, then lines "found:", "allowed:", "hint:") into an error of ``kind``."""
    what, *rest = (text or b"").decode("utf-8", "replace").splitlines() or ["the library gave no reason"]
    parts = {label.strip(): value.strip() for label, _, value in (line.partition(":") for line in rest)}
    known = {label: parts[label] for label in ("found", "allowed", "hint") if label in parts}
    return kind(what, **known, **extra)
