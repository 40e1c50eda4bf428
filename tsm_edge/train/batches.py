"""The batches of an epoch: which clips, as what examples, and who prepares them ahead."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..models import Model
from . import measure
from .augment import Augment
from .settings import Settings
from .store import Store

if TYPE_CHECKING:
    import torch

_WORKERS = 4  # processes that prepare batches for a GPU


@dataclass(frozen=True)
class Batches:
    """What a training sees: ``clips``, varied as the settings say, on ``device`` and in the shape of ``model``.

    An example draws from (seed, epoch, place), so it is the same whoever prepares it.
    """

    settings: Settings
    model: Model
    clips: Store
    device: torch.device

    @property
    def steps(self) -> int:
        """Number of batches of an epoch; the clips that are left over wait for another one."""
        return len(self.clips) // self.settings.batch

    def of_epoch(self, epoch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Batches of an epoch, prepared ahead: by one thread where the CPU trains, by processes for a GPU."""
        order = spread(self.clips.targets, np.random.default_rng([self.settings.seed, epoch]))
        groups = [order[at * self.settings.batch :][: self.settings.batch] for at in range(self.steps)]
        if self.device.type == "cpu":
            with ThreadPoolExecutor(1) as thread:
                waiting = thread.submit(self._batch, epoch, groups[0])
                for group in [*groups[1:], None]:
                    ready = waiting.result()
                    if group is not None:
                        waiting = thread.submit(self._batch, epoch, group)
                    yield ready
            return
        for pixels, labels in self._by_processes(epoch, groups):
            yield self._tensors(pixels, labels)

    def _batch(self, epoch: int, indices: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        return self._tensors(*self._examples(epoch, indices))

    def _by_processes(self, epoch: int, groups: list[np.ndarray]) -> Any:
        """What :meth:`_examples` makes of every group; threads would keep Python's lock from the one that launches."""
        import torch

        make = partial(self._examples, epoch)
        return torch.utils.data.DataLoader(
            _Groups(groups, make),
            batch_size=None,
            num_workers=min(_WORKERS, os.cpu_count() or 1),
            multiprocessing_context="fork",  # the clips are mapped, not copied
            pin_memory=self.device.type == "cuda",
        )

    def _examples(self, epoch: int, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        how, targets = augmentation(self.settings, self.model.size), self.clips.targets
        drawn = [
            how(
                self.clips.clip(index),
                int(targets[index]),
                np.random.default_rng([self.settings.seed, epoch, index]),
            )
            for index in indices.tolist()
        ]
        return np.stack([clip for clip, _ in drawn]), np.array([label for _, label in drawn])

    def _tensors(self, pixels: Any, labels: Any) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        clips = measure.normalised(pixels, self.model.preprocess, self.device)
        return clips, torch.as_tensor(labels).to(self.device)


@dataclass(frozen=True)
class _Groups:
    """A data set whose items are whole batches: ``make`` of each group of clips."""

    groups: list[np.ndarray]
    make: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, at: int) -> tuple[np.ndarray, np.ndarray]:
        return self.make(self.groups[at])


def augmentation(settings: Settings, size: int) -> Augment:
    """The augmentation that the settings describe."""
    return Augment(
        size, settings.frames, settings.way, settings.mirrored, settings.reversed_, settings.strength
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
