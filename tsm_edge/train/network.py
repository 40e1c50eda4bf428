"""What is trained: a network of the zoo in its clip form, with any kind of shift.

The online shift runs the zoo's own clip form; the others are another function at the same place of the same network.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..models import TemporalShift, run_layers, shift_frames
from ..models.description import Block, Layer

if TYPE_CHECKING:
    import torch


def clip_logits(net: Any, layers: tuple[Layer, ...], clip: torch.Tensor, kind: TemporalShift) -> torch.Tensor:
    """[N, T, 3, H, W] -> logits [N, T, classes] of a zoo network with another shift."""
    if kind.online:
        return net(clip)
    count, frames = clip.shape[:2]
    x = clip.flatten(0, 1)
    for layer in layers:
        if isinstance(layer, Block) and layer.shifted:
            if kind.place == "inplace":
                x = shift_frames(x, frames, kind)
                layer = replace(layer, shifted=False)
            x = run_layers(net, (layer,), x, lambda y, fold: shift_frames(y, frames, kind))
        else:
            x = run_layers(net, (layer,), x, lambda y, fold: y)
    return x.unflatten(0, (count, frames))
