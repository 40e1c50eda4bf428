"""Weights of a bi-directional network in the channel order of the online one: a start, not the trained network.

The bi-directional shift takes channels [0, fold) from the future and [fold, 2 * fold) from the past, the online one
[0, fold) from the past. Where every tensor between the blocks has these two groups exchanged, and every convolution
that writes or reads it as well, the network computes the same; run online, its channels of the past then come from
the past, as they did in training, and those of the future from the present.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..models import TemporalShift
from ..models.description import Block, Conv, Head, Layer, Pool

if TYPE_CHECKING:
    import torch

_NORM = ("weight", "bias", "running_mean", "running_var")


@dataclass
class _Stream:
    """A tensor between layers: what writes it, what reads it, and whether a shift does. Sums write it once more."""

    writers: list[Conv] = field(default_factory=list)
    readers: list[str] = field(default_factory=list)
    shifted: bool = False


def past_first(
    tensors: Mapping[str, torch.Tensor], layers: tuple[Layer, ...], kind: TemporalShift
) -> dict[str, torch.Tensor]:
    """The tensors of a network with the channels of the past before those of the future wherever a shift reads."""
    moved = dict(tensors)
    for stream in _streams(layers):
        if not stream.shifted:
            continue
        channels = stream.writers[0].outputs
        future, past = kind.folds(channels)
        order = [*range(future, future + past), *range(future), *range(future + past, channels)]
        for conv in stream.writers:
            moved[f"{conv.weight}.weight"] = moved[f"{conv.weight}.weight"][order]
            for part in _NORM:
                moved[f"{conv.norm}.{part}"] = moved[f"{conv.norm}.{part}"][order]
        for name in stream.readers:
            moved[f"{name}.weight"] = moved[f"{name}.weight"][:, order]
    return moved


def _streams(layers: tuple[Layer, ...]) -> Iterator[_Stream]:
    here = _Stream()
    for layer in layers:
        if isinstance(layer, Pool):
            continue
        if isinstance(layer, Head):
            here.readers.append(layer.name)
        elif isinstance(layer, Conv):
            here.readers.append(layer.weight)
            yield here
            here = _Stream([layer])
        elif isinstance(layer, Block):
            here.readers += [conv.weight for conv in (layer.chain[0], layer.projection) if conv is not None]
            here.shifted |= layer.shifted
            if layer.residual and layer.projection is None:
                here.writers.append(layer.chain[-1])
                continue
            yield here
            here = _Stream([conv for conv in (layer.chain[-1], layer.projection) if conv is not None])
    yield here
