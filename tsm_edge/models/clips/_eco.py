"""ECO's 3-D part (Zolfaghari et al., ECCV 2018): a residual network over the frames' 96 channels.

All convolutions are 3x3x3 with bias; batch norm and ReLU stand behind each sum. The keys are those of the Caffe
model's layers.
"""

from __future__ import annotations

from ._graph import Builder
from ._inception import trunk

CHANNELS = 96  # of the frames where they are stacked
FEATURES = 512


def lite(b: Builder, clip: int, classes: int) -> int:
    """ECO-Lite from the clip's frames to scores."""
    _, frames = trunk(b, clip)
    return b.linear(b.mean(volume_features(b, frames), volume=True), "fc8", (FEATURES, classes))


def volume_features(b: Builder, frames: int) -> int:
    """[T, 96, H/8, W/8] to the volume [T/4, 512, H/32, W/32]."""
    x = b.recast(frames, volume=True)
    raw = conv(b, x, "res3a_2", (CHANNELS, 128))
    x = b.norm(raw, "res3a_bn", 128)
    raw = b.add(pair(b, x, "res3b", 128), raw)
    x = b.norm(raw, "res3b_bn", 128)
    for stage, inputs, outputs in ((4, 128, 256), (5, 256, 512)):
        raw = down(b, x, f"res{stage}a", inputs, outputs)
        x = b.norm(raw, f"res{stage}a_bn", outputs)
        raw = b.add(pair(b, x, f"res{stage}b", outputs), raw)
        x = b.norm(raw, f"res{stage}b_bn", outputs)
    return x


def pair(b: Builder, x: int, name: str, channels: int) -> int:
    """Two convolutions with a batch norm and a ReLU between them."""
    y = conv(b, x, f"{name}_1", (channels, channels), norm=f"{name}_1_bn")
    return conv(b, y, f"{name}_2", (channels, channels))


def down(b: Builder, x: int, name: str, inputs: int, outputs: int) -> int:
    """A block that halves time and space, the sum of its branch and a strided convolution."""
    y = conv(b, x, f"{name}_1", (inputs, outputs), 2, norm=f"{name}_1_bn")
    y = conv(b, y, f"{name}_2", (outputs, outputs))
    return b.add(y, conv(b, x, f"{name}_down", (inputs, outputs), 2))


def conv(b: Builder, x: int, key: str, channels: tuple[int, int], stride: int = 1, norm: str = "") -> int:
    """A 3x3x3 convolution with bias."""
    return b.conv(
        x,
        key,
        channels,
        (3, 3, 3),
        (stride, stride, stride),
        norm=norm,
        bias=True,
        activation="relu" if norm else "",
        volume=True,
    )
