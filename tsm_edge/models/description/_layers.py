"""The description of a network: the one home of its shape.

A model file lists records of the four kinds below. The torch network, the counts, the states, the seeded weights and
the ONNX file all walk this list, so a fact about a layer is written once. Nothing here needs torch.

Tensors are logical NCHW and square in space; ``side`` is the height and width in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import ModelError

#: the shift takes one part in this many of a block's input channels from the previous frame
SHIFT_DIVISOR = 8
#: added to the variance by every batch norm
EPSILON = 1e-5


@dataclass(frozen=True)
class Conv:
    """Square convolution without bias, zero-padded by ``kernel // 2``, then batch norm, then an activation.

    ``weight`` and ``norm`` are the key prefixes of the two parts in a state_dict; ``activation`` is "relu", "relu6"
    or "" for none. ``epsilon`` is added to the norm's variance.
    """

    weight: str
    norm: str
    inputs: int
    outputs: int
    kernel: int
    stride: int = 1
    groups: int = 1
    activation: str = ""
    epsilon: float = EPSILON

    def __post_init__(self) -> None:
        if self.activation not in ("", "relu", "relu6"):
            raise ModelError(
                f"{self.weight}: unknown activation.", found=self.activation, allowed="relu, relu6"
            )
        if self.inputs % self.groups or self.outputs % self.groups:
            raise ModelError(
                f"{self.weight}: channels do not divide into groups.",
                found=f"{self.inputs} -> {self.outputs} in {self.groups} groups",
            )

    @property
    def fan_in(self) -> int:
        """Products added up in one output element."""
        return self.inputs // self.groups * self.kernel**2

    @property
    def parameters(self) -> int:
        """Weights, and two learnt numbers a channel of the batch norm (its running statistics are not counted)."""
        return self.outputs * self.fan_in + 2 * self.outputs

    def side(self, side: int) -> int:
        """Side of the output for an input of ``side``."""
        return (side - 1) // self.stride + 1

    def macs(self, side: int) -> int:
        """Multiply-accumulates for one input of ``side``."""
        return self.outputs * self.fan_in * self.side(side) ** 2


@dataclass(frozen=True)
class Pool:
    """Max pooling with kernel 3, stride 2, padding 1."""

    def side(self, side: int) -> int:
        """Side of the output for an input of ``side``."""
        return (side - 1) // 2 + 1


@dataclass(frozen=True)
class FramePool:
    """Maximum over three frames of a clip, around every second one: kernel 3, stride 2, padding 1 along time."""

    def side(self, side: int) -> int:
        """Side of the output, which is that of the input."""
        return side

    def frames(self, frames: int) -> int:
        """Frames of the output."""
        return (frames - 1) // 2 + 1


@dataclass(frozen=True)
class Block:
    """A chain of convolutions, perhaps with a sum at its end and a shift at its beginning.

    residual: the input (or ``projection`` of it) is added to the chain's result, then ``activation`` follows.
    shifted: the chain reads the first 1/8 of its input channels from the previous frame; the sum never does.
    """

    name: str
    chain: tuple[Conv, ...]
    residual: bool = False
    projection: Conv | None = None
    activation: str = ""
    shifted: bool = False

    def __post_init__(self) -> None:
        for before, after in zip(self.chain, self.chain[1:]):
            if before.outputs != after.inputs:
                raise ModelError(
                    f"{self.name}: {after.weight} does not fit what comes before it.",
                    found=f"{before.outputs} channels into {after.inputs}",
                )
        passed = self.projection.outputs if self.projection else self.inputs
        if self.residual and passed != self.outputs:
            raise ModelError(
                f"{self.name}: the sum does not fit.", found=f"{passed} + {self.outputs} channels"
            )
        if self.shifted and self.fold < 1:
            raise ModelError(
                f"{self.name}: too few channels to shift.",
                found=self.inputs,
                allowed=f"{SHIFT_DIVISOR} or more",
            )

    @property
    def inputs(self) -> int:
        """Input channels."""
        return self.chain[0].inputs

    @property
    def outputs(self) -> int:
        """Output channels."""
        return self.chain[-1].outputs

    @property
    def fold(self) -> int:
        """Channels that come from the previous frame: the state's channel count."""
        return self.inputs // SHIFT_DIVISOR if self.shifted else 0

    @property
    def convs(self) -> tuple[Conv, ...]:
        """Every convolution of the block, the projection last."""
        return self.chain + ((self.projection,) if self.projection else ())

    def side(self, side: int) -> int:
        """Side of the output for an input of ``side``."""
        for conv in self.chain:
            side = conv.side(side)
        return side


@dataclass(frozen=True)
class Head:
    """Mean over space, then one fully connected layer with bias; ``name`` is its key prefix in a state_dict."""

    name: str
    inputs: int
    classes: int

    @property
    def parameters(self) -> int:
        """Weights and bias."""
        return self.macs + self.classes

    @property
    def macs(self) -> int:
        """Multiply-accumulates a frame."""
        return self.inputs * self.classes


Layer = Conv | Pool | FramePool | Block | Head
