"""Training: plain PyTorch, on the CPU or whatever torch finds, the same curve again after a kill.

Nothing random outlives a step: the order of the clips, every example and the dropout draw from (seed, epoch, place),
so an epoch that is started again after a kill repeats itself bit for bit (with one thread; sums of several threads
may differ in their last bits).
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import CheckpointError, DataError
from ..models import Model
from ..models._layers import Block
from ..models._net import make_net
from ..models._walk import head
from ..weights_meta import WeightsMeta
from . import checkpoint, measure
from .augment import Augment
from .memory import keep_freed_memory
from .network import Variant, clip_logits
from .settings import Settings
from .store import Store, write_text

if TYPE_CHECKING:
    import torch

METRICS = "metrics.jsonl"
_WARM_UP, _LAST_LR = (
    0.08,
    0.01,
)  # share of the steps in which the rate rises; share of it that is left at the end
_CLIP_NORM = 5.0
_HEAD_RATE = 0.1  # of the learning rate
_WORKERS = 4  # processes that prepare batches for a GPU
#: called after every step with (epoch, step, steps of an epoch, mean loss so far, seconds so far)
Progress = Callable[[int, int, int, float, float], None]


@dataclass(frozen=True)
class Result:
    """How a training ended. ``history``: one record of metrics for every epoch."""

    weights: Path
    history: tuple[dict[str, Any], ...]
    best: dict[str, Any]


class Trainer:
    """One training in a folder: ``resume`` or ``start_from`` or neither, then ``run``.

    half: write the weights as float16; the checkpoint keeps what is trained. device: torch's name of where the network
    is trained and measured; examples are prepared on the CPU.
    """

    def __init__(
        self,
        settings: Settings,
        model: Model,
        train: Store,
        held_out: Store,
        out: Path,
        *,
        half: bool = False,
        device: str = "cpu",
    ) -> None:
        import torch

        if len(train) < settings.batch:
            raise DataError(
                "There are fewer clips than a step needs.",
                found=f"{len(train)} clips",
                allowed=f"{settings.batch} and more",
                hint="record more, or take a smaller --batch",
            )
        keep_freed_memory()
        self.half, self.device = half, torch.device(device)
        self.settings, self.model, self.train, self.held_out, self.out = settings, model, train, held_out, out
        self.seen = measure.prepared(held_out, model.preprocess, measure.Look(settings.frames, settings.way))
        torch.manual_seed(settings.seed)
        self.net = make_net(model.layers)
        _initialise(self.net, model, settings.variant)
        _add_dropout(self.net, model, settings.dropout)
        self.net.to(self.device)
        self.average = {key: value.clone() for key, value in self.net.state_dict().items()}
        self.optimizer = torch.optim.AdamW(_groups(self.net, model, settings.weight_decay), lr=settings.lr)
        self.history: list[dict[str, Any]] = []
        self.steps = len(train) // settings.batch

    def start_from(self, tensors: dict[str, Any]) -> None:
        """Begin with trained weights: a state_dict of the same network."""
        self.net.load_state_dict(tensors)
        self.average = {key: value.clone() for key, value in self.net.state_dict().items()}

    def resume(self) -> int:
        """Go on from the folder's checkpoint; return the number of epochs done.

        Raises:
            CheckpointError: there is none, it is damaged, or it is of a training with other settings.
        """
        path = self.out / checkpoint.LAST
        if not path.is_file():
            raise CheckpointError(
                f"There is nothing to resume in '{self.out}'.",
                found=f"no {checkpoint.LAST}",
                hint="leave out --resume",
            )
        content = checkpoint.load(path)
        other = Settings.from_json(content["settings"]).differing(self.settings)
        if other:
            raise CheckpointError(
                f"The training in '{self.out}' was started with other settings.",
                found=", ".join(other),
                hint="give the same options, or another --out",
            )
        self.net.load_state_dict(content["net"])
        self.average = {key: value.to(self.device) for key, value in content["average"].items()}
        self.optimizer.load_state_dict(content["optimizer"])
        self.history = list(content["history"])
        return int(content["epoch"])

    def run(self, progress: Progress | None = None) -> Result:
        """Train the epochs that are left; after each, measure, write the checkpoint, and the weights if they are
        better.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        for epoch in range(len(self.history), self.settings.epochs):
            started = time.monotonic()
            loss, accuracy = self._epoch(epoch, progress)
            record = {
                "epoch": epoch + 1,
                "lr": self._rate(epoch * self.steps),
                "loss": loss,
                "train_top1": accuracy,
            }
            record.update(self._measure())
            record["seconds"] = round(time.monotonic() - started, 1)
            self.history.append(record)
            self._keep()
        best = max(self.history, key=lambda one: one["top1"])
        return Result(self.out / checkpoint.WEIGHTS, tuple(self.history), best)

    def _epoch(self, epoch: int, progress: Progress | None) -> tuple[float, float]:
        import torch

        torch.manual_seed(self.settings.seed * 1_000_003 + epoch)
        self.net.train().to(memory_format=torch.channels_last)
        losses, hits, started = 0.0, 0, time.monotonic()
        for step, (clips, labels) in enumerate(self._batches(epoch)):
            for group in self.optimizer.param_groups:
                group["lr"] = group["share"] * self._rate(epoch * self.steps + step)
            loss, right = self._step(clips, labels, self._variant(epoch, step))
            if not math.isfinite(loss):
                raise DataError(
                    f"The training diverged in epoch {epoch + 1}.",
                    found=f"loss {loss}",
                    hint="take a smaller --lr",
                )
            losses, hits = losses + loss, hits + right
            if progress:
                progress(epoch, step + 1, self.steps, losses / (step + 1), time.monotonic() - started)
        return losses / self.steps, hits / (self.steps * self.settings.batch)

    def _variant(self, epoch: int, step: int) -> Variant:
        """The shift of a step. "hold" leaves in every state what its first frame would have left there for ever."""
        chance = np.random.default_rng([self.settings.seed, epoch, step]).random()
        kind = self.settings.variant
        return replace(kind, padding="hold") if chance < self.settings.rested else kind

    def _step(self, clips: torch.Tensor, labels: torch.Tensor, variant: Variant) -> tuple[float, int]:
        import torch

        logits = clip_logits(self.net, self.model.layers, clips, variant)
        loss = loss_of(logits, labels, self.settings)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), _CLIP_NORM)
        self.optimizer.step()
        self._blend()
        answers = consensus(logits.detach())
        return float(loss.detach()), int((answers.argmax(1) == labels).sum())

    def _blend(self) -> None:
        """Move the averaged weights a little towards the present ones; follow at once while they are young."""
        import torch

        done = 1 + len(self.history) * self.steps
        keep = min(self.settings.average, done / (done + 9))
        present = self.net.state_dict()
        floats = [key for key, value in present.items() if value.dtype.is_floating_point]
        with torch.no_grad():
            torch._foreach_lerp_(
                [self.average[key] for key in floats], [present[key] for key in floats], 1 - keep
            )
            for key in present.keys() - set(floats):
                self.average[key].copy_(present[key])

    def _batches(self, epoch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Batches of an epoch, prepared ahead: by one thread where the CPU trains, by processes for a GPU."""
        order = spread(self.train.targets, np.random.default_rng([self.settings.seed, epoch]))
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
        how, targets = augmentation(self.settings, self.model.size), self.train.targets
        drawn = [
            how(
                self.train.clip(index),
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

    def _rate(self, step: int) -> float:
        """Learning rate of a step: rises, then falls along a cosine."""
        share = step / max(1, self.steps * self.settings.epochs)
        if share < _WARM_UP:
            return self.settings.lr * (0.05 + 0.95 * share / _WARM_UP)
        fallen = 0.5 + 0.5 * math.cos(math.pi * (share - _WARM_UP) / (1 - _WARM_UP))
        return self.settings.lr * (_LAST_LR + (1 - _LAST_LR) * fallen)

    def averaged(self) -> Any:
        """Return a network with the averaged weights, in eval mode."""
        net = make_net(self.model.layers)
        net.load_state_dict(self.average)
        return net.to(self.device)

    def _measure(self) -> dict[str, Any]:
        scores = measure.clip_scores(self.averaged(), self.model, self.seen, self.settings.variant)
        found = measure.Measured(scores, self.held_out.targets, self.model.labels)
        return {
            "top1": found.top1,
            "top5": found.top5,
            "half_top1": found.early(0.5),
            "worst_recall": min(found.recalls.values()),
        }

    def _keep(self) -> None:
        """Weights before checkpoint before metrics: what a later file says, the earlier ones hold."""
        if self.history[-1]["top1"] >= max(record["top1"] for record in self.history):
            checkpoint.save_weights(
                self.out / checkpoint.WEIGHTS, self.averaged(), self._meta(), half=self.half
            )
        content = {
            "net": self.net.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "epoch": len(self.history),
            "settings": self.settings.to_json(),
            "history": self.history,
        }
        checkpoint.save(self.out / checkpoint.LAST, content)
        write_text(self.out / METRICS, "".join(json.dumps(record) + "\n" for record in self.history))

    def _meta(self) -> WeightsMeta:
        used, last = self.settings, self.history[-1]
        kind = used.variant
        note = (
            f"trained on {used.data}: epoch {last['epoch']} of {used.epochs}, {used.frames} frames ({used.way}), shift "
            f"{kind.direction} {kind.proportion:g} {kind.place} {kind.padding}, seed {used.seed}; "
            f"held-out top-1 {last['top1']:.4f}"
        )
        return WeightsMeta(used.model, dict(used.parameters), used.labels, used.rate_fps, note)


@dataclass(frozen=True)
class _Groups:
    """A data set whose items are whole batches: ``make`` of each group of clips."""

    groups: list[np.ndarray]
    make: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, at: int) -> tuple[np.ndarray, np.ndarray]:
        return self.make(self.groups[at])


def consensus(logits: torch.Tensor) -> torch.Tensor:
    """[N, T, classes] -> the answers about the clips, [N, classes], as they are measured."""
    return logits.new_tensor(measure.consensus(logits.shape[1])) @ logits


def loss_of(logits: torch.Tensor, labels: torch.Tensor, settings: Settings) -> torch.Tensor:
    """Cross-entropy of the clip's answer and of every frame's own.

    The weights of the frames rise until half of the clip is over and stay there: what is known by then must be said by
    then, and before there is little to know.
    """
    import torch

    cross, frames = torch.nn.functional.cross_entropy, logits.shape[1]
    whole = cross(consensus(logits), labels, label_smoothing=settings.smoothing)
    single = cross(
        logits.flatten(0, 1),
        labels.repeat_interleave(frames),
        label_smoothing=settings.smoothing,
        reduction="none",
    ).unflatten(0, (-1, frames))
    rising = torch.arange(1, frames + 1, dtype=logits.dtype, device=logits.device).clamp(max=frames / 2) ** 2
    early = (single * rising).sum(1).mean() / rising.sum()
    return settings.consensus * whole + (1 - settings.consensus) * early


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


def _initialise(net: Any, model: Model, variant: Variant) -> None:
    """Kaiming for the convolutions, a small head; and a past that weighs as much as the present from the beginning.

    One input channel in eight comes from the past (in the ablations, other shares, from both sides). Scaled up so that
    both halves of the sum have the same variance (a batch norm follows), random weights already tell movement from
    rest, and there is something to learn from.
    """
    import torch

    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, mode="fan_out")
        elif isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, 0, 0.01)
            torch.nn.init.zeros_(module.bias)
    with torch.no_grad():
        for layer in model.layers:
            if isinstance(layer, Block) and layer.shifted:
                weight, moved = net.get_submodule(layer.chain[0].weight).weight, variant.moved(layer.inputs)
                if 0 < moved < layer.inputs / 2:
                    weight[:, :moved] *= math.sqrt((layer.inputs - moved) / moved)


def _groups(net: Any, model: Model, decay: float) -> list[dict[str, Any]]:
    """Weights decay, norms and biases do not; the head learns more slowly.

    It sums over a thousand features that are all positive, so that a step of the full size moves every score by more
    than one, to wherever the last batch was.
    """
    last = list(net.get_submodule(head(model.layers).name).parameters())
    body = [value for value in net.parameters() if all(value is not each for each in last)]
    return [
        {"params": [value for value in body if value.dim() > 1], "weight_decay": decay, "share": 1.0},
        {"params": [value for value in body if value.dim() <= 1], "weight_decay": 0.0, "share": 1.0},
        {"params": last, "weight_decay": decay, "share": _HEAD_RATE},
    ]


def _add_dropout(net: Any, model: Model, share: float) -> None:
    """Drop that share of the features before the head while training."""
    import torch

    def drop(module: Any, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        return (torch.nn.functional.dropout(inputs[0], share, module.training),)

    net.get_submodule(head(model.layers).name).register_forward_pre_hook(drop)
