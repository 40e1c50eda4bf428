"""Decoded clips on disk: every frame at one size, in one array that is mapped, not read.

A store is a folder with two files. ``frames.npy``: uint8 [frames, side, side, 3] RGB, all clips one after the other.
``clips.json``: {schema, labels, rate_fps, origin, clips: [[name, label index, first frame, number of frames], ...]}.
A clip may be a take, in which gestures happen at times that are known: its row ends with [[label index, first frame,
end], ...], counted within the clip. Rendered clips have ``recipe``, too: what a store must have in common with another
one to be a part of the same.

The index is written last and by renaming. Where a store is written anew, its frames take the other of two names and
the index says which (``"frames": "frames-2.npy"``), so the older store is whole until the newer one is. Frames are
written, not mapped: on a full disk a write fails with an error, where a mapped page ends the process (SIGBUS).
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from ..decision import is_quiet
from ..errors import DataError
from ..files import MIB, atomic, strict_json
from ..files.temporaries import hold, remove, sibling, sweep

Pixels = NDArray[np.uint8]
#: label, first frame, end
Cue = tuple[int, int, int]
FRAMES, INDEX, SCHEMA = "frames.npy", "clips.json", 1
_OTHER_FRAMES = "frames-2.npy"
_HEADER_BYTES = 128
#: of the index: eight hundred thousand clips
MAX_INDEX_BYTES, MAX_INDEX_VALUES = 64 * MIB, 1 << 22


@dataclass(frozen=True)
class Entry:
    """Where one clip is: ``first`` and ``count`` are frames of the big array; ``label`` indexes the store's labels.

    cues: (label, begin, end) of every gesture of a take in frames of the clip, end exclusive, one after the other; in
    all other frames nobody means anything. Empty for a clip that is a gesture from its first frame to its last.
    """

    name: str
    label: int
    first: int
    count: int
    cues: tuple[Cue, ...] = ()


@dataclass(frozen=True)
class Store:
    """An opened store. ``frames`` is a read-only memory map; ``origin`` says in words where the clips are from."""

    labels: tuple[str, ...]
    rate_fps: float
    origin: str
    entries: tuple[Entry, ...]
    frames: Pixels
    recipe: Mapping[str, object] | None = None

    @property
    def side(self) -> int:
        """Height and width of every frame in pixels."""
        return int(self.frames.shape[1])

    @property
    def targets(self) -> NDArray[np.int64]:
        """The label index of every clip."""
        return np.array([entry.label for entry in self.entries], np.int64)

    @property
    def takes(self) -> bool:
        """Whether the clips are takes, judged by the frame: each has cues or is of a quiet class, and one has cues."""
        quiet = [is_quiet(label) for label in self.labels]
        cued = any(entry.cues for entry in self.entries)
        return cued and all(entry.cues or quiet[entry.label] for entry in self.entries)

    def clip(self, index: int) -> Pixels:
        """Frames of one clip, uint8 [T, side, side, 3] RGB; a view."""
        entry = self.entries[index]
        return self.frames[entry.first : entry.first + entry.count]

    def __len__(self) -> int:
        return len(self.entries)


def is_store(folder: Path) -> bool:
    """Whether there is a whole store in the folder."""
    return (folder / INDEX).is_file() and (folder / _frames_name(folder)).is_file()


def open_store(folder: Path) -> Store:
    """Open the store in a folder; DataError when it is damaged."""
    try:
        facts = _read_index(folder)
        if facts["schema"] != SCHEMA:
            raise ValueError(f"schema {facts['schema']}")
        labels, clips, rate_fps = facts["labels"], facts["clips"], facts["rate_fps"]
        if not isinstance(labels, list) or not isinstance(clips, list) or not isinstance(rate_fps, (int, float)):
            raise TypeError("labels, clips or rate_fps")
        entries = tuple(_entry(row, len(labels)) for row in clips)
        frames = np.load(folder / _checked_name(facts), mmap_mode="r")
        ends = max((entry.first + entry.count for entry in entries), default=0)
        if frames.ndim != 4 or frames.dtype != np.uint8 or len(frames) < ends:
            raise ValueError(f"{FRAMES} holds {frames.dtype} {list(frames.shape)}, {ends} frames are named")
        recipe = facts.get("recipe")
        if not isinstance(recipe, dict | None):
            raise TypeError(f"recipe {recipe!r}")
        return Store(tuple(labels), float(rate_fps), str(facts["origin"]), entries, frames, recipe)
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise DataError(
            f"The clip store '{folder}' is damaged.",
            found=f"{type(error).__name__}: {error}",
            hint="remove the folder and make it again",
        ) from error


class Writer(contextlib.AbstractContextManager["Writer"]):
    """Writes a store: ``add`` clips in order, then ``close``; leaving the context without that drops what was written.

    frames: how many there will be, to find out at once that the disk has no room for them; 0 when that is not known.

    Raises:
        OutputError: from each method; the disk is full or fails. An older store in the folder is untouched.
    """

    def __init__(self, folder: Path, frames: int, side: int) -> None:
        self._folder, self._side = folder, side
        self._entries: list[Entry] = []
        self._used = 0
        with self._worded():
            folder.mkdir(parents=True, exist_ok=True)
            sweep(folder)
            names = (FRAMES, _OTHER_FRAMES)
            self._name = names[is_store(folder) and _frames_name(folder) == FRAMES]
            self._temporary = sibling(folder / self._name)
            self._file = open(self._temporary, "xb")  # noqa: SIM115
        try:
            with self._worded():
                hold(self._file.fileno())
                if frames:
                    os.posix_fallocate(self._file.fileno(), 0, _HEADER_BYTES + frames * side * side * 3)
                self._file.write(_header(frames, side))
        except BaseException:
            self._drop()
            raise

    def add(self, name: str, label: int, clip: Pixels, cues: Sequence[Cue] = ()) -> None:
        """Append one clip, uint8 [T, side, side, 3] RGB; ``cues``: see :class:`Entry`, ValueError if they cannot be."""
        entry = Entry(name, label, self._used, len(clip), tuple(cues))
        _check_cues(entry)
        with self._worded():
            self._file.write(np.ascontiguousarray(clip).data)
        self._entries.append(entry)
        self._used += len(clip)

    def close(
        self, labels: Sequence[str], rate_fps: float, origin: str, recipe: Mapping[str, object] | None = None
    ) -> None:
        """Write the index; from here on the store is whole."""
        facts = {
            "schema": SCHEMA,
            "labels": list(labels),
            "rate_fps": rate_fps,
            "origin": origin,
            **({"frames": self._name} if self._name != FRAMES else {}),
            **({"recipe": dict(recipe)} if recipe is not None else {}),
            "clips": [_row(entry) for entry in self._entries],
        }
        try:
            with self._worded():
                self._file.seek(0)
                self._file.write(_header(self._used, self._side))
                self._file.truncate(_HEADER_BYTES + self._used * self._side * self._side * 3)
                self._file.close()
                atomic.replace(self._temporary, self._folder / self._name)
            try:
                atomic.write_text(self._folder / INDEX, json.dumps(facts))
            except BaseException:
                remove(self._folder / self._name)  # no index names it
                raise
        finally:
            self._drop()
        remove(self._folder / (_OTHER_FRAMES if self._name == FRAMES else FRAMES))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drop()

    def _drop(self) -> None:
        with contextlib.suppress(OSError):  # what is left in the buffer is of no use
            self._file.close()
        remove(self._temporary)

    @contextlib.contextmanager
    def _worded(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise atomic.cannot_write(self._folder, error) from error


def _header(frames: int, side: int) -> bytes:
    """The head of an .npy file, version 1.0, always of the same length: the number of frames is known at the end.

    https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
    """
    facts = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({frames}, {side}, {side}, 3), }}"
    text = facts.ljust(_HEADER_BYTES - 11) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def _frames_name(folder: Path) -> str:
    """The name of the frames' file as the index says it."""
    try:
        return _checked_name(_read_index(folder))
    except (OSError, ValueError, TypeError, AttributeError):
        return FRAMES


def _row(entry: Entry) -> list[object]:
    """A clip as the index holds it."""
    row: list[object] = [entry.name, entry.label, entry.first, entry.count]
    return [*row, [list(cue) for cue in entry.cues]] if entry.cues else row


def _entry(row: object, labels: int) -> Entry:
    """A clip of the index; ValueError when a number cannot be right."""
    if not isinstance(row, list):
        raise ValueError(f"clip {row}")
    name, label, first, count, *rest = row
    if len(rest) > 1:
        raise ValueError(f"clip {row}")
    entry = Entry(name, label, first, count, tuple((of, begin, end) for of, begin, end in (rest[0] if rest else ())))
    numbers = (entry.label, entry.first, entry.count, *itertools.chain(*entry.cues))
    if not all(isinstance(number, int) and not isinstance(number, bool) and number >= 0 for number in numbers):
        raise ValueError(f"clip {row}")
    if max([entry.label, *(cue[0] for cue in entry.cues)]) >= labels or not isinstance(entry.name, str):
        raise ValueError(f"clip {row} with {labels} labels")
    _check_cues(entry)
    return entry


def _check_cues(entry: Entry) -> None:
    """ValueError where cues are empty, meet, or leave the clip."""
    free = 0
    for _, begin, end in entry.cues:
        if not free <= begin < end <= entry.count:
            raise ValueError(f"cues {entry.cues} of {entry.count} frames")
        free = end


def _read_index(folder: Path) -> dict[str, object]:
    facts = strict_json.read(folder / INDEX, MAX_INDEX_BYTES, MAX_INDEX_VALUES)
    if not isinstance(facts, dict):
        raise ValueError("no object")
    return facts


def _checked_name(facts: dict[str, object]) -> str:
    name = facts.get("frames", FRAMES)
    if name not in (FRAMES, _OTHER_FRAMES):
        raise ValueError(f"frames in {name!r}")
    return str(name)
