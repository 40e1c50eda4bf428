"""TRN of a single scale on ResNet-50 (Zhou et al., ECCV 2018): one relation over all frames."""

from __future__ import annotations

from .._resnet import bottleneck, resnet
from . import _relations as relations
from ._graph import Builder, Network
from ._model import Recipe


def describe(classes: int, frames: int) -> Network:
    """List the operators."""
    b = Builder()
    x = b.frame_layers(0, resnet(bottleneck, (3, 4, 6, 3), classes))
    features = b.linear(b.space_mean(x), "new_fc", (2048, relations.FEATURES), "relu")
    relations.single(b, features, frames, classes)
    return b.network()


MODEL = Recipe(
    "TRN of a single scale on ResNet-50: one relation over all frames",
    describe,
    8,
    range(2, 33),
)
