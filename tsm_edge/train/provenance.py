"""Which training the files of a folder are of: a checkpoint by its settings, the weights by what they say."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

from ..errors import CheckpointError
from ..weights.meta import WeightsMeta, read_meta
from . import checkpoint
from .settings import Settings

_WORTH = r"(?:[01]\.\d+, balanced )?([01]\.\d+)"


def checkpoint_of(out: Path, settings: Settings) -> checkpoint.Content:
    """Return the content of the checkpoint in the folder ``out``.

    Raises:
        CheckpointError: there is none, it is damaged, or it is of a training with other settings.
    """
    path = out / checkpoint.LAST
    if not path.is_file():
        raise CheckpointError(
            f"There is nothing to resume in '{out}'.",
            found=f"no {checkpoint.LAST}",
            hint="leave out --resume",
        )
    content = checkpoint.load(path)
    other = Settings.from_json(content["settings"]).differing(settings)
    if other:
        raise CheckpointError(
            f"The training in '{out}' was started with other settings.",
            found=", ".join(other),
            hint="give the same options, or another --out",
        )
    return content


def weights_meta(settings: Settings, record: checkpoint.Epoch) -> WeightsMeta:
    """Return what the weights say of their training; ``record``: the metrics of the epoch that they are of."""
    top1 = f"{record['top1']:.4f}"
    if "balanced_top1" in record:
        top1 += f", balanced {record['balanced_top1']:.4f}"
    note = _note(settings, record["epoch"], top1)
    shift = None if settings.variant.online else asdict(settings.variant)
    return WeightsMeta(
        settings.model, dict(settings.parameters), settings.labels, settings.rate_fps, note, shift=shift
    )


def worth(record: checkpoint.HeldOut) -> float:
    """Return by which metric the best epoch is told: held-out top-1, of takes with the classes balanced.

    A network that answers quiet too often is not a worse one: `eval --choose-decision` takes that back.
    """
    return float(record.get("balanced_top1", record["top1"]))


def worth_of(weights: Path, settings: Settings) -> float:
    """Return what :func:`worth` of a file of weights is at least; 0 where it is of another training."""
    meta = read_meta(weights)
    form = re.escape(_note(settings, "\0", "\1")).replace("\0", r"\d+").replace("\1", _WORTH)
    found = re.fullmatch(form, meta.note) if meta is not None else None
    return float(found[1]) - 0.00005 if found else 0.0  # it is said with four digits


def _note(used: Settings, epoch: object, top1: str) -> str:
    kind = used.variant
    return (
        f"trained on {used.data}: epoch {epoch} of {used.epochs}, {used.frames} frames ({used.way}), shift "
        f"{kind.direction} {kind.proportion:g} {kind.place} {kind.padding}, seed {used.seed}; "
        f"held-out top-1 {top1}"
    )
