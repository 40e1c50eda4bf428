"""An MP4 file that is whole or not there: written beside its place, looked at, and renamed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import OutputError
from . import atomic
from .temporaries import remove, sibling, sweep

#: of a disk that counts as full: room for the index at the end of a file, and for the encoder's buffers
MARGIN_BYTES = 8 << 20
_INDEX_BYTES = 64  # a frame takes less than that in the index
_PROBE = 1 << 16


class Mp4Writer:
    """Writes pictures, uint8 [height, width, 3] BGR of one size with even sides, as MPEG-4 at a constant rate.

    Raises:
        OutputError: from the constructor and from ``close``; the disk is full or fails, or there is no encoder. An
            older file is untouched.
    """

    def __init__(self, path: Path, fps: float, size: tuple[int, int]) -> None:
        import cv2

        self.path = path
        self._place = Path(os.path.realpath(path))
        self._written = 0
        sweep(self._place.parent)
        self._temporary = sibling(self._place, ".part.mp4")  # the ending names the container to FFmpeg
        code = cv2.VideoWriter.fourcc(*"mp4v")  # the one MP4 codec that every OpenCV wheel brings
        self._writer = cv2.VideoWriter(os.fspath(self._temporary), code, fps, size)
        if not self._writer.isOpened():
            self.drop()
            self._raise_refusal()
            raise OutputError(
                f"OpenCV cannot encode '{path}'.",
                found=f"no MPEG-4 encoder for {size[0]}x{size[1]} at {fps:g} FPS, or a disk that failed for a moment",
                hint="the opencv-python and opencv-python-headless packages from PyPI have an encoder",
            )

    def write(self, picture: NDArray[np.uint8]) -> None:
        """Append one picture. OpenCV does not tell whether the disk took it: ``close`` finds that out."""
        self._writer.write(picture)
        self._written += 1

    def has_room(self) -> bool:
        """Whether the disk can still take the end of the file and some more pictures."""
        free = atomic.free_bytes(self._place.parent)
        return free is None or free >= MARGIN_BYTES + _INDEX_BYTES * self._written

    def close(self) -> None:
        """Finish the file and put it in its place."""
        self._writer.release()
        try:
            if self._is_whole():
                atomic.replace(self._temporary, self._place)
                return
        except OSError as error:
            raise atomic.cannot_write(self.path, error) from error
        finally:
            remove(self._temporary)
        self._raise_refusal()
        raise OutputError(
            f"'{self.path}' cannot be written.",
            found="a video that cannot be played back; it was removed",
            hint="the disk may have been full for a moment: df -h shows its free space",
        )

    def drop(self) -> None:
        """Remove what was written."""
        self._writer.release()
        remove(self._temporary)

    def _is_whole(self) -> bool:
        import cv2

        capture = cv2.VideoCapture(os.fspath(self._temporary))
        try:
            count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
            return count == self._written and bool(capture.read()[0])
        finally:
            capture.release()

    def _raise_refusal(self) -> None:
        """Ask the system why the encoder failed, which keeps that to itself."""
        check_room(self.path)
        try:
            with open(self._temporary, "wb") as file:
                file.write(bytes(_PROBE))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise atomic.cannot_write(self.path, error) from error
        finally:
            remove(self._temporary)


def check_room(path: Path) -> None:
    """OutputError where the disk of ``path`` is full, or as good as that for a video."""
    free = atomic.free_bytes(Path(os.path.realpath(path)).parent)
    if free is not None and free < MARGIN_BYTES:
        raise atomic.cannot_write(
            path, OSError(errno.ENOSPC, f"{free / 2**20:.1f} MiB are free on this disk")
        )
