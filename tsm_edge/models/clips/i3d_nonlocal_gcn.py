"""Non-local I3D with space-time region graphs (Wang and Gupta, ECCV 2018), 32 frames and 50 boxes in each second one.

39,545,552 parameters with 400 classes; the paper's 62.2 M and 303 G have the network that proposes the boxes. Here
they are an input. The authors' code was never published: two branches of three graph layers each, one over how alike
regions are, one over how they overlap those of the next and the last frame, each layer with layer norm and ReLU.
"""

from __future__ import annotations

from . import _resnet as resnet
from ._graph import Builder, Network
from ._model import Published, Recipe

BOXES = 50  # of a frame
CHANNELS = 512  # of a region
LAYERS = 3


def describe(classes: int, frames: int) -> Network:
    """List the operators."""
    b = Builder()
    x = resnet.i3d(b, 0, resnet.Stem(), last_stride=1, non_local=resnet.FAIR_PLACES)
    whole = b.mean(x, volume=True)
    boxes = b.boxes(frames // 2, BOXES)
    graphs = region_graphs(b, x, boxes, resnet.FEATURES, CHANNELS, LAYERS)
    both = b.concat(whole, b.mean(graphs, volume=True))
    b.linear(both, "fc", (resnet.FEATURES + CHANNELS, classes))
    return b.network()


def region_graphs(b: Builder, x: int, boxes: int, inputs: int, channels: int, layers: int) -> int:
    """The regions of a volume after both branches, [T, channels, 1, B]."""
    square = (channels, channels)

    def product(source: int, key: str) -> int:
        return b.conv(source, f"gcn.{key}", square, (1, 1, 1), volume=True)

    reduced = b.conv(x, "gcn.reduce", (inputs, channels), (1, 1, 1), bias=True, volume=True)
    regions = b.region_max(reduced, boxes)
    theta, phi = product(regions, "theta"), product(regions, "phi")
    alike = placed = regions
    for layer in range(layers):
        alike = b.attend(theta, phi, product(alike, f"similar.{layer}"))
        alike = b.layer_norm(alike, f"gcn.similar_norm.{layer}", channels)
        front = product(b.overlap_mean(placed, boxes, 1), f"front.{layer}")
        back = product(b.overlap_mean(placed, boxes, -1), f"back.{layer}")
        placed = b.layer_norm(b.add(front, back), f"gcn.space_time_norm.{layer}", channels)
    return b.add(alike, placed)


MODEL = Recipe(
    "Non-local I3D ResNet-50 with graphs over 50 regions a frame, 32 frames and boxes",
    describe,
    32,
    range(2, 65, 2),
    (Published(46.1, "arXiv:1811.08383, table 2 (two clips)", 32),),
)
