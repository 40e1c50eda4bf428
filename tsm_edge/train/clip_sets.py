"""The clips of `train` and `eval`: opened or decoded, what is left out named, and whether they are enough."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from ..errors import DataError
from ..signature import Preprocess
from ..terminal import say
from .data import Skipped, decoded, find, split, subset
from .network import Trainable
from .sources import Sources
from .store import Store, is_store, open_store

_FEW, _FEW_HELD, _UNEVEN = 10, 20, 4
_CHANCE = 0.05  # a result that guessing reaches at least so often is none
_SHOWN = 5  # names for one reason


def labels_in(data: Path, videos: Path | None) -> tuple[str, ...]:
    """The labels of a store, a folder or an annotation file."""
    if data.is_dir() and is_store(data):
        return open_store(data).labels
    return find(data, videos).labels


@dataclass(frozen=True)
class Subject:
    """What decoding asks of a network that is none of ours."""

    name: str
    labels: tuple[str, ...]
    preprocess: Preprocess


def opened(data: Path, cache: Path, model: Trainable | Subject, *, videos: Path | None, least: int) -> Store:
    """Open a store, or decode what is no store into one in ``cache``; what is left out is printed.

    least: a clip with fewer frames is left out. The store holds squares; of a network that looks at rectangles they
    have the longer side.

    Raises:
        DataError: the data cannot be read, or no clip of it can be used.
    """
    if data.is_dir() and is_store(data):
        return open_store(data)
    source = find(data, videos, model.labels)
    with click.progressbar(length=len(source.samples), label="decode", file=sys.stderr) as bar:
        how = model.preprocess
        store, skipped = decoded(
            source, cache, max(how.resize), how.rate_fps, least, lambda done, _: bar.update(1)
        )
    if not len(store):
        missing = all(each.why.endswith("no such file") for each in skipped)
        raise DataError(
            f"No clip of '{data}' can be used.",
            found=f"{len(skipped)} skipped: {skipped[0].name}: {skipped[0].why}",
            hint="say where the clips are: --videos DIR" if missing else None,
        )
    report_left_out(skipped, source.notes)
    return store


def check_labels(store: Store, labels: tuple[str, ...], hint: str | None = None) -> None:
    """DataError where clips have other labels than a network."""
    if store.labels != labels:
        raise DataError(
            "The labels of the data are not those of the network.",
            found=", ".join(store.labels),
            allowed=", ".join(labels),
            hint=hint,
        )


def spread(store: Store, count: int | None) -> Store:
    """Only so many clips, spread over all of them; None for all."""
    if count is None or count >= len(store):
        return store
    return subset(store, [int(index * len(store) / count) for index in range(count)])


def several(
    data: Sequence[Path], cache: Path, model: Trainable, *, videos: Path | None, least: int
) -> tuple[Store, ...]:
    """Open or decode each of ``data``; the clips of the first are kept in ``cache``, of others beside it.

    Raises:
        DataError: as :func:`opened`, or the labels of a store are not those of the model.
    """
    stores = []
    for number, each in enumerate(data, 1):
        folder = cache if number == 1 else cache.with_name(f"{cache.name}-{number}")
        store = opened(each, folder, model, videos=videos, least=least)
        if store.labels != model.labels:
            raise DataError(
                "The labels are not those of the training.",
                found=", ".join(store.labels),
                allowed=", ".join(model.labels),
                hint="give their order with --labels",
            )
        stores.append(store)
    return tuple(stores)


def parted(stores: Sequence[Store], share: float) -> tuple[Sources, Sources]:
    """Hold out that share of each store."""
    parts = [split(store, share) for store in stores]
    return Sources(tuple(part[0] for part in parts)), Sources(tuple(part[1] for part in parts))


def report_left_out(skipped: Sequence[Skipped], notes: Iterable[str] = ()) -> None:
    """Name what is left out, the clips by their reasons and at most a few for one; nothing is left out in silence."""
    for note in notes:
        say(f"note: {note}", err=True)
    by_reason: dict[tuple[bool, str], list[Skipped]] = {}
    for each in skipped:
        by_reason.setdefault((each.whole, re.sub(r"\d+", "#", each.why)), []).append(each)
    for (whole, _), some in by_reason.items():
        for each in some[:_SHOWN]:
            say(f"{'skipped' if whole else 'note:'} {each.name}: {each.why}", err=True)
        if len(some) > _SHOWN:
            names = ", ".join(each.name for each in some[_SHOWN : 4 * _SHOWN])
            more = " …" if len(some) > 4 * _SHOWN else ""
            say(f"  and {len(some) - _SHOWN} more for the same reason: {names}{more}", err=True)
    if count := sum(each.whole for each in skipped):
        say(f"{count} clips are left out", err=True)


def concerns(train: Store | Sources, held_out: Store | Sources) -> list[str]:
    """What about the numbers of clips will make a poor network, in plain words."""
    counts = dict(zip(train.labels, np.bincount(train.targets, minlength=len(train.labels)).tolist()))
    found = []
    none = [name for name, count in counts.items() if not count]
    if none:
        found.append(f"no clip to learn from: {', '.join(none)}; a class without clips is never recognised")
    few = [f"{name} {count}" for name, count in counts.items() if 0 < count < _FEW]
    if few:
        found.append(f"few clips to learn from: {', '.join(few)}; record 20 and more of each class")
    some = sorted((count, name) for name, count in counts.items() if count)
    if some and some[-1][0] > _UNEVEN * some[0][0]:
        found.append(
            f"uneven: {some[-1][1]} has {some[-1][0]} clips, {some[0][1]} has {some[0][0]}; "
            "what is rare will be taken for what is common"
        )
    if len(held_out) < _FEW_HELD:
        found.append(f"{len(held_out)} held-out clips measure little: one is {1 / max(1, len(held_out)):.0%} of them")
    return found


def guessing(held_out: Store | Sources) -> float:
    """Top-1 accuracy of an answer that looks at nothing: the most frequent class, or one by chance."""
    counts = np.bincount(held_out.targets, minlength=len(held_out.labels))
    return max(float(counts.max()) / max(1, len(held_out)), 1 / len(held_out.labels))


def is_chance(top1: float, held_out: Store | Sources) -> bool:
    """Whether guessing reaches this accuracy on so many clips in more than one of twenty cases."""
    count, share = len(held_out), guessing(held_out)
    hits = round(top1 * count)
    reached = sum(math.comb(count, n) * share**n * (1 - share) ** (count - n) for n in range(hits, count + 1))
    return reached > _CHANCE
