"""Run a bundle on this machine: a thin edge over its library, with numpy arrays.

::

    with tsm_edge.open("jester-mobilenetv2-local") as model:
        stream, sampler, smoother = model.stream(), model.sampler(), model.smoother()
        for frame, t_s in camera:  # uint8 [height, width, 3], BGR as OpenCV gives it, and when it was taken
            for _ in range(sampler.take(t_s)):  # mostly 0 or 1: the model steps at its own rate
                decision = smoother.push(stream.step(frame))  # of float32 [classes]
                if decision.changed and not decision.idle:
                    print(decision.label, decision.probability)

The weights exist once, in the model; every camera is a stream with its own states. Streams are independent and may run
in different threads; one stream is used by one thread at a time.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from . import abi, bundle
from ._guard import Guard
from ._marshal import failure_of
from ._stream import Stream, Timing
from .errors import BundleError, RuntimeFailure, UnsupportedHost
from .manifest import Manifest
from .sampling import Sampler
from .signature import Preprocess, Signature
from .smoothing import Smoother

__all__ = ["Model", "Operation", "Stream", "Timing", "open"]


class Operation(NamedTuple):
    """One operation of the plan.

    macs: multiply-accumulates. bytes: what its arguments hold, the least it can move.
    """

    kernel: str
    layer: str
    schedule: str
    macs: int
    bytes: int


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
