"""Video files and folders of images as sources of frames."""

from __future__ import annotations

import math
import re
from pathlib import Path

import cv2
import numpy as np

from tsm_edge.errors import VideoError
from tsm_edge.files import MAX_PIXELS, read_picture
from tsm_edge.sampling import Stamps

from . import SAMPLE_CLIP
from .sources import Frame

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
ASSUMED_FPS = 25.0  # of a file that does not say its own


def check_frame_size(capture: cv2.VideoCapture, path: Path) -> None:
    """VideoError when an opened video declares frames that would take all memory."""
    width, height = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
    if width * height > MAX_PIXELS:
        raise VideoError(
            f"The frames of '{path}' are too large.",
            found=f"{width:.0f}x{height:.0f}",
            allowed=f"at most {MAX_PIXELS} pixels",
        )


class VideoFile:
    """A video file. Frames are stamped by the file's own time stamps, or counted where those are broken."""

    live = False

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._read = 0
        if not path.is_file():
            hint = f"try the sample: {SAMPLE_CLIP}"
            if path.is_dir():
                bundle = (path / "manifest.json").is_file()
                hint = (
                    "a bundle is named with --bundle" if bundle else "a folder of pictures is read with --images"
                )
            found = "a folder" if path.is_dir() else "no regular file" if path.exists() else "no such file"
            raise VideoError(f"'{path}' is not a video file.", found=found, hint=hint)
        self._capture = cv2.VideoCapture(str(path))
        check_frame_size(self._capture, path)
        self._next = self._decode() if self._capture.isOpened() else None
        if self._next is None:
            self._capture.release()
            raise VideoError(
                f"No frame could be read from '{path}'.",
                found=f"{path.stat().st_size} bytes that OpenCV cannot decode as video",
                hint="convert it, for example to MP4 with H.264: ffmpeg -i INPUT -pix_fmt yuv420p OUTPUT.mp4",
            )
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self._says_fps = math.isfinite(fps) and 0 < fps <= 1000
        self._stamps = Stamps(fps if self._says_fps else ASSUMED_FPS)
        self._declared = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)

    def read(self) -> Frame | None:
        """Return the next frame, or None after the last."""
        if self._next is None:
            return None
        image, stamp_s = self._next
        self._read += 1
        self._next = self._decode()
        return Frame(image, self._stamps.next(stamp_s))

    def silence(self, seconds: float) -> VideoError:
        """Return the error for a read that hangs."""
        return _silence(self.name, seconds)

    def notes(self) -> list[str]:
        """Say so when the frames had to be counted, and when the file ends before its own frame count."""
        notes = []
        if not self._stamps.reliable:
            how = f"{self._stamps.fps:g} frames per second" + ("" if self._says_fps else ", which is assumed")
            notes.append(f"{self.name}: its time stamps are not usable; frames are counted at {how}")
        declared = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        if self._next is None and declared > 1.1 * self._read + 1:
            notes.append(
                f"{self.name}: only {self._read} of {declared:.0f} frames could be read; it may be cut off"
            )
        return notes

    def close(self) -> None:
        """Close the file."""
        self._capture.release()

    def _decode(self) -> tuple[np.ndarray, float] | None:
        good, image = self._capture.read()
        # After read() this is the stamp of the frame just read, in milliseconds.
        return (
            (image, self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0) if good and image is not None else None
        )


class Repeated:
    """A video file that begins again when it ends. Time stamps go on, one frame interval after the last."""

    live = False

    def __init__(self, file: VideoFile, path: Path) -> None:
        self.name = file.name
        self._path = path
        self._file = file
        self._offset_s = 0.0
        self._last_s = 0.0
        self._interval_s = 1.0 / ASSUMED_FPS

    def read(self) -> Frame:
        """Return the next frame; there is always one."""
        frame = self._file.read()
        if frame is None:
            self._file.close()
            self._file = VideoFile(self._path)
            self._offset_s = self._last_s + self._interval_s
            frame = self._file.read()
            assert frame is not None  # or its constructor would have raised
        t_s = frame.t_s + self._offset_s
        if t_s > self._last_s:
            self._interval_s, self._last_s = t_s - self._last_s, t_s
        return Frame(frame.image, t_s)

    def silence(self, seconds: float) -> VideoError:
        """Return the error for a read that hangs."""
        return _silence(self.name, seconds)

    def notes(self) -> list[str]:
        """Return those of the file."""
        return self._file.notes()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class ImageFolder:
    """The images of a folder by name ("frame2" before "frame10"), each one of the model's frames.

    ``fps`` is the rate they are taken to have been recorded at; without one that is the model's own rate.
    """

    live = False

    def __init__(self, path: Path, fps: float) -> None:
        self.name = str(path)
        if not path.is_dir():
            found = "a file" if path.exists() else "no such folder"
            hint = "a video file is read with --video" if path.exists() else None
            raise VideoError(f"'{path}' is not a folder of images.", found=found, hint=hint)
        entries = [
            entry for entry in path.iterdir() if entry.suffix.lower() in IMAGE_SUFFIXES and entry.is_file()
        ]
        if not entries:
            raise VideoError(
                f"There are no images in '{path}'.",
                found=f"{sum(1 for _ in path.iterdir())} entries, none of a known kind",
                allowed=", ".join(IMAGE_SUFFIXES),
            )
        self._paths = sorted(entries, key=lambda entry: natural_key(entry.name))
        self._fps = fps
        self._read = 0

    def read(self) -> Frame | None:
        """Return the next image, None after the last; raise VideoError naming a file that is no image."""
        if self._read == len(self._paths):
            return None
        path = self._paths[self._read]
        image = read_picture(path)
        if image is None:
            raise VideoError(
                f"'{path}' cannot be read as an image.",
                found=f"{path.stat().st_size} bytes",
                allowed=f"a picture of at most {MAX_PIXELS} pixels",
                hint="remove the file or repair it; frames are not skipped in silence",
            )
        frame = Frame(image, self._read / self._fps)
        self._read += 1
        return frame

    def silence(self, seconds: float) -> VideoError:
        """Return the error for a read that hangs."""
        return _silence(self.name, seconds)

    def notes(self) -> list[str]:
        """Return nothing: every image was read or named in an error."""
        return []

    def close(self) -> None:
        """There is nothing to close."""


def _silence(name: str, seconds: float) -> VideoError:
    return VideoError(
        f"'{name}' cannot be read on.",
        found=f"no frame for {seconds:.0f} s",
        hint="look at the disk or the network drive that it lies on",
    )


def natural_key(name: str) -> tuple[list[tuple[int, str]], str]:
    """Return a sorting key by which "img9.png" comes before "img10.png"; "img01" and "img1" never tie."""
    parts = re.split(r"([0-9]+)", name)  # odd places hold the numbers
    return [(int(part), "") if place % 2 else (0, part) for place, part in enumerate(parts)], name
