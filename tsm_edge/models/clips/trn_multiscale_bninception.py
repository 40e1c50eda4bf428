"""TRN of all scales on BNInception (Zhou et al., ECCV 2018): relations of 8 frames down to 2, added up.

13,547,792 parameters with 400 classes; the published 18.3 M count each relation's network once a call.
"""

from __future__ import annotations

from . import _relations as relations
from ._graph import Builder, Network
from ._inception import FEATURES, inception
from ._model import Published, Recipe


def describe(classes: int, frames: int) -> Network:
    """List the operators."""
    b = Builder()
    x = inception(b, 0)
    features = b.linear(b.space_mean(x), "new_fc", (FEATURES, relations.FEATURES), "relu")
    relations.multi_scale(b, features, frames, classes)
    return b.network()


MODEL = Recipe(
    "TRN of all scales on BNInception: relations of all frames down to two",
    describe,
    8,
    range(3, 17),
    (Published(34.4, "arXiv:1811.08383, table 2", 8),),
)
