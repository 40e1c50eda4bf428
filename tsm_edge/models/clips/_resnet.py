"""ResNet-50 over clips: with convolutions inflated along time, with a shift, with non-local blocks.

The keys are torchvision's (``layer1.0.conv1.weight``); a non-local block behind ``layer2.0`` is ``layer2.0.nl``.
"""

from __future__ import annotations

from dataclasses import dataclass

from ._graph import Builder
from ._records import Triple

#: planes and blocks of layer1 to layer4
STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))
FEATURES = 2048
#: which first convolutions of an I3D's bottlenecks are 3x1x1, stage by stage
INFLATED = ((1, 1, 1), (1, 0, 1, 0), (1, 0, 1, 0, 1, 0), (0, 1, 0))


@dataclass(frozen=True)
class Stem:
    """The first convolution (5x7x7) and pool of an I3D: kernel and stride along time; the pool is not padded there."""

    conv_stride: int = 1
    pool_kernel: int = 1
    pool_stride: int = 1


@dataclass(frozen=True)
class NonLocal:
    """Where non-local blocks stand in layer2 and layer3, and their order of pool and convolution.

    blocks: (stage number, block number) of the blocks that one follows. pool_first: FAIR pools before phi and g and
    scales the scores by C ** -0.5; the TSM code pools behind phi and g and does not scale.
    """

    blocks: frozenset[tuple[int, int]]
    pool_first: bool


TSM_PLACES = NonLocal(frozenset({(2, 0), (2, 2), (3, 0), (3, 2), (3, 4)}), pool_first=False)
FAIR_PLACES = NonLocal(frozenset({(2, 1), (2, 3), (3, 1), (3, 3), (3, 5)}), pool_first=True)


def i3d(
    b: Builder,
    clip: int,
    stem: Stem,
    *,
    last_stride: int = 2,
    non_local: NonLocal | None = None,
) -> int:
    """An I3D's volume [T', 2048, H/32, W/32]: pool2 halves the time behind layer1. last_stride: of layer4 in space."""
    x = b.recast(clip, volume=True)
    x = b.conv(
        x,
        "conv1",
        (3, 64),
        (5, 7, 7),
        (stem.conv_stride, 2, 2),
        norm="bn1",
        activation="relu",
        volume=True,
    )
    x = b.pool(x, "max", (stem.pool_kernel, 3, 3), (stem.pool_stride, 2, 2), (0, 1, 1))
    channels = 64
    for stage, ((planes, count), flags) in enumerate(zip(STAGES, INFLATED, strict=True), start=1):
        for index in range(count):
            stride = 1 if stage == 1 or index else last_stride if stage == 4 else 2
            name, kernel = f"layer{stage}.{index}", (3, 1, 1) if flags[index] else (1, 1, 1)
            x = bottleneck(b, x, name, channels, planes, stride, first=kernel, volume=True)
            channels = 4 * planes
            if non_local and (stage, index) in non_local.blocks:
                x = non_local_block(b, x, f"{name}.nl", channels, pool_first=non_local.pool_first)
        if stage == 1:
            x = b.pool(x, "max", (2, 1, 1), (2, 1, 1))
    return x


def shifted(b: Builder, clip: int, *, non_local: NonLocal | None = None) -> int:
    """TSM's frames [T, 2048, H/32, W/32]: a bi-directional shift in every residual branch."""
    x = stem_2d(b, clip)
    channels = 64
    for stage, (planes, count) in enumerate(STAGES, start=1):
        for index in range(count):
            stride = 2 if stage > 1 and index == 0 else 1
            name = f"layer{stage}.{index}"
            x = bottleneck(b, x, name, channels, planes, stride, shift=True)
            channels = 4 * planes
            if non_local and (stage, index) in non_local.blocks:
                volume = b.recast(x, volume=True)
                volume = non_local_block(b, volume, f"{name}.nl", channels, pool_first=non_local.pool_first)
                x = b.recast(volume, volume=False)
    return x


def replaced(b: Builder, clip: int) -> int:
    """I3D_replace's volume: TSM's network with a 3x1x1 convolution in place of every shift."""
    x = b.recast(stem_2d(b, clip), volume=True)
    channels = 64
    for stage, (planes, count) in enumerate(STAGES, start=1):
        for index in range(count):
            stride = 2 if stage > 1 and index == 0 else 1
            name = f"layer{stage}.{index}"
            x = bottleneck(b, x, name, channels, planes, stride, first=(3, 1, 1), volume=True)
            channels = 4 * planes
    return x


def stem_2d(b: Builder, clip: int) -> int:
    """ResNet's first convolution and pool, frame by frame."""
    x = b.conv(clip, "conv1", (3, 64), (1, 7, 7), (1, 2, 2), norm="bn1", activation="relu")
    return b.pool(x, "max", (1, 3, 3), (1, 2, 2), (0, 1, 1))


def bottleneck(
    b: Builder,
    x: int,
    name: str,
    inputs: int,
    planes: int,
    stride: int,
    *,
    first: Triple = (1, 1, 1),
    shift: bool = False,
    volume: bool = False,
) -> int:
    """1x1x1 or 3x1x1, then 1x3x3, then 1x1x1 to four times the planes; the 1x3x3 strides, as in torchvision."""
    outputs, step = 4 * planes, (1, stride, stride)
    y = b.shift(x) if shift else x
    y = b.conv(
        y, f"{name}.conv1", (inputs, planes), first, norm=f"{name}.bn1", activation="relu", volume=volume
    )
    y = b.conv(
        y,
        f"{name}.conv2",
        (planes, planes),
        (1, 3, 3),
        step,
        norm=f"{name}.bn2",
        activation="relu",
        volume=volume,
    )
    y = b.conv(y, f"{name}.conv3", (planes, outputs), (1, 1, 1), norm=f"{name}.bn3", volume=volume)
    if stride != 1 or inputs != outputs:
        down = f"{name}.downsample"
        x = b.conv(x, f"{down}.0", (inputs, outputs), (1, 1, 1), step, norm=f"{down}.1", volume=volume)
    return b.add(y, x, "relu")


def non_local_block(b: Builder, x: int, name: str, channels: int, *, pool_first: bool) -> int:
    """x + BN(W(softmax(theta(x) phi(x)^T) g(x))): Wang et al., CVPR 2018, embedded Gaussian with sub-sampling."""
    inner, one = channels // 2, (1, 1, 1)
    pooled = b.pool(x, "max", (1, 2, 2), (1, 2, 2)) if pool_first else x

    def embedded(source: int, key: str) -> int:
        return b.conv(source, f"{name}.{key}", (channels, inner), one, bias=True, volume=True)

    theta, phi, g = embedded(x, "theta"), embedded(pooled, "phi"), embedded(pooled, "g")
    if not pool_first:
        phi, g = (b.pool(value, "max", (1, 2, 2), (1, 2, 2)) for value in (phi, g))
    y = b.attend(theta, phi, g, inner**-0.5 if pool_first else 1.0)
    out = b.conv(y, f"{name}.W.0", (inner, channels), one, norm=f"{name}.W.1", bias=True, volume=True)
    return b.add(out, x)
