"""What is trained: a network of the zoo in its clip form, with any kind of shift."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import UsageError
from ..models import Model, TemporalShift, run_clip
from ..models.description import FramePool, Layer
from .sources import Sources

if TYPE_CHECKING:
    import torch


def clip_logits(
    net: torch.nn.Module, layers: tuple[Layer, ...], clip: torch.Tensor, kind: TemporalShift
) -> torch.Tensor:
    """[N, T, 3, H, W] -> logits [N, T, classes]; the online shift runs the zoo's own clip form.

    A network that pools frames has logits of half as many.
    """
    pools = any(isinstance(layer, FramePool) for layer in layers)
    return net(clip) if kind.online and not pools else run_clip(net, layers, clip, kind)


def check_pooled_clips(model: Model, sources: Sources) -> None:
    """UsageError where a network that pools frames would have to say something of every frame of a take."""
    if model.pools and sources.takes:
        raise UsageError(
            "A network that pools frames answers about clips.",
            found="takes, whose frames have labels of their own",
            allowed="clips of one class each",
            hint="leave out --temporal-pool",
        )
