"""TSM on EfficientNet-Lite0: inverted residuals with 3x3 and 5x5 depthwise layers, ReLU6, no squeeze-and-excitation.

The network is that of TensorFlow's EfficientNet-Lite0 (Tan and Le, "EfficientNet", ICML 2019, without what phones do
badly); the keys are those of its PyTorch port (``_conv_stem.weight``, ``_blocks.3._depthwise_conv.weight``). The shift
sits before the expansion of every residual block: 9 states.

``width`` scales channels, rounded to the nearest multiple of 8 and never below nine tenths, the stem and the last
convolution not at all. TensorFlow pads a stride-2 layer of an even image on the right and below alone; here, as in
MobileNetV2, padding is the same on all sides.
"""

from __future__ import annotations

from collections.abc import Sequence

from ._model import Recipe, Width
from .description import Block, Conv, Head, Layer

#: (expansion, channels, blocks, stride of the first block, depthwise kernel)
STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
STEM, LAST = 32, 1280
EPSILON = 1e-3  # TensorFlow's, of every batch norm


def scaled(channels: int, width: float) -> int:
    """Return ``channels * width`` rounded to the nearest multiple of 8, by EfficientNet's rule."""
    rounded = max(8, int(channels * width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels * width else rounded


def describe(classes: int, width: float = 1.0) -> tuple[Layer, ...]:
    """List the layers."""
    layers: list[Layer] = [convolution("_conv_stem", "_bn0", 3, STEM, 3, 2)]
    channels = STEM
    for expansion, base, blocks, first_stride, kernel in STAGES:
        outputs = scaled(base, width)
        for index in range(blocks):
            stride = first_stride if index == 0 else 1
            name = f"_blocks.{len(layers) - 1}"
            layers.append(inverted_residual(name, channels, outputs, stride, expansion, kernel))
            channels = outputs
    layers.append(convolution("_conv_head", "_bn1", channels, LAST, 1))
    return (*layers, Head("_fc", LAST, classes))


def convolution(
    weight: str,
    norm: str,
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int = 1,
    groups: int = 1,
    activation: str = "relu6",
) -> Conv:
    """A convolution whose batch norm has TensorFlow's epsilon."""
    return Conv(weight, norm, inputs, outputs, kernel, stride, groups, activation, EPSILON)


def inverted_residual(
    name: str, inputs: int, outputs: int, stride: int, expansion: int, kernel: int
) -> Block:
    """Expand (when expansion > 1), depthwise, project; shifted exactly when it is residual and expands."""
    hidden = inputs * expansion
    expand = convolution(f"{name}._expand_conv", f"{name}._bn0", inputs, hidden, 1)
    depthwise = convolution(f"{name}._depthwise_conv", f"{name}._bn1", hidden, hidden, kernel, stride, hidden)
    project = convolution(f"{name}._project_conv", f"{name}._bn2", hidden, outputs, 1, activation="")
    residual = stride == 1 and inputs == outputs
    chain = (depthwise, project) if expansion == 1 else (expand, depthwise, project)
    return Block(name, chain, residual=residual, shifted=residual and expansion > 1)


def our_keys(keys: Sequence[str]) -> list[str]:
    """The port's names are ours."""
    return list(keys)


WIDTH = Width(default=1.0, least=0.25, most=2.0)
MODEL = Recipe(
    "EfficientNet-Lite0 with an online temporal shift, between MobileNetV2 and ResNet-18; 9 states",
    describe,
    our_keys,
    WIDTH,
)
