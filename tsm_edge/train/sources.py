"""Several stores that one training sees: clips of one second beside whole takes, rendered beside recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .settings import Settings
from .store import Store


@dataclass(frozen=True)
class Sources:
    """Stores with the same labels. Their clips stay apart, because they may differ in length and in side."""

    stores: tuple[Store, ...]

    @classmethod
    def of(cls, one: Store | Sources) -> Sources:
        """Return a single store as sources; sources as they are."""
        return one if isinstance(one, Sources) else cls((one,))

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in the order of the scores."""
        return self.stores[0].labels

    @property
    def targets(self) -> NDArray[np.int64]:
        """The label index of every clip, store by store."""
        return np.concatenate([store.targets for store in self.stores])

    @property
    def takes(self) -> bool:
        """Whether any store holds takes."""
        return any(store.takes for store in self.stores)

    def __len__(self) -> int:
        return sum(map(len, self.stores))


def clips_a_step(store: Store, settings: Settings) -> int:
    """How many clips of a store make a batch: fewer of takes, so that a step has as many frames as of clips."""
    if not store.takes:
        return settings.batch
    return max(2, settings.batch * settings.frames // settings.take_frames)


def alternate(counts: Sequence[int], random: np.random.Generator) -> NDArray[np.int64]:
    """The order in which sources with so many batches take turns: each is spread evenly over all, by chance where."""
    places = [(np.arange(count) + random.random()) / max(1, count) for count in counts]
    sources = np.repeat(np.arange(len(counts)), counts)
    return np.asarray(sources[np.argsort(np.concatenate(places), kind="stable")])
