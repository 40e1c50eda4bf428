"""The loss: the error of the answer about a clip, and of every frame's own; of a take, of the frames that count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..decision import is_quiet
from . import measure
from .frame_targets import ANY_QUIET
from .settings import Settings

if TYPE_CHECKING:
    import torch


#: of the loss of a frame that shows a known quiet class: how much it matters which one
_VERY_CLASS = 0.5


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


def loss_of_takes(
    logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, settings: Settings
) -> torch.Tensor:
    """The weighted mean error of the frames of takes; logits [N, T, classes], targets and weights [N, T].

    A frame in which nobody means anything is right with any quiet class: its error is that of their probabilities'
    sum. Where the class is known (a take that is quiet as a whole) it counts a little which one.
    """
    import torch

    quiet = _quiet(settings, logits)
    named = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1),
        targets.clamp(min=0).flatten(),
        label_smoothing=settings.smoothing,
        reduction="none",
    ).unflatten(0, targets.shape)
    if not bool(quiet.any()):
        weights = weights * (targets >= 0)
        return (named * weights).sum() / weights.sum().clamp(min=1e-6)
    silent = logits.logsumexp(2) - logits[..., quiet].logsumexp(2)
    known = (targets >= 0) & quiet[targets.clamp(min=0)]
    error = torch.where(targets == ANY_QUIET, silent, named)
    error = torch.where(known, (1 - _VERY_CLASS) * silent + _VERY_CLASS * named, error)
    return (error * weights).sum() / weights.sum().clamp(min=1e-6)


def right_in_takes(
    logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, settings: Settings
) -> float:
    """The weighted share of the frames of takes whose best class is right; any quiet one for another."""
    quiet, best = _quiet(settings, logits), logits.argmax(2)
    silent = (targets == ANY_QUIET) | quiet[targets.clamp(min=0)]
    right = (best == targets) | (silent & quiet[best])
    return float((right * weights).sum() / weights.sum().clamp(min=1e-6))


def _quiet(settings: Settings, like: torch.Tensor) -> torch.Tensor:
    """bool [classes]: which mean that there is nothing to report."""
    import torch

    return torch.tensor([is_quiet(label) for label in settings.labels], device=like.device)
