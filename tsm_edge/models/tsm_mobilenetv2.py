"""TSM on MobileNetV2: the network of MIT's online gesture demo.

The keys are those of MIT's flat form (``features.3.conv.0.weight``, ``classifier.weight``), so its online Jester
checkpoint loads as it is. The shift sits before the expansion of every residual block: 10 states.

``width`` scales channels by MIT's rule: c * width rounded UP to a multiple of 8. The stem (32) and the first block
(16) are never scaled, the last convolution (1280) only above width 1. mmaction2 and torchvision round to the nearest
multiple instead and scale the stem too, so their files fit at width 1 only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ._foreign_keys import mobilenetv2_keys
from ._model import Recipe, Width
from .description import Block, Conv, Head, Layer

#: (expansion, channels, blocks, stride of the first block)
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
STEM, LAST = 32, 1280


def scaled(channels: int, width: float) -> int:
    """Return ``channels * width`` rounded up to a multiple of 8."""
    return math.ceil(channels * width / 8) * 8


def describe(classes: int, width: float = 1.0) -> tuple[Layer, ...]:
    """List the layers."""
    layers: list[Layer] = [Conv("features.0.0", "features.0.1", 3, STEM, 3, 2, activation="relu6")]
    channels = STEM
    for expansion, base, blocks, first_stride in STAGES:
        outputs = scaled(base, width) if expansion > 1 else base
        for index in range(blocks):
            stride = first_stride if index == 0 else 1
            layers.append(inverted_residual(f"features.{len(layers)}", channels, outputs, stride, expansion))
            channels = outputs
    last = max(LAST, scaled(LAST, width))
    at = f"features.{len(layers)}"
    layers.append(Conv(f"{at}.0", f"{at}.1", channels, last, 1, activation="relu6"))
    return (*layers, Head("classifier", last, classes))


def inverted_residual(name: str, inputs: int, outputs: int, stride: int, expansion: int) -> Block:
    """Expand (when expansion > 1), depthwise 3x3, project; shifted exactly when it is residual and expands."""
    hidden = inputs * expansion
    expand = (hidden, inputs, 1, 1, 1, "relu6")
    depthwise = (hidden, hidden, 3, stride, hidden, "relu6")
    project = (outputs, hidden, 1, 1, 1, "")
    kinds = (depthwise, project) if expansion == 1 else (expand, depthwise, project)
    chain = tuple(  # each convolution takes three places: itself, its batch norm, its activation
        Conv(
            f"{name}.conv.{3 * at}", f"{name}.conv.{3 * at + 1}", cin, cout, kernel, step, groups, activation
        )
        for at, (cout, cin, kernel, step, groups, activation) in enumerate(kinds)
    )
    residual = stride == 1 and inputs == outputs
    return Block(name, chain, residual=residual, shifted=residual and expansion > 1)


def our_keys(keys: Sequence[str]) -> list[str]:
    """Rename the keys of mmaction2 and torchvision."""
    return mobilenetv2_keys(keys, [blocks for _, _, blocks, _ in STAGES])


# From width 0.25 on exactly 10 blocks are residual; below, rounding makes more channel counts equal (64 and 96 both
# become 16 at 0.15) and the network would gain a state that MIT's online form does not have.
WIDTH = Width(default=1.0, least=0.25, most=2.0)
MODEL = Recipe(
    "MobileNetV2 with an online temporal shift, small and fast; 10 states", describe, our_keys, WIDTH
)
