"""The online temporal shift, once per face.

Both take the first ``fold`` channels of a block's raw input from the PREVIOUS frame; before the first frame there
are zeros. They are written with split and cat: an assignment into a slice is traced as a constant by exporters.

TRAP: the offline, bi-directional TSM moves channels [0, fold) from the FUTURE and [fold, 2 * fold) from the past.
Here the past stands in [0, fold). Weights trained bi-directionally therefore load without complaint and predict
badly; nothing in a checkpoint tells the two apart (:mod:`tsm_edge.weights.checkpoints` warns when it can guess).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def shift_step(x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Shift one frame.

    x: [N, C, H, W], a block's raw input; state: [N, fold, H, W], what the previous frame left.
    Returns the shifted input [N, C, H, W] and the next state [N, fold, H, W], which is raw, not shifted.
    """
    import torch

    fold = state.shape[1]
    head, rest = torch.split(x, [fold, x.shape[1] - fold], dim=1)
    return torch.cat([state, rest], dim=1), head


def shift_clip(x: torch.Tensor, frames: int, fold: int) -> torch.Tensor:
    """Shift whole clips: [N * frames, C, H, W] to the same shape; equals ``frames`` steps from zero states."""
    import torch

    clips = x.unflatten(0, (-1, frames))
    head, rest = torch.split(clips, [fold, clips.shape[2] - fold], dim=2)
    past = torch.cat([torch.zeros_like(head[:, :1]), head[:, :-1]], dim=1)
    return torch.cat([past, rest], dim=2).flatten(0, 1)
