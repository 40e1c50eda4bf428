"""TRN of all scales on ResNet-50 (Zhou et al., ECCV 2018): relations of 8 frames down to 2, added up.

27,047,728 parameters with 400 classes; the published 31.8 M count each relation's network once a call.
"""

from __future__ import annotations

from .._resnet import bottleneck, resnet
from . import _relations as relations
from ._graph import Builder, Network
from ._model import Published, Recipe


def describe(classes: int, frames: int) -> Network:
    """List the operators."""
    b = Builder()
    x = b.frame_layers(0, resnet(bottleneck, (3, 4, 6, 3), classes))
    features = b.linear(b.space_mean(x), "new_fc", (2048, relations.FEATURES), "relu")
    relations.multi_scale(b, features, frames, classes)
    return b.network()


MODEL = Recipe(
    "TRN of all scales on ResNet-50: relations of all frames down to two",
    describe,
    8,
    range(3, 17),
    (Published(38.9, "arXiv:1811.08383, table 2 (its authors' implementation)", 8),),
)
