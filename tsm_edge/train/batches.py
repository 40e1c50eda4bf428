"""The batches of an epoch: which clips, as what examples, and who prepares them ahead."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from . import measure
from .augment import Augment
from .network import Trainable
from .processes import ALONE, Processes
from .settings import Settings
from .sources import Sources, alternate, clips_a_step

if TYPE_CHECKING:
    import torch

_WORKERS = 4  # processes that prepare batches for a GPU
_NEVER = 1 << 31  # an epoch that no training reaches


#: arrays of a batch: pixels and labels of clips; pixels, targets and weights of takes, by the frame
Arrays = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Group:
    """Which clips are a batch: ``indices`` of one of the sources."""

    source: int
    indices: np.ndarray


@dataclass(frozen=True)
class Batches:
    """What a training sees: clips of ``sources``, varied as the settings say, on ``device`` and in the shape of
    ``model``.

    An example draws from (seed, epoch, place), so it is the same whoever prepares it. Of ``processes`` each has a
    share of every batch.
    """

    settings: Settings
    model: Trainable
    sources: Sources
    device: torch.device
    processes: Processes = ALONE

    @property
    def counts(self) -> list[int]:
        """Number of batches of an epoch from each source; the clips that are left over wait for another one."""
        return [len(store) // clips_a_step(store, self.settings) for store in self.sources.stores]

    @property
    def steps(self) -> int:
        """Number of batches of an epoch."""
        return sum(self.counts)

    def of_epoch(self, epoch: int) -> Iterator[tuple[torch.Tensor, ...]]:
        """Batches of an epoch, prepared ahead: by one thread where the CPU trains, by processes for a GPU."""
        groups = self._groups(epoch)
        if self.device.type == "cpu":
            with ThreadPoolExecutor(1) as thread:
                waiting = thread.submit(self._batch, epoch, groups[0])
                for group in [*groups[1:], None]:
                    ready = waiting.result()
                    if group is not None:
                        waiting = thread.submit(self._batch, epoch, group)
                    yield ready
            return
        for arrays in self._by_processes(epoch, groups):
            yield self._tensors(arrays)

    def views(self, count: int) -> Iterator[tuple[torch.Tensor, ...]]:
        """Every clip in so many views, varied as in an epoch that is never trained; the same in every process."""
        for epoch in range(_NEVER, _NEVER + count):
            for source, store in enumerate(self.sources.stores):
                size = clips_a_step(store, self.settings)
                for at in range(0, len(store), size):
                    indices = np.arange(at, min(at + size, len(store)))
                    yield self._batch(epoch, Group(source, indices))

    def _groups(self, epoch: int) -> list[Group]:
        """This process's part of every batch of an epoch in its order: each source spread over all of it."""
        waiting = []
        for source, store in enumerate(self.sources.stores):
            order = spread(store.targets, np.random.default_rng(self._key(epoch, source)))
            size = clips_a_step(store, self.settings)
            waiting.append(iter([Group(source, order[at : at + size]) for at in range(0, len(order) - size + 1, size)]))
        turns = alternate(self.counts, np.random.default_rng([self.settings.seed, epoch, 0, len(waiting)]))
        return [self._share(next(waiting[source])) for source in turns.tolist()]

    def _share(self, group: Group) -> Group:
        """This process's part of a batch."""
        return Group(group.source, self.processes.share(group.indices))

    def _key(self, epoch: int, source: int) -> list[int]:
        """What random numbers of a source begin from."""
        return [self.settings.seed, epoch, *([0, source, 0] if source else [])]

    def _batch(self, epoch: int, group: Group) -> tuple[torch.Tensor, ...]:
        return self._tensors(self._examples(epoch, group))

    def _by_processes(self, epoch: int, groups: list[Group]) -> Iterable[Arrays]:
        """What :meth:`_examples` makes of every group; threads would keep Python's lock from the one that launches."""
        import torch

        make = partial(self._examples, epoch)
        prepared: Iterable[Arrays] = torch.utils.data.DataLoader(
            _Groups(groups, make),
            batch_size=None,
            num_workers=min(_WORKERS, os.cpu_count() or 1),
            multiprocessing_context="fork",  # the clips are mapped, not copied
            pin_memory=self.device.type == "cuda",
        )
        return prepared

    def _examples(self, epoch: int, group: Group) -> Arrays:
        how, store = augmentation(self.settings, self.model.size), self.sources.stores[group.source]
        key = self._key(epoch, group.source)
        drawn: list[tuple[ArrayLike, ...]] = []
        takes = store.takes
        shortest = min(entry.count for entry in store.entries)
        frames = min(self.settings.take_frames, shortest)
        for index in group.indices.tolist():
            random, entry = np.random.default_rng([*key, index]), store.entries[index]
            if takes:
                drawn.append(how.take(store.clip(index), entry.label, entry.cues, frames, random))
            else:
                drawn.append(how(store.clip(index), entry.label, random))
        return tuple(np.stack(column) for column in zip(*drawn))

    def _tensors(self, arrays: Arrays) -> tuple[torch.Tensor, ...]:
        import torch

        pixels, *wanted = arrays
        clips = measure.normalised(pixels, self.model.preprocess, self.device)
        return clips, *(torch.as_tensor(each).to(self.device) for each in wanted)


@dataclass(frozen=True)
class _Groups:
    """A data set whose items are whole batches: ``make`` of each group of clips."""

    groups: list[Group]
    make: Callable[[Group], Arrays]

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, at: int) -> Arrays:
        return self.make(self.groups[at])


def augmentation(settings: Settings, size: int) -> Augment:
    """The augmentation that the settings describe."""
    return Augment(
        size,
        settings.frames,
        settings.way,
        settings.mirrored,
        settings.reversed_,
        settings.strength,
        settings.take_frames,
        hurried=settings.frozen > 0 and settings.way == "dense",
    )


def spread(targets: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """An order of all clips, by chance, in which every stretch holds the classes in about equal shares.

    With a random order a small batch has too many clips of some class, and the head learns to follow that instead.
    """
    place = np.empty(len(targets))
    for label in np.unique(targets):
        members = random.permutation(np.flatnonzero(targets == label))
        place[members] = (np.arange(len(members)) + random.random(len(members))) / len(members)
    return np.argsort(place, kind="stable")
