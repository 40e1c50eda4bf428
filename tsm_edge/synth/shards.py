"""Rendering on several machines: which clips are whose, and one store made of all parts.

A clip depends on nothing but split, seed, number and size, so the parts joined are the bytes of one run.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError, UsageError
from ..train.store import Store, Writer, open_store
from .files import ORIGIN, name_of
from .motion import LABELS, RATE_FPS


@dataclass(frozen=True)
class Shard:
    """Part ``number`` of ``count``, counted from 1."""

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read "2/4"; UsageError."""
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text, re.ASCII)
        shard = cls(int(found[1]), int(found[2])) if found else cls(0, 0)
        if not 1 <= shard.number <= shard.count:
            raise UsageError("Bad --shard.", found=text, allowed="I/N, such as 1/4 to 4/4")
        return shard

    def of(self, indices: Sequence[int]) -> list[int]:
        """Its stretch of the clips; the lengths of two parts differ by at most one."""
        first, end = ((len(indices) * at) // self.count for at in (self.number - 1, self.number))
        return list(indices[first:end])


def numbers(clips: int, labels: Sequence[str]) -> list[int]:
    """The numbers of the first ``clips`` clips of these classes, which take turns."""
    return [len(LABELS) * (at // len(labels)) + LABELS.index(labels[at % len(labels)]) for at in range(clips)]


def join(out: Path, folders: Sequence[Path]) -> Store:
    """Write one store of all parts of a rendering, in whatever order they are given.

    Raises:
        DataError: a folder holds no part, parts of different renderings are mixed, one is missing or is there twice.
        OutputError: the store cannot be written.
    """
    parts = [open_store(folder) for folder in folders]
    for folder, part in zip(folders, parts):
        if part.origin != ORIGIN or part.recipe is None:
            raise DataError(
                f"'{folder}' is no part of a rendering.",
                found=part.origin,
                allowed="what `tsm-edge synth --shard` writes",
            )
        if not {"clips", "split", "seed", "size", "frames"} <= part.recipe.keys() or (
            part.recipe["size"] != part.side or not set(part.labels) <= set(LABELS)
        ):
            raise DataError(f"The recipe of '{folder}' is damaged.", found=_words(part))
        if part.recipe != parts[0].recipe or part.labels != parts[0].labels:
            raise DataError(
                f"'{folder}' is a part of another rendering than '{folders[0]}'.",
                found=_words(part),
                allowed=_words(parts[0]),
                hint="give every machine the same options, but for --shard",
            )
    clips = _in_order(parts)
    with Writer(out, sum(part.entries[at].count for part, at in clips), parts[0].side) as writer:
        for part, at in clips:
            entry = part.entries[at]
            writer.add(entry.name, entry.label, part.clip(at), entry.cues)
        writer.close(parts[0].labels, RATE_FPS, ORIGIN, parts[0].recipe)
    return open_store(out)


def _in_order(parts: Sequence[Store]) -> list[tuple[Store, int]]:
    """Every clip, in the order of one run, as its part and its place there.

    Raises:
        DataError: one is missing or is there twice.
    """
    clips: dict[str, tuple[Store, int]] = {}
    for part in parts:
        for at, entry in enumerate(part.entries):
            if entry.name in clips:
                raise DataError("A part is given twice.", found=f"clip {entry.name} in two folders")
            clips[entry.name] = part, at
    count = (parts[0].recipe or {}).get("clips")
    names = [name_of(index) for index in numbers(len(clips), parts[0].labels)]
    if count != len(clips) or not clips.keys() >= set(names):
        raise DataError(
            "A part is missing.",
            found=f"{len(clips)} clips",
            allowed=f"{count} clips",
            hint="give a --join for every part, 1/N to N/N",
        )
    return [clips[name] for name in names]


def _words(part: Store) -> str:
    return ", ".join(
        [*(f"{key} {value}" for key, value in (part.recipe or {}).items()), f"{len(part.labels)} classes"]
    )
