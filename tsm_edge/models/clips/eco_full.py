"""ECO-Full (Zolfaghari et al., ECCV 2018): ECO-Lite's volume beside the whole BNInception a frame.

47,502,128 parameters and 32.21 GMAC a clip of 8 frames with 400 classes at 224 pixels.
"""

from __future__ import annotations

from . import _eco as eco
from . import _inception as inception
from ._graph import Builder, Network
from ._model import Published, Recipe


def describe(classes: int, frames: int) -> Network:
    """List the operators."""
    b = Builder()
    trunk, frames_2d = inception.trunk(b, 0)
    volume = b.mean(eco.volume_features(b, frames_2d), volume=True)
    still = b.mean(b.space_mean(inception.rest(b, trunk, frames_2d)))
    both = b.concat(still, volume)
    b.linear(both, "fc8", (inception.FEATURES + eco.FEATURES, classes))
    return b.network()


MODEL = Recipe(
    "ECO-Full: ECO-Lite and the whole BNInception of every frame",
    describe,
    8,
    range(4, 65, 4),
    (
        Published(39.6, "arXiv:1811.08383, table 2", 8),
        Published(41.4, "arXiv:1811.08383, table 5", 16),
    ),
)
