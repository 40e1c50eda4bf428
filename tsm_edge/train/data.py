"""Where clips come from: a folder for each label, an annotation file, or a store; decoded once into a store.

Four kinds of ``--data``:

* a store (:mod:`.store`), as `tsm-edge synth` writes it; * a folder of folders, ``DIR/<label>/<clip>``, a clip being
a video file or a folder of pictures; * a ``.csv`` in the style of Jester and Something-Something, ``video;label`` a
line, with the clips in ``--videos DIR`` under
  that name, with or without a suffix;
* a ``.txt`` list of raw frames in the style of mmaction2, ``folder frames label-number`` a line, below ``--videos
DIR``; the
  names of the labels come from ``--labels``.

A video's frames are picked by their time stamps at the network's rate; a folder of pictures is taken to have that rate
already. What cannot be read, or is too short, is named with its reason and left out.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import strict_json
from ..errors import DataError, VideoError
from ..files import read_picture
from ..video import ENDINGS, Video, sampled
from .store import MAX_INDEX_BYTES, MAX_INDEX_VALUES, Store, Writer, is_store, open_store

Pixels = NDArray[np.uint8]
PICTURES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".webp")


@dataclass(frozen=True)
class Sample:
    """One clip that has not been read: its name for messages, its label and its file or folder."""

    name: str
    label: str
    path: Path


@dataclass(frozen=True)
class Skipped:
    """A clip that is left out, and why."""

    name: str
    why: str


@dataclass(frozen=True)
class Source:
    """Clips and the labels they may have, in the order of the scores."""

    labels: tuple[str, ...]
    samples: tuple[Sample, ...]


def find(data: Path, videos: Path | None = None, labels: Sequence[str] | None = None) -> Source:
    """List the clips of a folder or an annotation file; nothing is decoded.

    labels: the order of the classes; sorted by name when left out (raw frame lists: as numbered).

    Raises:
        DataError: nothing is found, a line cannot be read, or a label is none of ``labels``.
    """
    if data.is_dir():
        samples = _folders(data)
    elif data.suffix in (".csv", ".txt") and data.is_file():
        lines = [line for line in data.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        read = _annotated if data.suffix == ".csv" else _raw_frames
        samples = read(data, lines, videos or data.parent, labels)
    else:
        raise DataError(
            f"'{data}' is no training data.",
            found="no such file or folder" if not data.exists() else "a file of another kind",
            allowed="a folder of label folders, a .csv of video;label, a .txt of raw frames, or a store",
        )
    if not samples:
        raise DataError(
            f"There are no clips in '{data}'.",
            allowed="<label>/<clip>, a clip being a video or a folder of pictures",
        )
    names = tuple(labels) if labels else tuple(sorted({sample.label for sample in samples}))
    strangers = sorted({sample.label for sample in samples} - set(names))
    if strangers:
        raise DataError(
            "A clip has a label that is not listed.", found=strangers[0], allowed=", ".join(names)
        )
    return Source(names, tuple(samples))


def decoded(
    source: Source,
    cache: Path,
    side: int,
    rate_fps: float,
    least: int,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Store, list[Skipped]]:
    """Read every clip once into a store in ``cache``, or find them there from the last time.

    side: frames are scaled to this short side and the square in the middle is kept. least: a clip with fewer frames
    is left out. A file that has changed since makes the store anew.
    """
    key = _key(source, side, rate_fps, least)
    if is_store(cache):
        try:
            store = open_store(cache)
            facts = strict_json.loads(store.origin, MAX_INDEX_BYTES, MAX_INDEX_VALUES)
            if facts["key"] == key:
                return store, [Skipped(*each) for each in facts["skipped"]]
        except (DataError, ValueError, KeyError, TypeError):
            pass  # of another version or damaged: it is only a cache
    skipped: list[Skipped] = []
    with Writer(cache, 0, side) as writer:
        for number, sample in enumerate(source.samples):
            try:
                frames = read_clip(sample.path, side, rate_fps)
                if len(frames) < least:
                    raise DataError("too short", found=f"{len(frames)} frames at {rate_fps:g} a second")
            except DataError as error:
                skipped.append(Skipped(sample.name, f"{error.what}: {error.found}"))
            else:
                writer.add(sample.name, source.labels.index(sample.label), frames)
            if progress:
                progress(number + 1, len(source.samples))
        origin = json.dumps({"key": key, "skipped": [[each.name, each.why] for each in skipped]})
        writer.close(source.labels, rate_fps, origin)
    return open_store(cache), skipped


def read_clip(path: Path, side: int, rate_fps: float) -> Pixels:
    """Frames of a video file or a folder of pictures at the given rate, uint8 [T, side, side, 3] RGB.

    Raises:
        DataError: it cannot be read; ``what`` is a short reason.
    """
    frames = [
        _square(frame, side) for frame in (_pictures(path) if path.is_dir() else _video(path, rate_fps))
    ]
    if not frames:
        raise DataError("cannot be read", found="no picture in the folder" if path.is_dir() else "no frame")
    return np.stack(frames)


def split(store: Store, share: float) -> tuple[Store, Store]:
    """Hold out about that share of each class's clips, chosen by the sum of their names: the same ones every time."""
    held = set()
    for label in range(len(store.labels)):
        members = [index for index, entry in enumerate(store.entries) if entry.label == label]
        members.sort(key=lambda index: hashlib.sha256(store.entries[index].name.encode()).digest())
        held.update(members[: max(1, round(share * len(members)))] if len(members) > 1 else [])
    return subset(store, [at for at in range(len(store)) if at not in held]), subset(store, sorted(held))


def subset(store: Store, indices: Sequence[int]) -> Store:
    """The same store with only these clips."""
    return Store(
        store.labels, store.rate_fps, store.origin, tuple(store.entries[i] for i in indices), store.frames
    )


def _folders(data: Path) -> list[Sample]:
    samples = []
    for folder in sorted(path for path in data.iterdir() if path.is_dir() and not path.name.startswith(".")):
        for path in sorted(folder.iterdir()):
            if path.name.startswith("."):
                continue
            if path.is_dir() or path.suffix.lower() in ENDINGS:
                samples.append(Sample(f"{folder.name}/{path.name}", folder.name, path))
    return samples


def _annotated(data: Path, lines: list[str], videos: Path, labels: Sequence[str] | None) -> list[Sample]:
    samples = []
    for number, line in enumerate(lines, 1):
        name, found, label = (part.strip() for part in line.partition(";"))
        if not (name and found and label):
            raise DataError(f"Line {number} of '{data}' cannot be read.", found=line, allowed="video;label")
        samples.append(Sample(name, label, _clip_path(videos, name)))
    return samples


def _raw_frames(data: Path, lines: list[str], videos: Path, labels: Sequence[str] | None) -> list[Sample]:
    rows = []
    for number, line in enumerate(lines, 1):
        found = re.fullmatch(r"(.+?)\s+(\d+)\s+(\d+)\s*", line)
        if found is None or (labels and int(found[3]) >= len(labels)):
            raise DataError(
                f"Line {number} of '{data}' cannot be read.",
                found=line,
                allowed="folder frames label-number" + (f", numbers to {len(labels) - 1}" if labels else ""),
            )
        rows.append((found[1], int(found[3])))
    digits = len(str(max((label for _, label in rows), default=0)))  # sorted by name is sorted by number
    return [
        Sample(name, labels[label] if labels else f"class {label:0{digits}d}", videos / name)
        for name, label in rows
    ]


def _clip_path(videos: Path, name: str) -> Path:
    """The clip's folder or file; a name may leave its suffix out. One that is not there fails when it is read."""
    for candidate in (videos / name, *(videos / f"{name}{suffix}" for suffix in sorted(ENDINGS))):
        if candidate.exists():
            return candidate
    return videos / name


def _video(path: Path, rate_fps: float) -> Iterator[Pixels]:
    """The frames that a demo of this rate would step on."""
    if not path.is_file():
        raise DataError("cannot be read", found="no such file")
    try:
        video = Video(path)
    except VideoError as error:
        raise DataError("cannot be read", found="; ".join(filter(None, (str(error.found), error.hint)))) from error
    try:
        for frame, steps in sampled(video, rate_fps):
            yield from [frame[:, :, ::-1]] * steps
    finally:
        video.close()


def _pictures(path: Path) -> Iterator[Pixels]:
    names = [
        each for each in path.iterdir() if each.suffix.lower() in PICTURES and not each.name.startswith(".")
    ]
    for each in sorted(
        names, key=lambda one: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", one.name)]
    ):
        frame = read_picture(each)
        if frame is None:
            raise DataError("cannot be read", found=f"{each.name} is no picture, or too large")
        yield frame[:, :, ::-1]


def _square(frame: Pixels, side: int) -> Pixels:
    import cv2

    height, width = frame.shape[:2]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    part = np.ascontiguousarray(frame[top : top + short, left : left + short])
    way = cv2.INTER_AREA if short > side else cv2.INTER_LINEAR
    return part if short == side else np.asarray(cv2.resize(part, (side, side), interpolation=way))


def _key(source: Source, side: int, rate_fps: float, least: int) -> str:
    """A sum over what is read and how: names, labels, sizes and times of change."""
    digest = hashlib.sha256(json.dumps([source.labels, side, rate_fps, least]).encode())
    for sample in source.samples:
        files = sorted(sample.path.iterdir()) if sample.path.is_dir() else [sample.path]
        stats = [
            (file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()
        ]
        digest.update(json.dumps([sample.name, sample.label, str(sample.path), stats]).encode())
    return digest.hexdigest()
