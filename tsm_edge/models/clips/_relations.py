"""Temporal relations (Zhou et al., ECCV 2018): small networks over the features of ordered frames, added up.

The original draws new tuples of frames in every forward pass, in tests too. Here they are drawn once, with a fixed
seed, so that a network gives the same answer twice and can be compiled. Every relation begins with a ReLU of its
frames' features; it is done once a frame, by the layer before (``new_fc``).
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from ._graph import Builder

FEATURES = 256  # of a frame, in front of the relations
BOTTLENECK = 256  # of every relation's network
SINGLE_BOTTLENECK = 512  # of the single relation over all frames
TUPLES = 3  # of every scale but the longest
SEED = 0


def tuples(frames: int, length: int) -> tuple[tuple[int, ...], ...]:
    """The frames of the relations of one length: all in order, where there are more than three, three of them."""
    every = list(combinations(range(frames), length))
    if len(every) <= TUPLES:
        return tuple(every)
    chosen = np.random.RandomState([SEED, frames, length]).choice(len(every), TUPLES, replace=False)
    return tuple(every[index] for index in sorted(chosen))


def multi_scale(b: Builder, features: int, frames: int, classes: int) -> int:
    """Relations of all frames down to two of [T, 256]: one network a length, used for each of its tuples."""
    scores = []
    for place, length in enumerate(range(frames, 1, -1)):
        for chosen in tuples(frames, length):
            x = b.gather(features, chosen)
            x = b.linear(x, f"consensus.fc_fusion_scales.{place}.1", (length * FEATURES, BOTTLENECK), "relu")
            scores.append(b.linear(x, f"consensus.fc_fusion_scales.{place}.3", (BOTTLENECK, classes)))
    return b.total(*scores)


def single(b: Builder, features: int, frames: int, classes: int) -> int:
    """One relation over all frames of [T, 256]."""
    x = b.gather(features, range(frames))
    x = b.linear(x, "consensus.classifier.1", (frames * FEATURES, SINGLE_BOTTLENECK), "relu")
    return b.linear(x, "consensus.classifier.3", (SINGLE_BOTTLENECK, classes))
