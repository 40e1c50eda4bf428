"""One camera's states on an opened bundle; :mod:`tsm_edge.runtime` makes it and is where users find it."""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import abi
from ._guard import Guard
from ._marshal import BYTE, FLOAT, Floats, address, check_array, failure_of
from .errors import EdgeError, FrameError, RuntimeFailure, UnknownName

if TYPE_CHECKING:
    from .runtime import Model


class Timing(NamedTuple):
    """Time of one operation of the last profiled step."""

    kernel: str
    layer: str
    schedule: str
    ns: int


class Stream(AbstractContextManager["Stream"]):
    """The states of one camera. Made by :meth:`tsm_edge.runtime.Model.stream`.

    A call in one thread refuses every other thread's, except :meth:`close`, which waits for it. A child process that
    has inherited the stream by a fork can only close it.
    """

    def __init__(self, model: Model, threads: int) -> None:
        handle = ctypes.c_void_p()
        text = ctypes.create_string_buffer(abi.ERROR_SIZE)
        library = model._library
        status = library.tsm_stream_new(
            model._handle, abi.check_threads(threads), ctypes.byref(handle), text, len(text)
        )
        if status != abi.OK:
            raise abi.error_from(failure_of(status), text.value)
        self.model = model  # keeps the model open as long as the stream lives
        self._input = model.signature.inputs[0]
        self._library = library
        self._handle = handle
        count = ctypes.c_size_t()
        scores = library.tsm_scores(handle, ctypes.byref(count))  # one place for all steps of the stream
        self._scores = np.ctypeslib.as_array(scores, (count.value,))
        self._guard = Guard(weakref.finalize(self, library.tsm_stream_free, handle))

    def step(self, frame: NDArray[np.uint8], *, format: str = "bgr") -> Floats:
        """Take one picture and return its scores.

        Args:
            frame: uint8 [height, width, 3], each side 1 to 16384.
            format: order of the channels in ``frame``, "bgr" (as OpenCV gives it) or "rgb".

        Returns:
            float32 [classes], the logits; a copy.

        Raises:
            FrameError: wrong type, shape or format, or a network that takes no picture. The states keep their values.
        """
        if format not in abi.FORMATS:
            raise FrameError("Unknown channel order.", found=repr(format), allowed=", ".join(abi.FORMATS))
        check_array("frame", frame, BYTE)
        sides_fit = frame.ndim == 3 and all(1 <= side <= abi.MAX_IMAGE_SIDE for side in frame.shape[:2])
        if not sides_fit or frame.shape[2] != 3:
            raise FrameError(
                "A frame has the wrong shape.",
                found=list(frame.shape),
                allowed=f"[height, width, 3], each side 1 to {abi.MAX_IMAGE_SIDE}",
            )
        height, width, _ = frame.shape
        if frame.strides[1:] != (3, 1) or frame.strides[0] < 3 * width:  # a mirrored or planar view
            frame = np.ascontiguousarray(frame)
        stride = frame.strides[0] if height > 1 else 3 * width  # of a single row numpy keeps any
        image = abi.Image(address(frame), width, height, stride, abi.FORMATS[format])
        return self._step(self._library.tsm_step_image, ctypes.byref(image))

    def step_tensor(self, tensor: Floats) -> Floats:
        """Take one preprocessed frame, float32 of the signature's input shape; return as :meth:`step` does."""
        check_array(self._input.name, tensor, FLOAT, self._input.shape)
        tensor = np.ascontiguousarray(tensor)
        return self._step(self._library.tsm_step_tensor, address(tensor), tensor.size)

    def reset(self) -> None:
        """Set all states to zero, as in a new stream."""
        self._call(RuntimeFailure, self._library.tsm_reset)

    def states(self) -> dict[str, Floats]:
        """Return a copy of every state, float32 in its logical NCHW shape, by name."""
        result = {}
        for index, pair in enumerate(self.model.signature.states):
            value = np.empty(pair.input.shape, np.float32)
            self._call(RuntimeFailure, self._library.tsm_state_get, index, value.ctypes.data, value.size)
            result[pair.input.name] = value
        return result

    def set_states(self, values: Mapping[str, Floats]) -> None:
        """Replace the named states; all names and shapes are checked before the first one is written."""
        specs = {
            pair.input.name: (index, pair.input.shape)
            for index, pair in enumerate(self.model.signature.states)
        }
        for name, value in values.items():
            if name not in specs:
                raise UnknownName.of("state", name, specs)
            check_array(name, value, FLOAT, specs[name][1])
        for name, value in values.items():
            data = np.ascontiguousarray(value)
            self._call(
                RuntimeFailure, self._library.tsm_state_set, specs[name][0], data.ctypes.data, data.size
            )

    def profile(self, on: bool = True) -> None:
        """Record the time of each operation from the next step on, or stop doing so."""
        self._call(RuntimeFailure, self._library.tsm_profile, int(on))

    def timings(self) -> list[Timing]:
        """Return the time of each operation in the last step that was profiled, in running order."""
        self._enter()
        try:
            count = ctypes.c_size_t()
            values = self._library.tsm_op_ns(self._handle, ctypes.byref(count))
            ns = [int(values[index]) for index in range(count.value)]
        finally:
            self._guard.leave()
        return [Timing(op.kernel, op.layer, op.schedule, t) for op, t in zip(self.model.ops(), ns)]

    def close(self) -> None:
        """Stop the workers and free the memory, after the step that another thread has under way.

        Called within a step of its own thread (by a signal handler), it leaves that to the end of the step. A second
        call does nothing.
        """
        self._guard.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _step(self, function: Any, *arguments: Any) -> Floats:
        self._enter()
        try:
            self._check(FrameError, function(self._handle, *arguments))
            return self._scores.copy()
        finally:
            self._guard.leave()

    def _call(self, refusal: type[EdgeError], function: Any, *arguments: Any) -> None:
        self._enter()
        try:
            self._check(refusal, function(self._handle, *arguments))
        finally:
            self._guard.leave()

    def _check(self, refusal: type[EdgeError], status: int) -> None:
        if status != abi.OK:
            kind = refusal if status == abi.ARGUMENT else failure_of(status)
            raise abi.error_from(kind, self._library.tsm_error(self._handle))

    def _enter(self) -> None:
        """Make the stream this thread's until its guard is left; C would only crash on what is refused here."""
        guard = self._guard
        if guard.inherited:
            raise RuntimeFailure(
                "The stream belongs to the process that this one was forked from.",
                found=f"process {os.getpid()}, a child by fork",
                hint="make a new stream in the child process",
            )
        if not guard.enter(wait=False):
            raise RuntimeFailure(
                "Two threads use one stream at the same time.",
                hint="make a stream for each with model.stream()",
            )
        if guard.calls == 1 and not guard.closing:
            return
        within = guard.calls > 1
        guard.leave()
        if within:
            raise RuntimeFailure(
                "A call of this stream is under way in this thread.",
                found="a call by a signal handler or destructor that interrupted it",
                hint="let the handler set a flag, and look at it between two steps",
            )
        raise RuntimeFailure("The stream is closed.", hint="make a new one with model.stream()")
