"""Training: plain PyTorch, on the CPU or whatever torch finds, the same curve again after a kill.

Nothing random outlives a step: the order of the clips, every example and the dropout draw from (seed, epoch, place),
so an epoch that is started again after a kill repeats itself bit for bit (with one thread; sums of several threads
may differ in their last bits).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from ..files import atomic
from ..models import Model, TemporalShift
from ..weights.writing import save_weights
from . import checkpoint, few, measure, takes
from ._optimizer import blend, learning_rate, parameter_groups
from .batches import Batches
from .checkpoint import Content, Epoch, HeldOut
from .examined import Examined
from .initial import add_dropout, initialise
from .loss import consensus, loss_of, loss_of_takes, right_in_takes
from .memory import keep_freed_memory
from .network import Trainable, channels_last, clip_logits, untrained
from .processes import ALONE, Processes
from .provenance import checkpoint_of, weights_meta, worth, worth_of
from .settings import Settings
from .sources import Sources, clips_a_step
from .store import Store

if TYPE_CHECKING:
    import torch

_CLIP_NORM = 5.0
#: called after every step with (epoch, step, steps of an epoch, mean loss so far, seconds so far)
Progress = Callable[[int, int, int, float, float], None]


#: of a process that leaves measuring to the first one and takes its record
_UNMEASURED: HeldOut = {"top1": 0.0, "top5": 0.0, "half_top1": 0.0, "worst_recall": 0.0}


@dataclass(frozen=True)
class Result:
    """How a training ended. ``history``: one record of metrics for every epoch."""

    weights: Path
    history: tuple[Epoch, ...]
    best: Epoch


class Trainer:
    """One training in a folder: ``resume`` or ``start_from`` or neither, then ``run``.

    half: write the weights as float16; the checkpoint keeps what is trained. device: torch's name of where the network
    is trained and measured; examples are prepared on the CPU. processes: those that train together, each with a
    Trainer of its own.
    """

    def __init__(
        self,
        settings: Settings,
        model: Trainable,
        train: Store | Sources,
        held_out: Store | Sources,
        out: Path,
        *,
        half: bool = False,
        device: str = "cpu",
        processes: Processes = ALONE,
    ) -> None:
        import torch

        sources = Sources.of(train)
        _check_sizes(sources, settings, processes)
        keep_freed_memory()
        atomic.check_folder(out)
        self.half, self.device, self.processes = half, torch.device(device), processes
        self.settings, self.model, self.out = settings, model, out
        seen = Sources.of(held_out).stores if processes.first else ()
        self.held_out = [Examined(store, model, settings) for store in seen]
        torch.manual_seed(settings.seed)
        self.net = untrained(model)
        initialise(self.net, model, settings.variant)
        add_dropout(self.net, model, settings.dropout)
        if isinstance(model, Model):
            few.freeze(self.net, model.layers[: settings.frozen])
        self.net.to(self.device)
        self.average = {key: value.clone() for key, value in self.net.state_dict().items()}
        self.optimizer = torch.optim.AdamW(
            parameter_groups(self.net, model, settings.weight_decay), lr=settings.lr
        )
        self.history: list[Epoch] = []
        self.kept_worth = 0.0  # of the weights that are in the folder when a training is resumed
        self.batches = Batches(settings, model, sources, self.device, processes)
        self.steps = self.batches.steps

    def start_from(self, tensors: Mapping[str, torch.Tensor], *, new_head: bool = False) -> None:
        """Begin with trained weights: a state_dict of the same network. new_head: fit the head to the clips first."""
        self.net.load_state_dict(tensors)
        if new_head and isinstance(self.model, Model):
            few.fit_head(self.net, self.model, self.batches.views(few.VIEWS), self.settings)
            self.processes.mean_(self.net.parameters())
        self.average = {key: value.clone() for key, value in self.net.state_dict().items()}

    def resume(self) -> int:
        """Go on from the folder's checkpoint; return the number of epochs done.

        Raises:
            CheckpointError: there is none, it is damaged, or it is of a training with other settings.
        """
        content = checkpoint_of(self.out, self.settings)
        self.net.load_state_dict(content["net"])
        self.average = {key: value.to(self.device) for key, value in content["average"].items()}
        self.optimizer.load_state_dict(content["optimizer"])
        self.history = content["history"]
        self.kept_worth = worth_of(self.out / checkpoint.WEIGHTS, self.settings)
        if self.processes.first and len(self.history) == 1 and not self.kept_worth:
            self._save_weights()
        return content["epoch"]

    def run(self, progress: Progress | None = None) -> Result:
        """Train the epochs that are left; after each, measure, write the checkpoint, and the weights if they are
        better.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        for epoch in range(len(self.history), self.settings.epochs):
            started = time.monotonic()
            loss, accuracy = self._epoch(epoch, progress)
            held_out = self._measure() if self.processes.first else _UNMEASURED
            record: Epoch = {
                "epoch": epoch + 1,
                "lr": self._rate(epoch * self.steps),
                "loss": loss,
                "train_top1": accuracy,
                **held_out,
                "seconds": round(time.monotonic() - started, 1),
            }
            self.history.append(self.processes.agreed(record))
            if self.processes.first:
                self._keep()
        best = max(self.history, key=worth)
        return Result(self.out / checkpoint.WEIGHTS, tuple(self.history), best)

    def _epoch(self, epoch: int, progress: Progress | None) -> tuple[float, ...]:
        import torch

        torch.manual_seed(self.settings.seed * 1_000_003 + epoch + self.processes.rank * 999_983)
        channels_last(self.net.train())
        if self.settings.frozen:
            few.keep_statistics(self.net)
        losses, hits, started = 0.0, 0.0, time.monotonic()
        for step, (clips, *wanted) in enumerate(self.batches.of_epoch(epoch)):
            for group in self.optimizer.param_groups:
                group["lr"] = group["share"] * self._rate(epoch * self.steps + step)
            loss, right = self._step(clips, wanted, self._variant(epoch, step))
            if not math.isfinite(loss):
                raise DataError(
                    f"The training diverged in epoch {epoch + 1}.",
                    found=f"loss {loss}",
                    hint="take a smaller --lr",
                )
            losses, hits = losses + loss, hits + right
            if progress:
                progress(epoch, step + 1, self.steps, losses / (step + 1), time.monotonic() - started)
        return self._together(losses / self.steps, hits / self.steps)

    def _together(self, *figures: float) -> tuple[float, ...]:
        """The means of an epoch's figures over all processes; the statistics of batch normalisation likewise."""
        import torch

        means = torch.tensor(figures, dtype=torch.float32, device=self.device)
        statistics = {name: each for name, each in self.net.named_buffers() if each.is_floating_point()}
        self.processes.mean_([means, *statistics.values(), *(self.average[name] for name in statistics)])
        return tuple(means.tolist()) if self.processes.count > 1 else figures

    def _variant(self, epoch: int, step: int) -> TemporalShift:
        """The shift of a step. "hold" leaves in every state what its first frame would have left there for ever."""
        chance = np.random.default_rng([self.settings.seed, epoch, step]).random()
        kind = self.settings.variant
        return replace(kind, padding="hold") if chance < self.settings.warm_start_share else kind

    def _step(
        self, clips: torch.Tensor, wanted: Sequence[torch.Tensor], variant: TemporalShift
    ) -> tuple[float, float]:
        """One step; wanted: labels of clips, or targets and weights of takes. Return loss and share of right."""
        import torch

        logits = clip_logits(self.net, self.model, clips, variant)
        taught = loss_of(logits, wanted[0], self.settings) if len(wanted) == 1 else None
        loss = loss_of_takes(logits, wanted[0], wanted[1], self.settings) if taught is None else taught
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.processes.mean_(each.grad for each in self.net.parameters() if each.grad is not None)
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), _CLIP_NORM)
        self.optimizer.step()
        self._blend()
        answers = logits.detach()
        if len(wanted) == 1:
            right = float((consensus(answers).argmax(1) == wanted[0]).float().mean())
        else:
            right = right_in_takes(answers, wanted[0], wanted[1], self.settings)
        return float(loss.detach()), right

    def _blend(self) -> None:
        """Move the averaged weights a little towards the present ones; follow at once while they are young."""
        done = 1 + len(self.history) * self.steps
        blend(self.average, self.net.state_dict(), min(self.settings.average, done / (done + 9)))

    def _rate(self, step: int) -> float:
        return learning_rate(self.settings.lr, step / max(1, self.steps * self.settings.epochs))

    def averaged(self) -> torch.nn.Module:
        """Return a network with the averaged weights, in eval mode."""
        net = untrained(self.model)
        net.load_state_dict(self.average)
        return net.to(self.device)

    def _measure(self) -> HeldOut:
        net = self.averaged()
        scored = [each.scored(net) for each in self.held_out]
        targets = np.concatenate([each.targets for each in scored])
        found = measure.Measured([row for each in scored for row in each.rows], targets, self.model.labels)
        record: HeldOut = {
            "top1": found.top1,
            "top5": found.top5,
            "half_top1": found.early(0.5),
            "worst_recall": min(found.recalls.values()),
        }
        if any(each.store.takes for each in scored):
            record["balanced_top1"] = takes.balanced_top1(scored)
        return record

    def _keep(self) -> None:
        """Weights before checkpoint before metrics: what a later file says, the earlier ones hold.

        The first epoch begins with its checkpoint: where a training overwrites another one, the checkpoint of that one
        must not meet the weights of this one. Weights of a run that was killed before their checkpoint was written may
        be better than its repetition, and are kept then.
        """
        if len(self.history) == 1:
            self._save_checkpoint()
        if worth(self.history[-1]) >= max(self.kept_worth, *map(worth, self.history)):
            self._save_weights()
        if len(self.history) > 1:
            self._save_checkpoint()
        atomic.write_text(self.out / checkpoint.METRICS, "".join(json.dumps(record) + "\n" for record in self.history))

    def _save_weights(self) -> None:
        meta = weights_meta(self.settings, self.history[-1])
        save_weights(self.out / checkpoint.WEIGHTS, self.averaged(), meta, half=self.half)

    def _save_checkpoint(self) -> None:
        content: Content = {
            "net": self.net.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "epoch": len(self.history),
            "settings": self.settings.to_json(),
            "history": self.history,
        }
        checkpoint.save(self.out / checkpoint.LAST, content)


def _check_sizes(sources: Sources, settings: Settings, processes: Processes) -> None:
    """DataError where a source has too few clips for one step, UsageError where the processes cannot share a step."""
    for store in sources.stores:
        processes.check_batch(least := clips_a_step(store, settings))
        if len(store) < least:
            raise DataError(
                "There are fewer clips than a step needs.",
                found=f"{len(store)} clips",
                allowed=f"{least} and more",
                hint="record more, or take a smaller --batch",
            )
