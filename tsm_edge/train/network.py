"""What is trained: a network of the zoo in its clip form, with any kind of shift."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..models import TemporalShift, run_clip
from ..models.description import Layer

if TYPE_CHECKING:
    import torch


def clip_logits(
    net: torch.nn.Module, layers: tuple[Layer, ...], clip: torch.Tensor, kind: TemporalShift
) -> torch.Tensor:
    """[N, T, 3, H, W] -> logits [N, T, classes]; the online shift runs the zoo's own clip form."""
    return net(clip) if kind.online else run_clip(net, layers, clip, kind)
