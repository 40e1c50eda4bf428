"""The operators of a clip network as frozen records: shapes, learnt numbers and multiply-accumulates; needs no torch.

A value is what one clip makes of itself: ``(T, C, H, W)`` frames or a volume, ``(T, C)`` one vector a frame, ``(C,)``
one vector. A record answers ``shape(inputs)`` and ``macs(inputs)`` for the shapes of what it reads; ``parameters``
counts its learnt numbers. Convolutions, matrix products and fully connected layers count as multiply-accumulates,
as in papers.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from ...errors import ModelError

Shape = tuple[int, ...]
Triple = tuple[int, int, int]


def extent(size: int, kernel: int, stride: int, pad: int, *, ceil: bool = False) -> int:
    """Positions of a window along an axis; ``ceil`` counts a last one that begins inside but ends outside."""
    room = size + 2 * pad - kernel
    count = -(-room // stride) + 1 if ceil else room // stride + 1
    if ceil and (count - 1) * stride >= size + pad:
        count -= 1
    if count < 1:
        raise ModelError(
            "A window does not fit into what it reads.",
            found=f"{size} positions",
            allowed=f"{kernel - 2 * pad} or more",
            hint="give the model larger pictures or more frames",
        )
    return count


@dataclass(frozen=True)
class Window:
    """Kernel, stride and padding along time, height and width."""

    kernel: Triple
    stride: Triple = (1, 1, 1)
    pad: Triple = (0, 0, 0)
    ceil: bool = False

    def over(self, shape: Shape, channels: int) -> Shape:
        """The shape of the results over ``(T, C, H, W)``."""
        frames, _, height, width = shape
        time, rows, columns = (
            extent(size, kernel, stride, pad, ceil=self.ceil)
            for size, kernel, stride, pad in zip((frames, height, width), self.kernel, self.stride, self.pad)
        )
        return (time, channels, rows, columns)

    @property
    def flat(self) -> bool:
        """Whether each frame is seen alone."""
        return (self.kernel[0], self.stride[0], self.pad[0]) == (1, 1, 0)


class Record:
    """What the records share: one input, nothing learnt, nothing multiplied."""

    @property
    def parameters(self) -> int:
        """Learnt numbers."""
        return 0

    def macs(self, inputs: tuple[Shape, ...]) -> int:
        """Multiply-accumulates for one clip."""
        return 0


@dataclass(frozen=True)
class Conv(Record):
    """A convolution, then a batch norm where ``norm`` names one, then "relu" or nothing.

    volume: its weight is [O, I, KT, KH, KW]; else [O, I, KH, KW] over every frame alone. key, norm: key prefixes in
    a state_dict.
    """

    key: str
    inputs: int
    outputs: int
    window: Window
    norm: str = ""
    bias: bool = False
    activation: str = ""
    volume: bool = False

    @property
    def fan_in(self) -> int:
        """Products added up in one number of the output."""
        return self.inputs * prod(self.window.kernel)

    @property
    def parameters(self) -> int:
        """Weights, biases and two numbers a channel of the batch norm."""
        return self.outputs * (self.fan_in + int(self.bias) + 2 * bool(self.norm))

    def shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """The result of a clip's."""
        if inputs[0][1] != self.inputs:
            raise ModelError(f"{self.key}: reads other channels.", found=inputs[0][1], allowed=self.inputs)
        return self.window.over(inputs[0], self.outputs)

    def macs(self, inputs: tuple[Shape, ...]) -> int:
        """Multiply-accumulates."""
        return prod(self.shape(inputs)) * self.fan_in


@dataclass(frozen=True)
class Norm(Record):
    """A batch norm of its own, behind a sum, then "relu" or nothing."""

    key: str
    channels: int
    activation: str = ""
    volume: bool = True

    @property
    def parameters(self) -> int:
        """Scale and shift."""
        return 2 * self.channels

    def shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Unchanged."""
        return inputs[0]


@dataclass(frozen=True)
class LayerNorm(Record):
    """A layer norm over the channels of each position of a volume, then a ReLU."""

    key: str
    channels: int

    @property
    def parameters(self) -> int:
        """Scale and shift."""
        return 2 * self.channels

    def shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Unchanged."""
        return inputs[0]


@dataclass(frozen=True)
class Boxes(Record):
    """The second input: ``count`` boxes in each of ``frames`` frames, as fractions of the picture."""

    frames: int
    count: int

    def shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Left, top, right and bottom of each."""
        return (self.frames, self.count, 4)


@dataclass(frozen=True)
class RegionMax(Record):
    """The features of boxes: RoIAlign to 7x7 bins and their maximum; a volume ``(T, C, 1, B)``."""

    def shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """A position a box."""
        (frames, channels, *_), (boxed, count, _) = inputs
        if frames != boxed:
            raise ModelError("Boxes are of other frames.", found=boxed, allowed=frames)
        return (frames, channels, 1, count)


@dataclass(frozen=True)
class OverlapMean(Record):
    """The mean of the regions of the next frame (``by`` 1) or the last one (-1), by how much their boxes overlap."""

    by: int

    def shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Unchanged."""
        return inputs[0]

    def macs(self, inputs: tuple[Shape, ...]) -> int:
        """A product of matrices a frame that has such a neighbour."""
        frames, channels, _, count = inputs[0]
        return (frames - 1) * count * count * channels


@dataclass(frozen=True)
class Pool(Record):
    """A pooling window: "max", or "mean" over the window's full size, padding counted as zeros."""

    kind: str
    window: Window

    def shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """The result of a clip's."""
        return self.window.over(inputs[0], inputs[0][1])


@dataclass(frozen=True)
class Add(Record):
    """The sum of two values, then "relu" or nothing."""

    activation: str = ""

    def shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Unchanged."""
        if inputs[0] != inputs[1]:
            raise ModelError("A sum of two shapes.", found=f"{inputs[0]} and {inputs[1]}")
        return inputs[0]


@dataclass(frozen=True)
class Concat(Record):
    """Channels one after the other."""

    def shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """As many channels as all together."""
        axis = 1 if len(inputs[0]) == 4 else 0
        first = list(inputs[0])
        first[axis] = sum(shape[axis] for shape in inputs)
        return tuple(first)


@dataclass(frozen=True)
class Shift(Record):
    """The bi-directional temporal shift: C/8 channels from the next frame, the C/8 behind them from the last one."""

    def shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Unchanged."""
        return inputs[0]


@dataclass(frozen=True)
class Frames(Record):
    """Frames ``begin`` to ``end`` of a clip."""

    begin: int
    end: int

    def shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """So many frames."""
        return (self.end - self.begin, *inputs[0][1:])


@dataclass(frozen=True)
class SpaceMean(Record):
    """The mean over height and width: ``(T, C, H, W)`` to ``(T, C)``."""

    volume: bool = False

    def shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """One vector a frame."""
        return inputs[0][:2]


@dataclass(frozen=True)
class Mean(Record):
    """The mean over time and whatever space is left: to ``(C,)``."""

    volume: bool = False

    def shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """One vector."""
        return (inputs[0][1],)


@dataclass(frozen=True)
class Average(Record):
    """The mean of several vectors: what an ensemble says."""

    def shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Unchanged."""
        return inputs[0]


@dataclass(frozen=True)
class Total(Record):
    """The sum of several vectors."""

    def shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Unchanged."""
        return inputs[0]


@dataclass(frozen=True)
class Gather(Record):
    """The vectors of some frames as one, in their order: ``(T, C)`` to ``(len(frames) * C,)``."""

    frames: tuple[int, ...]

    def shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """One vector."""
        return (len(self.frames) * inputs[0][1],)


@dataclass(frozen=True)
class Linear(Record):
    """A fully connected layer with bias over the last axis, then "relu" or nothing."""

    key: str
    inputs: int
    outputs: int
    activation: str = ""

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return (self.inputs + 1) * self.outputs

    def shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """The same, with another last extent."""
        if inputs[0][-1] != self.inputs:
            raise ModelError(f"{self.key}: reads other channels.", found=inputs[0][-1], allowed=self.inputs)
        return (*inputs[0][:-1], self.outputs)

    def macs(self, inputs: tuple[Shape, ...]) -> int:
        """Multiply-accumulates."""
        return prod(inputs[0]) * self.outputs


@dataclass(frozen=True)
class Attend(Record):
    """softmax(theta · phiᵀ · scale) · g over the positions of volumes: what a non-local block does.

    Reads theta ``(T, C, H, W)``, phi and g of equal shape, perhaps of fewer positions.
    """

    scale: float = 1.0

    def shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """That of theta."""
        return inputs[0]

    def macs(self, inputs: tuple[Shape, ...]) -> int:
        """Both matrix products."""
        queries, keys = (prod(shape) // shape[1] for shape in inputs[:2])
        return 2 * queries * keys * inputs[0][1]


@dataclass(frozen=True)
class Recast(Record):
    """Frames as a volume, or back: the same numbers, seen by layers of the other kind."""

    volume: bool

    def shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Unchanged."""
        return inputs[0]


Operator = (
    Conv
    | Norm
    | LayerNorm
    | Boxes
    | RegionMax
    | OverlapMean
    | Pool
    | Add
    | Concat
    | Shift
    | Frames
    | SpaceMean
    | Mean
    | Average
    | Total
    | Gather
    | Linear
    | Attend
    | Recast
)
