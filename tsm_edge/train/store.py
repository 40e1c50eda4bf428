"""Decoded clips on disk: every frame at one size, in one array that is mapped, not read.

A store is a folder with two files. ``frames.npy``: uint8 [frames, side, side, 3] RGB, all clips one after the other.
``clips.json``: {schema, labels, rate_fps, origin, clips: [[name, label index, first frame, number of frames], ...]}.
The second is written last and by renaming, so a folder with a ``clips.json`` is whole.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

Pixels = NDArray[np.uint8]
FRAMES, INDEX, SCHEMA = "frames.npy", "clips.json", 1


@dataclass(frozen=True)
class Entry:
    """Where one clip is: ``first`` and ``count`` are frames of the big array; ``label`` indexes the store's labels."""

    name: str
    label: int
    first: int
    count: int


@dataclass(frozen=True)
class Store:
    """An opened store. ``frames`` is a read-only memory map; ``origin`` says in words where the clips are from."""

    labels: tuple[str, ...]
    rate_fps: float
    origin: str
    entries: tuple[Entry, ...]
    frames: Pixels

    @property
    def side(self) -> int:
        """Height and width of every frame in pixels."""
        return int(self.frames.shape[1])

    @property
    def targets(self) -> NDArray[np.int64]:
        """The label index of every clip."""
        return np.array([entry.label for entry in self.entries], np.int64)

    def clip(self, index: int) -> Pixels:
        """Frames of one clip, uint8 [T, side, side, 3] RGB; a view."""
        entry = self.entries[index]
        return self.frames[entry.first : entry.first + entry.count]

    def __len__(self) -> int:
        return len(self.entries)


def is_store(folder: Path) -> bool:
    """Whether there is a whole store in the folder."""
    return (folder / INDEX).is_file() and (folder / FRAMES).is_file()


def open_store(folder: Path) -> Store:
    """Open the store in a folder; DataError when it is damaged."""
    try:
        facts = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        entries = tuple(Entry(*row) for row in facts["clips"])
        if facts["schema"] != SCHEMA:
            raise ValueError(f"schema {facts['schema']}")
        frames = np.load(folder / FRAMES, mmap_mode="r")
        ends = max((entry.first + entry.count for entry in entries), default=0)
        if frames.ndim != 4 or frames.dtype != np.uint8 or len(frames) < ends:
            raise ValueError(f"{FRAMES} holds {frames.dtype} {list(frames.shape)}, {ends} frames are named")
        return Store(tuple(facts["labels"]), float(facts["rate_fps"]), str(facts["origin"]), entries, frames)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"The clip store '{folder}' is damaged.",
            found=f"{type(error).__name__}: {error}",
            hint="remove the folder and make it again",
        ) from error


class Writer:
    """Writes a store: ``add`` clips in order, then ``close``. ``frames`` is the number of frames there is room for."""

    def __init__(self, folder: Path, frames: int, side: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / INDEX).unlink(missing_ok=True)
        self._folder = folder
        self._frames = np.lib.format.open_memmap(
            folder / FRAMES, mode="w+", dtype=np.uint8, shape=(max(1, frames), side, side, 3)
        )
        self._entries: list[Entry] = []
        self._used = 0

    def add(self, name: str, label: int, clip: Pixels) -> None:
        """Append one clip, uint8 [T, side, side, 3] RGB."""
        self._frames[self._used : self._used + len(clip)] = clip
        self._entries.append(Entry(name, label, self._used, len(clip)))
        self._used += len(clip)

    def close(self, labels: Sequence[str], rate_fps: float, origin: str) -> None:
        """Write the index; from here on the store is whole."""
        self._frames.flush()
        facts = {
            "schema": SCHEMA,
            "labels": list(labels),
            "rate_fps": rate_fps,
            "origin": origin,
            "clips": [[entry.name, entry.label, entry.first, entry.count] for entry in self._entries],
        }
        write_text(self._folder / INDEX, json.dumps(facts))


def write_text(path: Path, text: str) -> None:
    """Write a file so that it is either the old one or the new one, whatever happens meanwhile."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
