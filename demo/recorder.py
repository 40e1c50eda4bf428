"""Recording to an MP4 file that is whole or not there.

The video is written to a temporary sibling; `close` finishes it, looks whether it can be played, and renames
it. So an old recording is replaced only by a playable one, and whoever stops the demo early keeps what was
recorded.
"""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from tsm_edge.errors import OutputError

from .timeline import Timeline


class Recorder:
    """Writes pictures with time stamps as a video of constant ``fps``; the first picture sets its size.

    Raises:
        OutputError: from the constructor when ``path`` cannot be written (before any work was done for it);
            later when the encoder fails.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self.path = path
        check_path(path)
        self._temporary = path.with_name(f".{path.stem}.{os.getpid()}.part.mp4")
        self._create()
        self._fps = fps
        self._timeline = Timeline(fps)
        self._writer: cv2.VideoWriter | None = None
        self._previous: np.ndarray | None = None
        self._closed = False

    def write(self, picture: np.ndarray, t_s: float) -> None:
        """Add ``picture`` (uint8 BGR) as seen at ``t_s`` seconds; a gap repeats the one before it."""
        height, width = picture.shape[:2]
        if self._writer is None:
            self._size = (width // 2 * 2, height // 2 * 2)  # the encoder halves the colour planes
            self._writer = self._open()
        if (width // 2 * 2, height // 2 * 2) != self._size:
            picture = cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA)
        picture = np.ascontiguousarray(picture[: self._size[1], : self._size[0]])
        repeats = self._timeline.repeats(t_s)
        if repeats is None:
            return
        if self._previous is not None:
            for _ in range(repeats):
                self._writer.write(self._previous)
        self._writer.write(picture)
        self._previous = picture

    def close(self) -> Path | None:
        """Finish the file and return its path; None, and no file, if nothing was written. May be repeated."""
        if not self._closed:
            self._finish()
            self._closed = True  # only now: a close that was interrupted can be repeated
        return self.path if self._writer is not None else None

    def _create(self) -> None:
        try:
            self._temporary.touch()
        except OSError as error:
            raise OutputError(
                f"The recording cannot be written to '{self.path}'.",
                found=error.strerror or str(error),
                hint="choose a folder that you may write to",
            ) from error

    def _finish(self) -> None:
        if self._writer is None:
            self._temporary.unlink(missing_ok=True)
            return
        self._writer.release()
        if playable(self._temporary):
            os.replace(self._temporary, self.path)
            return
        self._temporary.unlink(missing_ok=True)
        self._closed = True
        self._writer = None
        raise OutputError(
            f"The recording '{self.path}' could not be written.",
            found="a file that cannot be played back; it was removed",
            hint=f"is the disk full? look with: df -h {self.path.parent}",
        )

    def _open(self) -> cv2.VideoWriter:
        fourcc = cv2.VideoWriter.fourcc(*"mp4v")  # the one MP4 codec that every OpenCV wheel brings
        writer = cv2.VideoWriter(str(self._temporary), fourcc, self._fps, self._size)
        if not writer.isOpened():
            self._temporary.unlink(missing_ok=True)
            raise OutputError(
                f"OpenCV cannot encode '{self.path}'.",
                found=f"no MPEG-4 encoder for {self._size[0]}x{self._size[1]} at {self._fps:g} FPS",
                hint="the opencv-python and opencv-python-headless packages from PyPI have one",
            )
        return writer


def check_path(path: Path) -> None:
    """Raise OutputError when ``path`` is no place for a recording."""
    if path.suffix.lower() != ".mp4":
        raise OutputError("A recording is an MP4 file.", found=str(path), allowed="a name that ends in .mp4")
    if path.is_dir():
        raise OutputError(f"The recording cannot be written to '{path}'.", found="a folder of that name")
    if not path.parent.is_dir():
        raise OutputError(
            f"The recording cannot be written to '{path}'.",
            found=f"there is no folder '{path.parent}'",
            hint=f"make it first: mkdir -p '{path.parent}'",
        )


def playable(path: Path) -> bool:
    """Return whether the first frame of the video at ``path`` can be read back."""
    capture = cv2.VideoCapture(str(path))
    try:
        return bool(capture.isOpened() and capture.read()[0])
    finally:
        capture.release()
