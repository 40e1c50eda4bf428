"""What is trained: a network of the zoo in its clip form, and the variants that the method's ablations compare.

The zoo has one shift, the online one. Its variants exist here only, as another function of the same place in the same
network, so ``tsm_edge.models`` stays what it is. "uni" with 1/8 of the channels, residual and zero-padded *is* the
zoo's clip form (tested), and the only one that ``compile`` can turn into a step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..models import run_layers
from ..models.description import SHIFT_DIVISOR, Block, Layer

if TYPE_CHECKING:
    import torch

DIRECTIONS = ("uni", "bi", "none")
PLACES = ("residual", "inplace")
PADDINGS = ("zero", "circulant", "hold")


@dataclass(frozen=True)
class Variant:
    """A kind of shift.

    direction: "uni" past only, "bi" half past and half future, "none" no shift (TSN). proportion: share of the
    channels that move, in all; 1/8 of the online shift. place: "residual" leaves the sum's input alone, "inplace"
    shifts it too. padding: what stands where there is no neighbour: zeros, the clip's other end, or ("hold") the frame
    itself, in every layer as though it had stood there for ever.
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
        if not 0 <= self.proportion <= 1:
            raise UsageError("Bad share of shifted channels.", found=self.proportion, allowed="0..1")

    def moved(self, channels: int) -> int:
        """How many of so many channels move; as many as the zoo moves when this is its shift."""
        if self.direction == "none":
            return 0
        return channels // SHIFT_DIVISOR if self.online else round(channels * self.proportion)

    @property
    def online(self) -> bool:
        """Whether this is the shift that a bundle's step does."""
        return self == Variant()


def clip_logits(net: Any, layers: tuple[Layer, ...], clip: torch.Tensor, variant: Variant) -> torch.Tensor:
    """[N, T, 3, H, W] -> logits [N, T, classes] of a zoo network with another shift."""
    if variant.online:
        return net(clip)
    count, frames = clip.shape[:2]
    x = clip.flatten(0, 1)
    for layer in layers:
        if isinstance(layer, Block) and layer.shifted:
            if variant.place == "inplace":
                x = shift(x, frames, variant)
                layer = replace(layer, shifted=False)
            x = run_layers(net, (layer,), x, lambda y, fold: shift(y, frames, variant))
        else:
            x = run_layers(net, (layer,), x, lambda y, fold: y)
    return x.unflatten(0, (count, frames))


def shift(x: torch.Tensor, frames: int, variant: Variant) -> torch.Tensor:
    """Shift clips [N * frames, C, H, W]: the past first, then (for "bi") the future, then what stays."""
    import torch

    moved = variant.moved(x.shape[1])
    future = moved // 2 if variant.direction == "bi" else 0
    past = moved - future
    clips = x.unflatten(0, (-1, frames))
    first, second, rest = torch.split(clips, [past, future, x.shape[1] - moved], dim=2)
    parts = [_rolled(first, 1, variant.padding), _rolled(second, -1, variant.padding), rest]
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
