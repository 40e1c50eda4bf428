"""What a user says of a checkpoint that is converted, and the names of its classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .. import models
from ..errors import UsageError
from .meta import WeightsMeta
from .source import ORDERS, Source


@dataclass(frozen=True)
class Asked:
    """What the user says of a checkpoint; None where nothing."""

    model: str | None = None
    width: float | None = None
    size: int | None = None
    averaged: bool | None = None
    direction: str | None = None
    as_online: bool = False
    shift_div: int | None = None
    labels: tuple[str, ...] | None = None
    order: str | None = None
    rate_fps: float | None = None


def labels_of(
    asked: Asked, meta: WeightsMeta | None, source: Source, classes: int
) -> tuple[Sequence[str], str]:
    """The names of the classes, and what says them."""
    if asked.labels is not None:
        return models.checked_labels(asked.labels, classes), "--labels"
    if asked.order is not None:
        if classes != len(ORDERS[asked.order]):
            raise UsageError(
                "--label-order is for the 27 classes of Jester.",
                found=f"{classes} classes",
                hint="give the names with --labels",
            )
        return ORDERS[asked.order], f"--label-order {asked.order}"
    if meta is not None:
        return meta.labels, "its metadata"
    if classes == len(models.JESTER) and source.order:
        return ORDERS[source.order], f"27 classes are taken for Jester's, in {source.project}'s order: {source.order}"
    return [f"class {index}" for index in range(classes)], "nothing names them: give --labels or --label-order"
