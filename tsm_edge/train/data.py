"""Where clips come from: a folder for each label, an annotation file, or a store; decoded once into a store.

``--data`` is a store (:mod:`.store`), as `tsm-edge synth` writes it, a folder of label folders (:mod:`.folders`), or an
annotation file (:mod:`.lists`) with the clips in ``--videos DIR``. A clip is a video file, whose frames are
picked by their time stamps at the network's rate, or a folder of pictures, which is taken to have that rate already
(:mod:`.clips`). What cannot be read, or is too short, is named with its reason and left out.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError
from ..files import strict_json
from . import clips, folders, lists
from .lists import Sample
from .store import MAX_INDEX_BYTES, MAX_INDEX_VALUES, Store, Writer, is_store, open_store

_RULES = 2  # one higher when the same files are read as other frames, so that no older cache is taken


@dataclass(frozen=True)
class Skipped:
    """A clip that is left out, and why; or, where it is not ``whole``, what of it was left out."""

    name: str
    why: str
    whole: bool = True


@dataclass(frozen=True)
class Source:
    """Clips and the labels they may have, in the order of the scores; notes: what was found beside them."""

    labels: tuple[str, ...]
    samples: tuple[Sample, ...]
    notes: tuple[str, ...] = ()


def find(data: Path, videos: Path | None = None, labels: Sequence[str] | None = None) -> Source:
    """List the clips of a folder or an annotation file; nothing is decoded.

    labels: the order of the classes; sorted by name when left out (numbered lists: as numbered).

    Raises:
        DataError: nothing is found, a line cannot be read, or a label is none of ``labels``.
    """
    if data.is_dir():
        try:
            samples, notes = folders.find(data, labels)
        except OSError as error:
            raise DataError(f"'{data}' cannot be read.", found=error) from error
    elif data.suffix in lists.SUFFIXES and data.is_file():
        samples, notes = lists.read(data, videos or data.parent, labels)
    else:
        raise DataError(
            f"'{data}' is no training data.",
            found="no such file or folder" if not data.exists() else "a file of another kind",
            allowed="a folder of label folders, a store, or an annotation file (.csv, .txt, .json)",
        )
    if not samples:
        raise DataError(
            f"There are no clips in '{data}'.",
            found="; ".join(notes) or None,
            allowed="<label>/<clip>, a clip being a video or a folder of pictures",
        )
    names = tuple(labels) if labels else tuple(sorted({sample.label for sample in samples}))
    strangers = sorted({sample.label for sample in samples} - set(names))
    if strangers:
        raise DataError(
            "A clip has a label that is not listed.",
            found=f"{strangers[0]} ({next(sample.name for sample in samples if sample.label == strangers[0])})",
            allowed=", ".join(names),
        )
    return Source(names, tuple(samples), (*notes, *_alike(names)))


def _alike(names: Sequence[str]) -> list[str]:
    """Labels that are probably one class, written in two ways."""
    plain: dict[str, list[str]] = {}
    for name in names:
        plain.setdefault(" ".join(name.lower().replace("_", " ").split()), []).append(name)
    same = (", ".join(names) for names in plain.values() if len(names) > 1)
    return [f"labels that differ in spelling only are two classes: {each}" for each in same]


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
            if isinstance(facts, dict) and facts["key"] == key:
                return store, [Skipped(*each) for each in facts["skipped"]]
        except (DataError, ValueError, KeyError, TypeError):
            pass  # of another version or damaged: it is only a cache
    skipped: list[Skipped] = []
    with Writer(cache, 0, side) as writer:
        for number, sample in enumerate(source.samples):
            try:
                clip = clips.read(sample.path, side, rate_fps, sample.count)
                if len(clip.frames) < least:
                    raise DataError("too short", found=f"{len(clip.frames)} frames at {rate_fps:g} a second")
            except DataError as error:
                skipped.append(Skipped(sample.name, f"{error.what}: {error.found}"))
            else:
                writer.add(sample.name, source.labels.index(sample.label), clip.frames)
                skipped += [Skipped(sample.name, note, whole=False) for note in clip.notes]
            if progress:
                progress(number + 1, len(source.samples))
        origin = json.dumps({"key": key, "skipped": [[each.name, each.why, each.whole] for each in skipped]})
        writer.close(source.labels, rate_fps, origin)
    return open_store(cache), skipped


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


def _key(source: Source, side: int, rate_fps: float, least: int) -> str:
    """A sum over what is read and how: names, labels, sizes and times of change."""
    digest = hashlib.sha256(json.dumps([_RULES, source.labels, side, rate_fps, least]).encode())
    for sample in source.samples:
        stats = []
        with contextlib.suppress(OSError):  # whoever reads the clip says why it cannot be read
            files = sorted(sample.path.iterdir()) if sample.path.is_dir() else [sample.path]
            stats = [
                (file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()
            ]
        digest.update(json.dumps([sample.name, sample.label, str(sample.path), sample.count, stats]).encode())
    return digest.hexdigest()
