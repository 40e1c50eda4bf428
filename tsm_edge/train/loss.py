"""The loss: the error of the answer about a clip, and of every frame's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import measure
from .settings import Settings

if TYPE_CHECKING:
    import torch


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
