"""The temporal shift: its kinds, and each of them as a function of torch.

The zoo's networks are online: they take the first 1/8 of a block's input channels from the PREVIOUS frame, and run
frame by frame (:func:`shift_step`) or over a whole clip (:func:`shift_clip`). Networks that were trained offline shift
in both directions. All is written with split and cat: an assignment into a slice is traced as a constant by exporters.

TRAP: the bi-directional shift of MIT and mmaction2 moves channels [0, fold) from the FUTURE and [fold, 2 * fold) from
the past; the online one has the past in [0, fold). The tensors of both have the same names and shapes
(:mod:`tsm_edge.weights.checkpoints` asks where a file does not tell them apart).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import UsageError
from .description import SHIFT_DIVISOR

if TYPE_CHECKING:
    import torch

DIRECTIONS = ("uni", "bi", "none")
PLACES = ("residual", "inplace")
PADDINGS = ("zero", "circulant", "hold")


@dataclass(frozen=True)
class TemporalShift:
    """A kind of shift.

    direction: "uni" past only, "bi" half future and half past, "none" no shift (TSN). proportion: share of the
    channels that move, in all; 1/8 of the online shift, 1/4 of MIT's bi-directional one. place: "residual" leaves the
    sum's input alone, "inplace" shifts it too. padding: what stands where there is no neighbour: zeros, the clip's
    other end, or ("hold") the frame itself, in every layer as though it had stood there for ever.
    """

    direction: str = "uni"
    proportion: float = 1 / SHIFT_DIVISOR
    place: str = "residual"
    padding: str = "zero"

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("direction", self.direction, DIRECTIONS),
            ("place", self.place, PLACES),
            ("padding", self.padding, PADDINGS),
        ):
            if value not in allowed:
                raise UsageError(f"Unknown shift {name}.", found=value, allowed=", ".join(allowed))
        share = self.proportion
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
            raise UsageError("Bad share of shifted channels.", found=share, allowed="0..1")

    def moved(self, channels: int) -> int:
        """How many of so many channels move; as many as the zoo moves when this is its shift."""
        if self.direction == "none":
            return 0
        return channels // SHIFT_DIVISOR if self.online else round(channels * self.proportion)

    def folds(self, channels: int) -> tuple[int, int]:
        """How many channels come from the future, and how many, behind those, from the past."""
        moved = self.moved(channels)
        future = moved // 2 if self.direction == "bi" else 0
        return future, moved - future

    @property
    def online(self) -> bool:
        """Whether this is the shift that a step of the zoo's networks does."""
        return self == ONLINE


ONLINE = TemporalShift()
#: what the training code of MIT and mmaction2 does: 1/8 of the channels from each side
OFFLINE = TemporalShift("bi", 2 / SHIFT_DIVISOR)


def shift_frames(x: torch.Tensor, frames: int, kind: TemporalShift) -> torch.Tensor:
    """Shift clips [N * frames, C, H, W]: the future first (for "bi"), then the past, then what stays."""
    import torch

    future, past = kind.folds(x.shape[1])
    clips = x.unflatten(0, (-1, frames))
    first, second, rest = torch.split(clips, [future, past, x.shape[1] - future - past], dim=2)
    parts = [_rolled(first, -1, kind.padding), _rolled(second, 1, kind.padding), rest]
    return torch.cat(parts, dim=2).flatten(0, 1)


def _rolled(x: torch.Tensor, by: int, padding: str) -> torch.Tensor:
    import torch

    if padding == "hold":
        ends = (x[:, :1], x[:, :-1]) if by > 0 else (x[:, 1:], x[:, -1:])
        return torch.cat(ends, dim=1)
    turned = torch.roll(x, by, dims=1)
    if padding == "zero" and x.shape[2]:
        edge = slice(0, 1) if by > 0 else slice(-1, None)
        keep = x.new_ones((1, x.shape[1], 1, 1, 1))
        keep[:, edge] = 0
        turned = turned * keep
    return turned


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
