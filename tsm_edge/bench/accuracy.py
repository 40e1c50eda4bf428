"""How well each runtime recognises clips: the same frames, each clip from zero states, top-1 as in `tsm-edge eval`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import frames
from ..bundle.manifest import Manifest
from ..errors import UsageError
from ..train import clip_sets, measure
from ..train.eval_command import progress, refuse_infinite
from ..train.store import Store
from .agreement import Floats
from .turns import Entry

LEAST_FRAMES = 2


@dataclass(frozen=True)
class Clips:
    """Clips that fit a bundle."""

    store: Store
    manifest: Manifest

    @property
    def classes(self) -> int:
        """How many classes the network tells apart."""
        return len(self.store.labels)

    @property
    def shown(self) -> int:
        """How many of them the clips show."""
        return len(np.unique(self.store.targets))

    def frames(self, index: int) -> list[Floats]:
        """The input tensors of a clip; of a network that answers late, its last frame stands for as long."""
        how = self.manifest.preprocess
        assert how is not None
        clip = measure.standing(self.store.clip(index), self.manifest.model.delay_frames)
        return [frames.preprocess(np.ascontiguousarray(frame), how, format="rgb") for frame in clip]


def opened(data: Path, cache: Path, manifest: Manifest, count: int | None) -> Clips:
    """Open clips, or decode them into ``cache``. count: only so many, spread over the data.

    Raises:
        UsageError: the bundle takes no frames of pictures, or the data are takes. DataError: they cannot be read, or
        have other labels.
    """
    how, info = manifest.preprocess, manifest.model
    if how is None or info.clip_frames > 1:
        raise UsageError(
            "--data compares networks that take pictures frame by frame.",
            found=f"input {list(manifest.signature.inputs[0].shape)}",
            hint="tsm-edge eval BUNDLE --data CLIPS" if how is not None else None,
        )
    subject = clip_sets.Subject(info.name, manifest.labels, how)
    store = clip_sets.opened(data, cache, subject, videos=None, least=LEAST_FRAMES)
    clip_sets.check_labels(store, manifest.labels)
    if store.takes:
        raise UsageError(
            "--data compares runtimes on clips of one class each.",
            found="takes",
            hint="tsm-edge eval BUNDLE --data TAKES",
        )
    return Clips(clip_sets.spread(store, count), manifest)


def measure_all(entries: Sequence[Entry], clips: Clips) -> None:
    """Fill in the top-1 accuracy of every timed entry.

    Raises:
        AccuracyError: scores are no finite numbers.
    """
    timed = [entry for entry in entries if entry.timed]
    rows: list[list[np.ndarray]] = [[] for _ in timed]
    late = clips.manifest.model.delay_frames
    with progress("top-1", len(clips.store)) as done:
        for index in range(len(clips.store)):
            inputs = clips.frames(index)
            for entry, found in zip(timed, rows):
                entry.runner.reset()
                scores = [np.array(entry.runner.step(frame), np.float64).ravel() for frame in inputs]
                found.append(np.stack(scores[late:]))
            done(1)
    for entry, found in zip(timed, rows):
        refuse_infinite(entry.runner.name, found)
        entry.top1 = measure.Measured(found, clips.store.targets, clips.store.labels).top1
