"""Scores of a rounded network beside those in float32, on the clips of one or several stores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tsm_edge.train import measure as recognition
from tsm_edge.train.store import Store, open_store

#: no class may lose more of its clips, in any precision
MOST_LOST_OF_A_CLASS = 0.02


def opened(folders: Sequence[Path]) -> list[Store]:
    """Stores of the same labels."""
    stores = [open_store(folder) for folder in folders]
    assert all(store.labels == stores[0].labels for store in stores), "the stores have different labels"
    return stores


def spread(stores: Sequence[Store], count: int) -> Iterator[tuple[np.ndarray, int]]:
    """Pixels and label of `count` clips, spread over all stores."""
    every = [(store, index) for store in stores for index in range(len(store))]
    for place in np.linspace(0, len(every) - 1, min(count, len(every))).round().astype(int):
        store, index = every[place]
        yield store.clip(index), int(store.targets[index])


def answers(scores: Sequence[np.ndarray]) -> np.ndarray:
    """The answer about each clip; a frame counts as `tsm-edge eval` lets it count."""
    return np.array([int((recognition.consensus(len(clip)) @ clip).argmax()) for clip in scores])


def against(
    exact: Sequence[np.ndarray],
    found: Sequence[np.ndarray],
    targets: np.ndarray,
    labels: Sequence[str],
    most_lost: float,
    least_equal: float,
) -> dict[str, Any]:
    """Figures of the rounded scores `found` and whether their bounds hold: of top-1, of each class and of frames."""
    before, after = np.concatenate(exact), np.concatenate(found)
    right, still = answers(exact) == targets, answers(found) == targets
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
