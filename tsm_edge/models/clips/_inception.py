"""BNInception frame by frame: Ioffe and Szegedy's batch-normalised Inception, as TSN, TRN and ECO use it.

Convolutions have biases besides their batch norms. The keys are those of the Caffe model's layers
(``inception_3a_3x3_reduce.weight``, ``inception_3a_3x3_reduce_bn.weight``). Pools round up.
"""

from __future__ import annotations

from dataclasses import dataclass

from ._graph import Builder

FEATURES = 1024


@dataclass(frozen=True)
class Module:
    """Channels of an Inception module's branches.

    one: of the 1x1, 0 where the module halves the picture. three: reduced and out of the 3x3. double: reduced, between
    and out of the two 3x3. pool: "mean" or "max"; projected: of the 1x1 behind it, 0 for none.
    """

    name: str
    one: int
    three: tuple[int, int]
    double: tuple[int, int]
    pool: str
    projected: int

    @property
    def stride(self) -> int:
        """2 where there is no 1x1."""
        return 1 if self.one else 2

    def outputs(self, inputs: int) -> int:
        """Channels of all branches together."""
        return self.one + self.three[1] + self.double[1] + (self.projected or inputs)


MODULES = (
    Module("3a", 64, (64, 64), (64, 96), "mean", 32),
    Module("3b", 64, (64, 96), (64, 96), "mean", 64),
    Module("3c", 0, (128, 160), (64, 96), "max", 0),
    Module("4a", 224, (64, 96), (96, 128), "mean", 128),
    Module("4b", 192, (96, 128), (96, 128), "mean", 128),
    Module("4c", 160, (128, 160), (128, 160), "mean", 128),
    Module("4d", 96, (128, 192), (160, 192), "mean", 128),
    Module("4e", 0, (128, 192), (192, 256), "max", 0),
    Module("5a", 352, (192, 320), (160, 224), "mean", 128),
    Module("5b", 352, (192, 320), (192, 224), "max", 128),
)


def inception(b: Builder, clip: int, *, shifted: bool = False) -> int:
    """The whole backbone: [T, 1024, H/32, W/32]. shifted: every stage but the first reads shifted frames."""
    if not shifted:
        return rest(b, *trunk(b, clip))
    x, channels = second(b, b.shift(first(b, clip))), 192
    for module in MODULES:
        x = module_of(b, b.shift(x), module, channels)
        channels = module.outputs(channels)
    return x


def first(b: Builder, clip: int) -> int:
    """The 7x7 and its pool: [T, 64, H/4, W/4]."""
    x = conv(b, clip, "conv1_7x7_s2", (3, 64), 7, 2)
    return b.pool(x, "max", (1, 3, 3), (1, 2, 2), ceil=True)


def second(b: Builder, x: int) -> int:
    """The 3x3 and its pool: [T, 192, H/8, W/8]."""
    x = conv(b, x, "conv2_3x3_reduce", (64, 64))
    x = conv(b, x, "conv2_3x3", (64, 192), 3)
    return b.pool(x, "max", (1, 3, 3), (1, 2, 2), ceil=True)


def trunk(b: Builder, clip: int) -> tuple[int, int]:
    """Stem, 3a and 3b: ([T, 320, H/8, W/8], and of 3c the first 3x3 of the double branch, [T, 96, H/8, W/8]).

    The second one is where ECO leaves the frames.
    """
    x, channels = second(b, first(b, clip)), 192
    for module in MODULES[:2]:
        x = module_of(b, x, module, channels)
        channels = module.outputs(channels)
    return x, double_start(b, x, MODULES[2], channels)


def rest(b: Builder, x: int, double: int) -> int:
    """3c to 5b, whose first convolutions the trunk has done."""
    channels = 320
    for module in MODULES[2:]:
        x = module_of(b, x, module, channels, double if module.name == "3c" else None)
        channels = module.outputs(channels)
    return x


def double_start(b: Builder, x: int, module: Module, inputs: int) -> int:
    """The 1x1 and the first 3x3 of a module's double branch."""
    name, (reduced, out) = f"inception_{module.name}", module.double
    y = conv(b, x, f"{name}_double_3x3_reduce", (inputs, reduced))
    return conv(b, y, f"{name}_double_3x3_1", (reduced, out), 3)


def module_of(b: Builder, x: int, module: Module, inputs: int, double: int | None = None) -> int:
    """One module: its branches' channels one after the other."""
    name, stride = f"inception_{module.name}", module.stride
    branches = []
    if module.one:
        branches.append(conv(b, x, f"{name}_1x1", (inputs, module.one)))
    y = conv(b, x, f"{name}_3x3_reduce", (inputs, module.three[0]))
    branches.append(conv(b, y, f"{name}_3x3", module.three, 3, stride))
    y = double_start(b, x, module, inputs) if double is None else double
    out = module.double[1]
    branches.append(conv(b, y, f"{name}_double_3x3_2", (out, out), 3, stride))
    if module.stride == 2:
        branches.append(b.pool(x, "max", (1, 3, 3), (1, 2, 2), ceil=True))
    else:
        y = b.pool(x, module.pool, (1, 3, 3), (1, 1, 1), (0, 1, 1), ceil=True)
        branches.append(conv(b, y, f"{name}_pool_proj", (inputs, module.projected)))
    return b.concat(*branches)


def conv(b: Builder, x: int, key: str, channels: tuple[int, int], side: int = 1, stride: int = 1) -> int:
    """A convolution with bias, its batch norm and a ReLU."""
    return b.conv(
        x,
        key,
        channels,
        (1, side, side),
        (1, stride, stride),
        norm=f"{key}_bn",
        bias=True,
        activation="relu",
    )
