"""The frames of one clip: a video file by its time stamps, or a folder of pictures by their names.

Extracted data sets keep optical flow next to the frames, ``flow_x_00001.jpg`` beside ``img_00001.jpg``. Pictures are
put into series by what their names have in common, and one series is the clip.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, VideoError
from ..files import read_picture
from ..video import Video, sampled
from .folders import is_picture

Pixels = NDArray[np.uint8]
MOST_FRAMES = 4096  # of a clip: 5.7 minutes at 12 a second
_FLOW = re.compile(r"flow|optical|(^|[_-])of[_-]", re.IGNORECASE)
#: series that are flow when both are there, beside another series
_AXES = (("x", "y"), ("u", "v"))
_FRAMES = re.compile(r"((img|image|frame|rgb|im|pic|picture|color|colour)s?[_-]?)?#", re.IGNORECASE)


@dataclass(frozen=True)
class Clip:
    """Decoded frames, uint8 [T, side, side, 3] RGB, and what is to be known of how they were read."""

    frames: Pixels
    notes: tuple[str, ...] = ()


def read(path: Path, side: int, rate_fps: float, count: int = 0) -> Clip:
    """Frames of a video file or a folder of pictures at the given rate; the square in the middle, scaled to ``side``.

    count: how many pictures of a folder belong to the clip, 0 for all.

    Raises:
        DataError: it cannot be read; ``what`` is a short reason.
    """
    if path.is_dir():
        try:
            pictures, notes = series(path, count)
        except OSError as error:
            raise DataError("cannot be read", found=error.strerror or error) from error
        return Clip(np.stack([_square(_picture(each), side) for each in pictures]), tuple(notes))
    return _video(path, side, rate_fps)


def _video(path: Path, side: int, rate_fps: float) -> Clip:
    """The frames that a demo of this rate would step on."""
    if not path.is_file():
        raise DataError("cannot be read", found="no such file")
    try:
        video = Video(path)
    except VideoError as error:
        raise DataError("cannot be read", found="; ".join(filter(None, (str(error.found), error.hint)))) from error
    try:
        frames: list[Pixels] = []
        for frame, steps in sampled(video, rate_fps):
            frames += [_square(frame[:, :, ::-1], side)] * steps
            if len(frames) > MOST_FRAMES:
                raise DataError("too long", found=f"more than {MOST_FRAMES} frames; cut it into clips of one gesture")
        return Clip(np.stack(frames), tuple(video.notes()))
    finally:
        video.close()


def series(folder: Path, count: int = 0) -> tuple[list[Path], list[str]]:
    """The pictures of a clip in their order, and a note on others beside them.

    Raises:
        DataError: there are none, fewer than ``count``, or several series and nothing tells which is the clip.
    """
    found: dict[str, list[Path]] = {}
    for path in folder.iterdir():
        if is_picture(path) and path.is_file():
            found.setdefault(re.sub(r"\d+", "#", path.stem), []).append(path)
    if not found:
        inside = sorted(path.name for path in folder.iterdir() if path.is_dir())
        beside = f", but folders: {', '.join(inside[:4])}" if inside else ""
        raise DataError("cannot be read", found=f"no picture in the folder{beside}")
    name = _the_clip(found, count)
    pictures = sorted(found.pop(name), key=_natural)
    stems = [path.stem for path in pictures]
    if len(set(stems)) < len(stems):
        raise DataError("cannot be read", found=f"{len(stems) - len(set(stems))} pictures are there in two formats")
    if len(pictures) < count:
        raise DataError("cannot be read", found=f"{len(pictures)} pictures where the list says {count}")
    notes = []
    if count and len(pictures) > count:
        notes.append(f"the first {count} of {len(pictures)} pictures are read, as the list says")
    if found:
        left = ", ".join(f"{other} ({len(paths)})" for other, paths in sorted(found.items())[:4])
        notes.append(f"the pictures {name} are read, others are left out: {left}")
    return pictures[: count or None], notes


def _the_clip(found: dict[str, list[Path]], count: int) -> str:
    """Which series is the clip: no flow, the usual names of frames, or the number that the list says."""
    names = [name for name in found if not _FLOW.search(name)]
    if not names:
        raise DataError("cannot be read", found=f"pictures of flow only: {', '.join(sorted(found)[:4])}")
    for axes in _AXES:
        pair = [name for name in names if re.sub(r"[#_-]", "", name).lower() in axes]
        if len(pair) == 2 and len(names) > 2:
            names = [name for name in names if name not in pair]
    if all("#" not in name for name in names):  # names without numbers are one series
        first = names[0]
        found[first] = [path for name in names for path in found.pop(name)]
        return first
    rules: tuple[Callable[[str], bool], ...] = (
        lambda name: True,
        lambda name: bool(_FRAMES.fullmatch(name)),
        lambda name: count > 0 and len(found[name]) == count,
    )
    for rule in rules:
        some = [name for name in names if rule(name)]
        if len(some) == 1:
            return some[0]
    several = ", ".join(f"{name} ({len(found[name])})" for name in sorted(names)[:4])
    raise DataError("cannot be read", found=f"several series of pictures, nothing tells which is the clip: {several}")


def _natural(path: Path) -> list[tuple[int, str]]:
    """A key by which frame10 comes after frame2."""
    parts = re.split(r"(\d+)", path.stem)
    return [(int(part), "") if at % 2 else (0, part) for at, part in enumerate(parts)]


def _picture(path: Path) -> Pixels:
    frame = read_picture(path)
    if frame is None:
        raise DataError("cannot be read", found=f"{path.name} is no picture, or too large")
    return frame[:, :, ::-1]


def _square(frame: Pixels, side: int) -> Pixels:
    import cv2

    height, width = frame.shape[:2]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    part = np.ascontiguousarray(frame[top : top + short, left : left + short])
    way = cv2.INTER_AREA if short > side else cv2.INTER_LINEAR
    return part if short == side else np.asarray(cv2.resize(part, (side, side), interpolation=way))
