"""Frames out of a pipe: the bytes of a descriptor, waited for in short slices, and the three forms they come in.

A pipe holds less than a frame of common size, so whoever writes into one waits for its reader: nothing piles up.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from typing import Protocol

import numpy as np

from tsm_edge.errors import VideoError
from tsm_edge.files import MAX_PIXELS

from . import jpeg, pixels, y4m

_SLICE_S = 0.1
_CHUNK = 1 << 20

Stopped = Callable[[], bool]


class Silent(Exception):
    """Nothing came for too long."""


class Pipe:
    """A descriptor to read from. ``patience_s``: how long nothing may come."""

    def __init__(self, descriptor: int, patience_s: float) -> None:
        self._descriptor = descriptor
        self._patience_s = patience_s
        self._pushed_back = b""

    def some(self, stopped: Stopped) -> bytes:
        """Return what is there, at least a byte; b"" at the end, or soon after ``stopped``. Raises Silent."""
        if self._pushed_back:
            data, self._pushed_back = self._pushed_back, b""
            return data
        return os.read(self._descriptor, _CHUNK) if self._wait(stopped) else b""

    def exactly(self, count: int, stopped: Stopped) -> bytearray:
        """Return ``count`` bytes, fewer where the pipe ends before. Raises Silent."""
        data = bytearray(count)
        view, have = memoryview(data), min(count, len(self._pushed_back))
        data[:have], self._pushed_back = self._pushed_back[:have], self._pushed_back[have:]
        while have < count and self._wait(stopped):
            got = os.readv(self._descriptor, [view[have:]])
            if got == 0:
                break
            have += got
        view.release()
        del data[have:]
        return data

    def line(self, most: int, stopped: Stopped) -> bytes:
        """Return up to the next line feed, without it; what is longer than ``most`` bytes is cut. Raises Silent."""
        line = bytearray()
        while len(line) < most:
            byte = self.exactly(1, stopped)
            if not byte or byte == b"\n":
                break
            line += byte
        return bytes(line)

    def push_back(self, data: bytes) -> None:
        """Let the next read begin with these bytes."""
        self._pushed_back = data + self._pushed_back

    def more(self) -> bool:
        """Whether something can be read at once."""
        return bool(self._pushed_back) or bool(select.select([self._descriptor], [], [], 0)[0])

    def _wait(self, stopped: Stopped) -> bool:
        deadline = time.monotonic() + self._patience_s
        while not select.select([self._descriptor], [], [], _SLICE_S)[0]:
            if stopped():
                return False
            if time.monotonic() > deadline:
                raise Silent
        return True


class Frames(Protocol):
    """One of the forms. ``rate``: the frames a second that the bytes themselves declare."""

    rate: float | None

    def read(self, stopped: Stopped) -> np.ndarray | None:
        """Return the next frame, uint8 BGR; None at the end. Raises Silent, or VideoError for bytes that are none."""


class RawFrames:
    """Frames without anything between them."""

    rate: float | None = None

    def __init__(self, pipe: Pipe, name: str, format: str, size: tuple[int, int]) -> None:
        self._pipe, self._name, self._format, self._size = pipe, name, format, size
        self._bytes = pixels.frame_bytes(format, size)
        self._count = 0

    def read(self, stopped: Stopped) -> np.ndarray | None:
        """Return the next frame."""
        data = self._pipe.exactly(self._bytes, stopped)
        if len(data) < self._bytes:
            if not data or stopped():
                return None
            width, height = self._size
            raise VideoError(
                f"{self._name.capitalize()} ends in the middle of frame {self._count}.",
                found=f"{len(data)} of the {self._bytes} bytes of {width}x{height} {self._format}",
                hint="if every frame is cut or looks torn, --size or --format are not those of the frames that come",
            )
        self._count += 1
        return pixels.to_bgr(data, self._format, self._size)


class Y4mFrames:
    """YUV4MPEG2: a line that says what the frames are, then each behind a line of its own."""

    def __init__(self, pipe: Pipe, name: str, header: y4m.Header) -> None:
        self._pipe, self._name, self._header = pipe, name, header
        self.rate = header.rate
        self._count = 0

    def read(self, stopped: Stopped) -> np.ndarray | None:
        """Return the next frame."""
        line = self._pipe.line(y4m.LONGEST_LINE, stopped)
        if not line or stopped():
            return None
        if not line.startswith(b"FRAME"):
            raise VideoError(
                f"{self._name.capitalize()} is no YUV4MPEG2 from frame {self._count} on.",
                found=repr(line[:24]),
                allowed="a line that begins with FRAME before each frame",
                hint="whatever writes it must write nothing else into it, such as its own messages",
            )
        need = self._header.frame_bytes
        data = self._pipe.exactly(need, stopped)
        if len(data) < need:
            if stopped():
                return None
            raise VideoError(
                f"{self._name.capitalize()} ends in the middle of frame {self._count}.",
                found=f"{len(data)} of {need} bytes",
                hint="whatever writes it has ended too early: look at its messages",
            )
        self._count += 1
        return self._header.to_bgr(data)


class JpegFrames:
    """JPEG pictures one after the other; of several that have come already the last is decoded."""

    rate: float | None = None

    def __init__(self, pipe: Pipe, name: str, *, every: bool) -> None:
        self._pipe, self._name, self._every = pipe, name, every
        self._cutter = jpeg.Cutter()

    def read(self, stopped: Stopped) -> np.ndarray | None:
        """Return the next frame."""
        while True:
            picture = self._cutter.take() if self._every else self._cutter.newest()[0]
            if picture is not None:
                return self._decoded(picture)
            data = self._pipe.some(stopped)
            if not data:
                self._check_end(stopped)
                return None
            self._cutter.add(data)
            if max(self._cutter.passed, self._cutter.waiting) > jpeg.MOST_BYTES:
                raise self._none(f"{jpeg.MOST_BYTES >> 20} MiB without a whole picture")

    def _decoded(self, picture: bytes) -> np.ndarray:
        image = jpeg.decode(picture)
        if image is None:
            raise self._none(f"picture {self._cutter.seen - 1}, {len(picture)} bytes, cannot be decoded")
        return image

    def _check_end(self, stopped: Stopped) -> None:
        if stopped():
            return
        if self._cutter.waiting:
            raise VideoError(
                f"{self._name.capitalize()} ends in the middle of picture {self._cutter.seen}.",
                found=f"{self._cutter.waiting} bytes of it",
                hint="whatever writes it has ended too early: look at its messages",
            )
        if not self._cutter.seen:
            raise self._none("the end, before any picture")

    def _none(self, found: str) -> VideoError:
        return VideoError(
            f"{self._name.capitalize()} is no Motion JPEG.",
            found=found,
            allowed=f"JPEG pictures of at most {MAX_PIXELS} pixels, one after the other",
        )
