"""A network before the first step: its weights, and the dropout that only a training has."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..models import Model, TemporalShift
from ..models.description import Block, head

if TYPE_CHECKING:
    import torch


def initialise(net: torch.nn.Module, model: Model, variant: TemporalShift) -> None:
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


def add_dropout(net: torch.nn.Module, model: Model, share: float) -> None:
    """Drop that share of the features before the head while training."""
    import torch

    def drop(module: torch.nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        return (torch.nn.functional.dropout(inputs[0], share, module.training),)

    net.get_submodule(head(model.layers).name).register_forward_pre_hook(drop)
