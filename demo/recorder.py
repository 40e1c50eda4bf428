"""Recording to an MP4 file that is whole or not there.

An old recording is replaced only by a playable one (:mod:`tsm_edge.files.mp4`), whoever stops the demo early keeps what
was recorded, and a disk that fills up ends the recording while there is room for the end of the file.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from tsm_edge.errors import OutputError
from tsm_edge.files import atomic, mp4

from .timeline import Timeline

_LOOK_EVERY = 32  # pictures between two looks at the free space


class Recorder:
    """Writes pictures with time stamps as a video of constant ``fps``; the first picture sets its size.

    Raises:
        OutputError: from the constructor when ``path`` cannot be written (before any work was done for it);
            later when the disk fills up or the encoder fails.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self.path = path
        check_path(path)
        self._fps = fps
        self._timeline = Timeline(fps)
        self._writer: mp4.Mp4Writer | None = None
        self._previous: np.ndarray | None = None
        self._pictures = 0
        self._closed = False

    def write(self, picture: np.ndarray, t_s: float) -> None:
        """Add ``picture`` (uint8 BGR) as seen at ``t_s`` seconds; a gap repeats the one before it."""
        height, width = picture.shape[:2]
        if self._writer is None:
            self._size = (width // 2 * 2, height // 2 * 2)  # the encoder halves the colour planes
            self._writer = mp4.Mp4Writer(self.path, self._fps, self._size)
        if (width // 2 * 2, height // 2 * 2) != self._size:
            picture = cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA)
        picture = np.ascontiguousarray(picture[: self._size[1], : self._size[0]])
        repeats = self._timeline.repeats(t_s)
        if repeats is None:
            return
        self._look(self._writer)
        if self._previous is not None:
            for _ in range(repeats):
                self._writer.write(self._previous)
        self._writer.write(picture)
        self._previous = picture

    def close(self) -> Path | None:
        """Finish the file and return its path; None, and no file, if nothing was written. May be repeated."""
        if not self._closed and self._writer is not None:
            try:
                self._writer.close()
            except OutputError:
                self._closed, self._writer = True, None
                raise
        self._closed = True  # only now: a close that was interrupted can be repeated
        return self.path if self._writer is not None else None

    def _look(self, writer: mp4.Mp4Writer) -> None:
        self._pictures += 1
        if self._pictures % _LOOK_EVERY == 0 and not writer.has_room():
            raise OutputError(
                f"The disk of '{self.path}' is nearly full, so the recording ends here.",
                found=f"{(atomic.free_bytes(self.path.parent) or 0) / 2**20:.1f} MiB free",
                hint="what was recorded before is kept",
            )


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
    atomic.check_file(path)
    mp4.check_room(path)
