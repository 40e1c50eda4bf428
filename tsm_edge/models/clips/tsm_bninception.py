"""TSM on BNInception: a bi-directional shift before the second convolutions and before every Inception module.

The parameters and the multiply-adds are TSN's: 10,680,240 and 16.25 GMAC a clip of 8 frames with 400 classes at 224
pixels. This is the place that MIT's code calls "block": all branches of a module read the shifted frames. Its
"blockres" adds a module's input to its result, which have other channels in most modules.
"""

from __future__ import annotations

from ._graph import Builder, Network
from ._inception import FEATURES, inception
from ._model import Recipe


def describe(classes: int, frames: int) -> Network:
    """List the operators."""
    b = Builder()
    x = inception(b, 0, shifted=True)
    scores = b.linear(b.space_mean(x), "fc", (FEATURES, classes))
    b.mean(scores)
    return b.network()


MODEL = Recipe("TSM on BNInception: all but the first of its twelve stages shifted", describe, 8, range(1, 65))
