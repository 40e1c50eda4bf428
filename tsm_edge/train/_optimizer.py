"""How far a step moves which weight: groups of parameters, the learning rate, and the average over the steps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypedDict

from .network import Trainable, heads

if TYPE_CHECKING:
    import torch


class Group(TypedDict):
    """Parameters that learn alike. share: of the learning rate."""

    params: list[torch.nn.Parameter]
    weight_decay: float
    share: float


_WARM_UP = 0.08  # share of the steps in which the rate rises
_LAST_LR = 0.01  # share of it that is left at the end
_HEAD_RATE = 0.1  # of the learning rate


def parameter_groups(net: torch.nn.Module, model: Trainable, decay: float) -> list[Group]:
    """Weights decay, norms and biases do not; the head learns more slowly.

    It sums over a thousand features that are all positive, so that a step of the full size moves every score by more
    than one, to wherever the last batch was.
    """
    last = [value for key in heads(model) for value in net.get_submodule(key).parameters()]
    body = [value for value in net.parameters() if all(value is not each for each in last)]
    return [
        {"params": [value for value in body if value.dim() > 1], "weight_decay": decay, "share": 1.0},
        {"params": [value for value in body if value.dim() <= 1], "weight_decay": 0.0, "share": 1.0},
        {"params": last, "weight_decay": decay, "share": _HEAD_RATE},
    ]


def learning_rate(highest: float, share: float) -> float:
    """Learning rate at that share of all steps: rises, then falls along a cosine."""
    if share < _WARM_UP:
        return highest * (0.05 + 0.95 * share / _WARM_UP)
    fallen = 0.5 + 0.5 * math.cos(math.pi * (share - _WARM_UP) / (1 - _WARM_UP))
    return highest * (_LAST_LR + (1 - _LAST_LR) * fallen)


def blend(average: dict[str, torch.Tensor], present: dict[str, torch.Tensor], keep: float) -> None:
    """Move the averaged weights towards the present ones, in place; ``keep`` is the share of the old values."""
    import torch

    floats = [key for key, value in present.items() if value.dtype.is_floating_point]
    with torch.no_grad():
        torch._foreach_lerp_([average[key] for key in floats], [present[key] for key in floats], 1 - keep)
        for key in present.keys() - set(floats):
            average[key].copy_(present[key])
