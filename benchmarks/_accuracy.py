"""Scores of a rounded network beside those in float32, on the clips of one or several stores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tsm_edge import models
from tsm_edge.bundle import Manifest
from tsm_edge.models import Model
from tsm_edge.runtime import native
from tsm_edge.train import clip_sets, takes
from tsm_edge.train import measure as recognition
from tsm_edge.train.store import Store, open_store
from tsm_edge.weights.meta import read_meta

#: no class may lose more of its clips, in any precision
MOST_LOST_OF_A_CLASS = 0.02


@dataclass(frozen=True)
class Trained:
    """A trained network: one that ships, or a file that `tsm-edge train` wrote."""

    model: Model
    weights: Path | None

    @property
    def words(self) -> tuple[object, ...]:
        """What `tsm-edge compile` is told of it."""
        return (self.model.name, *(("--weights", self.weights) if self.weights else ()))


def trained(name: str, weights: Path | None) -> Trained:
    """The shipped network `name`, or with `weights` the one that the file says it is for."""
    if weights is None:
        return Trained(models.load(name), None)
    meta = read_meta(weights)
    assert meta is not None, f"{weights} is no file of tsm-edge train"
    return Trained(models.load_from(meta.model, meta.parameters, meta.labels), weights)


def opened(folders: Sequence[Path]) -> list[Store]:
    """Stores of the same labels."""
    stores = [open_store(folder) for folder in folders]
    assert all(store.labels == stores[0].labels for store in stores), "the stores have different labels"
    return stores


def spread(stores: Sequence[Store], count: int) -> list[Store]:
    """The stores with `count` of their clips in all, each with its share of them, spread evenly."""
    whole = sum(map(len, stores))
    shares = [round(min(count, whole) * len(store) / whole) for store in stores]
    return [clip_sets.spread(store, share) for store, share in zip(stores, shares) if share]


def pixels(stores: Sequence[Store]) -> Iterator[np.ndarray]:
    """Every clip of the stores, uint8 [T, side, side, 3]."""
    return (store.clip(index) for store in stores for index in range(len(store)))


def run_bundle(command: list[str], manifest: Manifest, frames: list[np.ndarray]) -> np.ndarray:
    """Scores [T, classes] after each frame of a clip, through a bundle's program, from zero states."""
    signature = manifest.signature
    classes = signature.outputs[0].size
    floats = classes + sum(pair.input.size for pair in signature.states)
    return native.dump(command, ("--threads", "1", "--tensor"), frames, floats)[:, :classes]


def recognised(stores: Sequence[Store], scores: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Answers and labels of the clips, of takes of every gesture in them, as `tsm-edge eval` counts them."""
    rows: list[np.ndarray] = []
    targets: list[np.ndarray] = []
    first = 0
    for store in stores:
        scored = takes.Scored(store, scores[first : first + len(store)])
        rows, targets, first = [*rows, *scored.rows], [*targets, scored.targets], first + len(store)
    answers = [int((recognition.consensus(len(row)) @ row).argmax()) for row in rows]
    return np.array(answers), np.concatenate(targets)


def against(
    exact: Sequence[np.ndarray],
    found: Sequence[np.ndarray],
    stores: Sequence[Store],
    most_lost: float,
    least_equal: float,
) -> dict[str, Any]:
    """Figures of the rounded scores `found` and whether their bounds hold: of top-1, of each class and of frames."""
    before, after = np.concatenate(exact), np.concatenate(found)
    labels, (answers, targets), (others, _) = stores[0].labels, recognised(stores, exact), recognised(stores, found)
    right, still = answers == targets, others == targets
    lost = {
        labels[kind]: float(right[targets == kind].mean() - still[targets == kind].mean())
        for kind in np.unique(targets)
    }
    worst = max(lost, key=lambda label: lost[label])
    equal = float((before.argmax(1) == after.argmax(1)).mean())
    finite = bool(np.isfinite(after).all())
    drop = float(right.mean() - still.mean())
    return {
        "clips": len(exact),
        "frames": len(before),
        "top1_float32": float(right.mean()),
        "top1": float(still.mean()),
        "frames_equal": equal,
        "largest_difference": float(np.abs(before - after).max() / np.abs(before).max()),
        "worst_class": {"label": worst, "lost": lost[worst], "clips": int((targets == labels.index(worst)).sum())},
        "finite": finite,
        "bounds": {"top1_lost": most_lost, "class_lost": MOST_LOST_OF_A_CLASS, "frames_equal": least_equal},
        "ok": finite and drop <= most_lost and lost[worst] <= MOST_LOST_OF_A_CLASS and equal >= least_equal,
    }
