"""Video files and folders of images as sources of frames."""

from __future__ import annotations

import re
from pathlib import Path

from tsm_edge.errors import VideoError
from tsm_edge.files import MAX_PIXELS, read_picture
from tsm_edge.video import ASSUMED_FPS, Video

from .. import SAMPLE_CLIP
from . import Frame

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


class _OnDisk:
    """What sources share that are there as a whole."""

    live = False
    state = ""
    reconnects = 0

    def stop(self) -> None:
        """Nothing waits: a file has its frames."""


class VideoFile(_OnDisk):
    """A video file. Frames are stamped by the file's own time stamps, or counted where those are broken."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        if not path.is_file():
            hint = f"try the sample: {SAMPLE_CLIP}"
            if path.is_dir():
                bundle = (path / "manifest.json").is_file()
                hint = (
                    "a bundle is named with --bundle" if bundle else "a folder of pictures is read with --images"
                )
            found = "a folder" if path.is_dir() else "no regular file" if path.exists() else "no such file"
            raise VideoError(f"'{path}' is not a video file.", found=found, hint=hint)
        self._video = Video(path)

    def read(self) -> Frame | None:
        """Return the next frame, or None after the last."""
        frame = self._video.read()
        return None if frame is None else Frame(*frame)

    def silence(self, seconds: float) -> VideoError:
        """Return the error for a read that hangs."""
        return _silence(self.name, seconds)

    def notes(self) -> list[str]:
        """Say so when the frames had to be counted, and when the file ends before its own frame count."""
        return [f"{self.name}: {note}" for note in self._video.notes()]

    def close(self) -> None:
        """Close the file."""
        self._video.close()


class Repeated(_OnDisk):
    """A video file that begins again when it ends. Time stamps go on, one frame interval after the last."""

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


class ImageFolder(_OnDisk):
    """The images of a folder by name ("frame2" before "frame10"), each one of the model's frames.

    ``fps`` is the rate they are taken to have been recorded at; without one that is the model's own rate.
    """

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
