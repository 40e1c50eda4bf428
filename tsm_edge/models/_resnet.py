"""What the ResNets share: the stem, four stages, and the shift in every residual branch.

The keys are torchvision's (``conv1``, ``layer1.0.conv1.weight``, ``layer1.0.downsample.0.weight``, ``fc.weight``).
The shift stands before conv1 of a block, inside the branch ("blockres" in MIT's words); the sum and the downsample
read the raw input.
"""

from __future__ import annotations

from collections.abc import Callable

from .description import Block, Conv, Head, Layer, Pool

#: planes of layer1 to layer4
PLANES = (64, 128, 256, 512)
Chain = Callable[[str, int, int, int], tuple[Conv, ...]]


def basic(name: str, inputs: int, planes: int, stride: int) -> tuple[Conv, ...]:
    """Two 3x3 convolutions; the first one strides."""
    return (
        Conv(f"{name}.conv1", f"{name}.bn1", inputs, planes, 3, stride, activation="relu"),
        Conv(f"{name}.conv2", f"{name}.bn2", planes, planes, 3),
    )


def bottleneck(name: str, inputs: int, planes: int, stride: int) -> tuple[Conv, ...]:
    """1x1, 3x3, 1x1 to four times the planes; the 3x3 strides."""
    return (
        Conv(f"{name}.conv1", f"{name}.bn1", inputs, planes, 1, activation="relu"),
        Conv(f"{name}.conv2", f"{name}.bn2", planes, planes, 3, stride, activation="relu"),
        Conv(f"{name}.conv3", f"{name}.bn3", planes, 4 * planes, 1),
    )


def resnet(
    chain: Chain, blocks: tuple[int, int, int, int], classes: int, *, shift_every: int = 1
) -> tuple[Layer, ...]:
    """List the layers of a ResNet with the given kind of block and number of blocks in each stage.

    shift_every: 1 shifts all blocks, 2 the blocks 0, 2, 4 … of each stage.
    """
    layers: list[Layer] = [Conv("conv1", "bn1", 3, PLANES[0], 7, 2, activation="relu"), Pool()]
    channels = PLANES[0]
    for stage, (planes, count) in enumerate(zip(PLANES, blocks), start=1):
        for index in range(count):
            stride = 2 if stage > 1 and index == 0 else 1
            shifted = index % shift_every == 0
            block = _block(f"layer{stage}.{index}", chain, channels, planes, stride, shifted=shifted)
            layers.append(block)
            channels = block.outputs
    return (*layers, Head("fc", channels, classes))


def _block(name: str, chain: Chain, inputs: int, planes: int, stride: int, *, shifted: bool) -> Block:
    convs = chain(name, inputs, planes, stride)
    outputs = convs[-1].outputs
    down = Conv(f"{name}.downsample.0", f"{name}.downsample.1", inputs, outputs, 1, stride)
    projection = down if stride != 1 or inputs != outputs else None
    return Block(name, convs, residual=True, projection=projection, activation="relu", shifted=shifted)
