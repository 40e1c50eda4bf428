"""A video file, frame by frame with time stamps: the one reader of the demo and of training.

What a network sees of a file is decided by the stamps (:mod:`tsm_edge.sampling`), so both must read the same ones.
:func:`sampled` is that decision for a whole file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .errors import VideoError
from .files import MAX_PIXELS
from .sampling import Sampler, Stamps

if TYPE_CHECKING:
    import cv2

ASSUMED_FPS = 25.0  # of a file that does not say its own
MOST_FPS = 480.0  # a file that declares more means the unit of its clock, 1000 as a rule
#: endings of files that OpenCV's FFmpeg is asked to read
ENDINGS = frozenset(
    f".{each}"
    for each in (
        *("264", "265", "3g2", "3gp", "asf", "avi", "dv", "f4v", "flv", "gif", "h264", "h265", "hevc", "m2ts", "m2v"),
        *("m4v", "mjpeg", "mjpg", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "mxf", "ogv", "qt", "ts", "vob", "webm"),
        *("wmv", "y4m"),
    )
)
CONVERT = "convert it: ffmpeg -i INPUT -c:v libx264 -pix_fmt yuv420p OUTPUT.mp4"
_NAMES = {"av01": "AV1", "vp90": "VP9", "hevc": "H.265", "hvc1": "H.265", "hev1": "H.265"}

Pixels = NDArray[np.uint8]


class Video:
    """An opened video file.

    Frames are stamped by the file's own time stamps, or counted from where those are broken. Pictures that the file
    says are turned (a telephone held upright) come upright.

    Attributes:
        count: frames read so far.

    Raises:
        VideoError: it is no video, its codec is not known, or its frames are too large.
    """

    def __init__(self, path: Path) -> None:
        import cv2

        self.path, self.count, self._end_s = path, 0, 0.0
        self._position = cv2.CAP_PROP_POS_MSEC
        self._capture = cv2.VideoCapture(str(path))
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)  # OpenCV 4.11 does not by itself
        width, height = (self._capture.get(each) for each in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if width * height > MAX_PIXELS:
            raise VideoError(
                f"The frames of '{path}' are too large.",
                found=f"{width:.0f}x{height:.0f}",
                allowed=f"at most {MAX_PIXELS} pixels",
            )
        self._next = self._decode() if self._capture.isOpened() else None
        if self._next is None:
            raise self._no_frame()
        self._fps = self._capture.get(cv2.CAP_PROP_FPS)
        self._says_fps = math.isfinite(self._fps) and 0 < self._fps <= MOST_FPS
        # containers declare a duration; OpenCV's number of frames is that times a rate which may mean nothing
        self._declared_s = self._capture.get(cv2.CAP_PROP_FRAME_COUNT) / self._fps if self._fps > 0 else 0.0
        self._stamps = Stamps(self._fps if self._says_fps else ASSUMED_FPS)

    def read(self) -> tuple[Pixels, float] | None:
        """Return the next frame, uint8 [height, width, 3] BGR, and its seconds since the first; None at the end."""
        if self._next is None:
            return None
        image, stamp_s = self._next
        self.count += 1
        self._next = self._decode()
        self._end_s = self._stamps.next(stamp_s)
        return image, self._end_s

    def notes(self) -> list[str]:
        """What is to be known of the frames read so far: counted, or ended early. Also after close()."""
        notes = []
        if not self._stamps.reliable:
            how = f"{self._stamps.fps:g} frames per second" + ("" if self._says_fps else ", which is assumed")
            notes.append(f"its time stamps are not usable; frames are counted at {how}")
        declared_s = self._declared_s
        end_s = self._end_s + 1 / self._stamps.fps
        if self._next is None and declared_s > 1.1 * end_s + 1 / self._stamps.fps:
            notes.append(f"only {end_s:.1f} of {declared_s:.1f} s could be read; it may be cut off")
        return notes

    def close(self) -> None:
        """Close the file."""
        self._capture.release()

    def _decode(self) -> tuple[Pixels, float] | None:
        good, image = self._capture.read()
        # after read() this is the stamp of the frame just read, in milliseconds
        return (image, self._capture.get(self._position) / 1000.0) if good and image is not None else None

    def _no_frame(self) -> VideoError:
        """The error for a file without a first frame, with the codec where the container is understood."""
        found = f"{self.path.stat().st_size} bytes that OpenCV cannot decode as video"
        if self._capture.isOpened():
            code = _codec(self._capture)
            found = f"the codec {code}, of which this OpenCV decodes no frame"
        self._capture.release()
        return VideoError(f"No frame could be read from '{self.path}'.", found=found, hint=CONVERT)


def _codec(capture: cv2.VideoCapture) -> str:
    """The name of the codec of an opened file, or the four letters that a file has for it."""
    import cv2

    code = int(capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
    letters = code.to_bytes(4, "little").decode("ascii", "replace").strip("\0 ")
    return _NAMES.get(letters.lower(), letters) if letters.isprintable() and letters else "(unnamed)"


def sampled(video: Video, rate_fps: float) -> Iterator[tuple[Pixels, int]]:
    """Yield the frames of a file that a network of ``rate_fps`` steps on, each with its number of steps."""
    sampler = Sampler(rate_fps)
    while (frame := video.read()) is not None:
        image, t_s = frame
        if steps := sampler.take(t_s):
            yield image, steps
