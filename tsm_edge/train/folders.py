"""A folder of label folders, ``DIR/<label>/<clip>``: its clips, and what lies there that is none.

Data sets are also kept one level deeper, ``DIR/<person>/<label>/<clip>`` or ``DIR/<label>/<person>/<clip>``, and with
``train`` and ``val`` on top. Names alone seldom tell which level is the label: the deeper forms are read when
``--labels`` or the names ("person 3") do, and are refused with the cure when nothing does.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import DataError
from ..report import shell
from ..video import ENDINGS
from .lists import Sample

PICTURES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".webp")
_TRAIN = frozenset(("train", "training"))
_HELD = frozenset(("dev", "eval", "held-out", "heldout", "test", "testing", "val", "valid", "validation"))
_PERSON = re.compile(r"(person|people|subject|subj|user|actor|participant|performer|signer|p|s|id)?[ _-]?\d+", re.I)
_SHOWN = 6


@dataclass
class _Level:
    """One label folder: its clips, the folders of clips in it, and what is none."""

    folder: Path
    clips: list[Path] = field(default_factory=list)
    deeper: list[Path] = field(default_factory=list)
    pictures: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)


def find(data: Path, labels: Sequence[str] | None) -> tuple[list[Sample], list[str]]:
    """Return the clips below ``data``, and notes on what is left out.

    Raises:
        DataError: the folder holds the parts of a data set, or clips a level deeper and nothing tells their labels.
    """
    inside = [path for path in sorted(data.iterdir()) if not path.name.startswith(".")]
    folders = [path for path in inside if path.is_dir()]
    _check_parts(data, [path.name for path in folders], labels)
    levels = [_level(folder) for folder in folders]
    notes = _unlabelled(data, inside)
    if _label_is_below(data, levels, labels):
        below = [_level(path) for level in levels for path in level.deeper]
        samples = [_sample(data, clip, level.folder.name) for level in below for clip in level.clips]
        samples += [_sample(data, clip, clip.name) for level in levels for clip in level.clips if clip.is_dir()]
        notes += _unlabelled(data, [clip for level in levels for clip in level.clips])
        return samples, notes + _left(data, [*levels, *below])
    samples = []
    for level in levels:
        clips = [*level.clips, *(clip for path in level.deeper for clip in _level(path).clips)]
        samples += [_sample(data, clip, level.folder.name) for clip in sorted(clips)]
    return samples, notes + _left(data, levels)


def _sample(data: Path, clip: Path, label: str) -> Sample:
    return Sample(clip.relative_to(data).as_posix(), label, clip)


def is_picture(path: Path) -> bool:
    """Whether a file is a picture by its ending."""
    return path.suffix.lower() in PICTURES and not path.name.startswith(".")


def _level(folder: Path) -> _Level:
    level = _Level(folder)
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            (level.deeper if _holds_clips(path) else level.clips).append(path)
        elif path.suffix.lower() in ENDINGS:
            level.clips.append(path)
        else:
            (level.pictures if is_picture(path) else level.others).append(path)
    return level


def _holds_clips(folder: Path) -> bool:
    """Whether a folder holds clips, and is not one itself: a folder of pictures."""
    inside = [path for path in folder.iterdir() if not path.name.startswith(".")]
    if any(is_picture(path) for path in inside):
        return False
    return any(
        path.suffix.lower() in ENDINGS or (path.is_dir() and any(map(is_picture, path.iterdir())))
        for path in inside
    )


def _check_parts(data: Path, names: Sequence[str], labels: Sequence[str] | None) -> None:
    """Refuse a folder whose folders are called train and val, unless those are labels."""
    lower = {name.lower(): name for name in names}
    train, held = lower.keys() & _TRAIN, lower.keys() & _HELD
    if not (train or held) or (labels and set(names) & set(labels)):
        return
    if not (train and held) and not set(lower) <= _TRAIN | _HELD:
        return
    parts = [data / lower[name] for name in (*sorted(train), *sorted(held, reverse=True))]
    use = shell("--data {} --held-out {}", parts[0], parts[1]) if len(parts) > 1 else shell("--data {}", parts[0])
    raise DataError(
        f"'{data}' holds the parts of a data set, not label folders.",
        found=", ".join(part.name for part in parts),
        allowed="<label>/<clip>",
        hint=f"name the part: {use}" + (f"; to measure, {shell('--data {}', parts[-1])}" if train and held else ""),
    )


def _label_is_below(data: Path, levels: Sequence[_Level], labels: Sequence[str] | None) -> bool:
    """Whether the labels are the second level of folders; DataError when that cannot be told."""
    upper = {level.folder.name for level in levels}
    deeper = {path.name for level in levels for path in level.deeper}
    clips = [path for level in levels for path in level.clips]
    lower = deeper | {path.name for path in clips if path.is_dir()}
    if labels and lower and upper - set(labels) and lower <= set(labels):
        return True
    if not deeper or clips or (labels and upper <= set(labels)):
        return False
    persons = [all(map(_PERSON.fullmatch, names)) for names in (upper, deeper)]
    if persons[0] != persons[1]:
        return persons[0]
    example = next(path for level in levels for path in level.deeper)
    raise DataError(
        f"The clips in '{data}' lie one folder deeper than labels do.",
        found=f"{example.relative_to(data).as_posix()}/{next(iter(_level(example).clips), Path('clip')).name}",
        allowed="<label>/<clip>",
        hint="which level is the label? Name the classes with --labels FILE, one a line: then either is read",
    )


def _unlabelled(data: Path, inside: Sequence[Path]) -> list[str]:
    """The note on videos that lie beside the label folders."""
    files = [path for path in inside if path.is_file() and path.suffix.lower() in ENDINGS]
    if not files:
        return []
    return [f"{len(files)} videos in {data} are in no label folder and are left out: {_shown(data, files)}"]


def _left(data: Path, levels: Sequence[_Level]) -> list[str]:
    notes = []
    others = [path for level in levels for path in level.others]
    if others:
        endings = Counter(path.suffix.lower() or "none" for path in others)
        counts = ", ".join(f"{ending} ({count})" for ending, count in endings.most_common())
        notes.append(
            f"{len(others)} files whose endings are no video's are left out, {counts}: {_shown(data, others)}"
        )
    pictures = [path for level in levels for path in level.pictures]
    if pictures:
        notes.append(
            f"{len(pictures)} pictures lie in a label folder itself and are left out; a clip of pictures is a folder "
            f"of its own: {_shown(data, pictures)}"
        )
    notes += [
        f"label folder {level.folder.relative_to(data).as_posix()} holds no clip"
        for level in levels
        if not (level.clips or level.deeper)
    ]
    return notes


def _shown(data: Path, paths: Sequence[Path]) -> str:
    names = [path.relative_to(data).as_posix() for path in paths[:_SHOWN]]
    return ", ".join(names) + (" …" if len(paths) > _SHOWN else "")
