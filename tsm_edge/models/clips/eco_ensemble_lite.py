"""ECO_En-Lite (Zolfaghari et al., ECCV 2018): four ECO-Lite networks of 16, 20, 24 and 32 frames, their mean score.

150,015,424 parameters and 267.3 GMAC a clip of 92 frames with 400 classes at 224 pixels. A clip holds the frames of
each network one after the other: each samples the same video at its own pace.
"""

from __future__ import annotations

from . import _eco as eco
from ._graph import Builder, Network
from ._model import Published, Recipe

MEMBERS = (16, 20, 24, 32)


def describe(classes: int, frames: int) -> Network:
    """List the operators."""
    b, scores, begin = Builder(), [], 0
    for count in MEMBERS:
        b.prefix = f"frames{count}."
        scores.append(eco.lite(b, b.frames(0, begin, begin + count), classes))
        begin += count
    b.average(*scores)
    return b.network()


MODEL = Recipe(
    "Four ECO-Lite networks of 16, 20, 24 and 32 frames, their mean score",
    describe,
    sum(MEMBERS),
    range(sum(MEMBERS), sum(MEMBERS) + 1),
    (Published(46.4, "arXiv:1811.08383, table 2", 92),),
)
