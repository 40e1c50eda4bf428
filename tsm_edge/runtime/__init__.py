"""Run a bundle on this machine: a thin edge over its library, with numpy arrays.

::

    with tsm_edge.open("jester-mobilenetv2-local") as model:
        stream, sampler, smoother = model.stream(), model.sampler(), model.smoother()
        for frame, t_s in camera:  # uint8 [height, width, 3], BGR as OpenCV gives it, and when it was taken
            for _ in range(sampler.take(t_s)):  # mostly 0 or 1: the model steps at its own rate
                decision = smoother.push(stream.step(frame))  # of float32 [classes]
                if decision.changed and not decision.idle:
                    print(decision.label, decision.probability)

A bundle in the clip form looks at several frames at once: give its smoother only the scores of steps in which
:attr:`Stream.answers` rose.

The weights exist once, in the model; every camera is a stream with its own states. Streams are independent and may run
in different threads; one stream is used by one thread at a time.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np

from .. import bundle
from ..bundle.manifest import Manifest
from ..errors import BundleError, EdgeError, FrameError, RuntimeFailure, UnsupportedHost
from ..pixels import Frame
from ..sampling import Sampler
from ..signature import Preprocess, Signature
from ..smoothing import Smoother
from . import abi
from ._guard import Guard
from ._marshal import FLOAT, Floats, address, c_frame, check_array, failure_of, in_order
from .operations import Operation, Timing
from .stored import StateForm, Stored, forms

__all__ = ["Model", "Operation", "StateForm", "Stream", "Timing", "open"]


class _CFunction(Protocol):
    """A function of the library whose first argument is a handle and whose result is a status."""

    def __call__(self, handle: ctypes.c_void_p, /, *arguments: object) -> int: ...


def open(path: str | os.PathLike[str], threads: int | None = None) -> Model:
    """Check the bundle at ``path`` and open it.

    Args:
        path: the bundle's folder.
        threads: threads of a stream, 1 to 64; the manifest's number when None.

    Raises:
        UsageError: ``threads`` is out of its range.
        BundleError: the bundle is not whole, or not for this machine; nothing of it has been loaded then, except
            for ``wrong-cpu``, which the library itself finds out.
        DeviceError: a GPU bundle, and no device or driver of this machine can run it.
        UnsupportedHost: a static bundle; it has a program, but no library to load.
    """
    return Model(Path(path), threads)


class Model(AbstractContextManager["Model"]):
    """An opened bundle. Closing it frees its streams; leaving it to the garbage collector does the same.

    In a child process by fork, a bundle for the CPU can be used on, with new streams; one for a GPU cannot.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        if threads is not None:
            abi.check_threads(threads)
        self.manifest: Manifest = bundle.verify(path)
        bundle.check_host(self.manifest)
        if self.manifest.target.link == "static":
            raise UnsupportedHost(
                f"'{path}' is a static bundle and cannot be loaded into Python.",
                found=f"target {self.manifest.target.name}",
                allowed="a bundle with libtsm.so",
                hint=f"run its own program: {path}/tsm-edge-run --help",
            )
        self.threads = self.manifest.threads if threads is None else threads
        self._library = abi.load(path.resolve() / self.manifest.library)
        handle = ctypes.c_void_p()
        text = ctypes.create_string_buffer(abi.ERROR_SIZE)
        status = self._library.tsm_open(ctypes.byref(handle), text, len(text))
        if status == abi.CPU:
            raise abi.error_from(BundleError, text.value, name="wrong-cpu")
        if status != abi.OK:
            raise abi.error_from(failure_of(status), text.value)
        self._handle = handle
        self._streams: weakref.WeakSet[Stream] = weakref.WeakSet()
        self._guard = Guard(weakref.finalize(self, self._library.tsm_close, handle))
        self._check_states()

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the scores; empty when the model has none."""
        return self.manifest.labels

    @property
    def signature(self) -> Signature:
        """Inputs, states and outputs of a step."""
        return self.manifest.signature

    @property
    def preprocess(self) -> Preprocess | None:
        """What a step does to a picture first; None for a network that takes no picture."""
        return self.manifest.preprocess

    @property
    def rate_fps(self) -> float:
        """Frames per second that the model was trained at and must be stepped at; 0 for one that takes no picture."""
        return self.preprocess.rate_fps if self.preprocess is not None else 0.0

    def sampler(self) -> Sampler:
        """Return a sampler at the model's rate: on which frames to step, and how often.

        Raises:
            UsageError: the network takes no picture, so that nobody knows its rate.
        """
        return Sampler(self.rate_fps)

    def smoother(self) -> Smoother:
        """Return the decision over time that the model was made for; one for each stream."""
        return Smoother.of(self.manifest)

    @property
    def device(self) -> str:
        """What the model runs on: the CPU's instruction sets, or the accelerator and its driver."""
        with self._call():
            text: bytes = self._library.tsm_device(self._handle)
            return text.decode("utf-8", "replace")

    def state_forms(self) -> tuple[StateForm, ...]:
        """Return how each state is stored."""
        with self._call():
            return forms(self._library, self._handle, self.signature)

    def stream(self, threads: int | None = None) -> Stream:
        """Return a new stream with zero states; ``threads`` (1 to 64) defaults to the model's."""
        with self._call():
            stream = Stream(self, self.threads if threads is None else threads)
            self._streams.add(stream)
        if self._guard.closing:  # meanwhile, by a signal handler
            stream.close()
        return stream

    def ops(self) -> list[Operation]:
        """Return the operations of a step in running order."""
        model, info, found = abi.ModelInfo(), abi.OpInfo(), []
        with self._call():
            self._library.tsm_info(self._handle, ctypes.byref(model))
            for index in range(model.op_count):
                self._library.tsm_op(self._handle, index, ctypes.byref(info))
                names = (info.kernel.decode(), info.layer.decode(), info.schedule.decode())
                found.append(Operation(*names, int(info.macs), int(info.bytes)))
        return found

    def close(self) -> None:
        """Free the streams, each after the step that another thread has under way, and the model.

        A second call does nothing.
        """
        self._guard.closing = True  # no further streams
        self._guard.enter(wait=True)
        try:
            streams = list(self._streams)
        finally:
            self._guard.leave()
        for stream in streams:
            stream.close()
        self._guard.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _call(self) -> Iterator[None]:
        """Keep the handle from being freed for the time of a call; RuntimeFailure when the model is closed."""
        self._guard.enter(wait=True)
        try:
            if self._guard.closing:
                raise RuntimeFailure("The model is closed.", hint="open the bundle again")
            yield
        finally:
            self._guard.leave()

    def _check_states(self) -> None:
        info = abi.ModelInfo()
        self._library.tsm_info(self._handle, ctypes.byref(info))
        found = []
        for index in range(info.state_count):
            state = abi.TensorInfo()
            self._library.tsm_state_info(self._handle, index, ctypes.byref(state))
            found.append((state.name.decode(), tuple(state.shape[: state.ndim])))
        stated = [(pair.input.name, pair.input.shape) for pair in self.signature.states]
        if found != stated:
            raise RuntimeFailure("The library's states are not the manifest's.", found=found, allowed=stated)


class Stream(AbstractContextManager["Stream"]):
    """The states of one camera. Made by :meth:`Model.stream`.

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

    def step(self, frame: Frame, *, format: str = "bgr", color: str = "bt601") -> Floats:
        """Take one picture and return its scores.

        Args:
            frame: uint8, each side 1 to 16384: [height, width, 3] of "bgr" and "rgb", [height, width] of "grey",
                [height, width, 2] of "yuyv", [height * 3/2, width] of "nv12" and "yuv420" (as OpenCV has them); the
                last two also as a tuple of their planes, which may have odd sides and rows apart.
            format: how the pixels lie, "bgr" as OpenCV gives them.
            color: for the formats with Y, U and V: "bt601", "bt601-full", "bt709" or "bt709-full".

        Returns:
            float32 [classes], the logits; a copy.

        Raises:
            FrameError: wrong type, shape or format, or a network that takes no picture. The states keep their values.
        """
        taken, kept = c_frame(frame, format, color)
        scores = self._step(self._library.tsm_step_frame, ctypes.byref(taken))
        del kept  # only now may copies of planes go
        return scores

    @property
    def answers(self) -> int:
        """How often the network has run since the beginning or the reset.

        One that looks at several frames at once (`manifest.model.clip_frames`) does not run on each: :meth:`step` then
        returns the scores of its last run, zeros before the first.

        Raises:
            RuntimeFailure: the bundle is of a version that does not count.
        """
        if not hasattr(self._library, "tsm_answers"):
            raise RuntimeFailure("This bundle does not count its answers.", hint="compile the bundle again")
        self._enter()
        try:
            return int(self._library.tsm_answers(self._handle))
        finally:
            self._guard.leave()

    def step_tensor(self, tensor: Floats) -> Floats:
        """Take one preprocessed frame, or a whole clip of a network that looks at several frames at once: float32 of
        the signature's input shape; return as :meth:`step` does.
        """
        check_array(self._input.name, tensor, FLOAT, self._input.shape)
        tensor = np.ascontiguousarray(tensor)
        return self._step(self._library.tsm_step_tensor, address(tensor), tensor.size)

    def reset(self) -> None:
        """Set all states to zero and forget the frames of a clip, as in a new stream."""
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
        shapes = [(pair.input.name, pair.input.shape, FLOAT) for pair in self.model.signature.states]
        for index, data in in_order(values, shapes):
            self._call(RuntimeFailure, self._library.tsm_state_set, index, data.ctypes.data, data.size)

    def raw_states(self) -> dict[str, Stored]:
        """Return a copy of every state as it is stored (:meth:`Model.state_forms`), in its logical NCHW shape."""
        result: dict[str, Stored] = {}
        for index, form in enumerate(self.model.state_forms()):
            value = np.empty(form.shape, form.dtype)
            self._call(RuntimeFailure, self._library.tsm_state_get_raw, index, value.ctypes.data, value.nbytes)
            result[form.name] = value
        return result

    def set_raw_states(self, values: Mapping[str, Stored]) -> None:
        """Replace the named states by what :meth:`raw_states` gave: bit for bit, nothing is rounded."""
        forms = [(form.name, form.shape, form.dtype) for form in self.model.state_forms()]
        for index, data in in_order(values, forms):
            self._call(RuntimeFailure, self._library.tsm_state_set_raw, index, data.ctypes.data, data.nbytes)

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

    def _step(self, function: _CFunction, *arguments: object) -> Floats:
        self._enter()
        try:
            self._check(FrameError, function(self._handle, *arguments))
            scores: Floats = self._scores.copy()
            return scores
        finally:
            self._guard.leave()

    def _call(self, refusal: type[EdgeError], function: _CFunction, *arguments: object) -> None:
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
