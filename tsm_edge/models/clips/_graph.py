"""A clip network's description: operators over numbered values, and what follows from them. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..description import Block, Head, Layer
from ..description import Conv as Conv2d
from ..description import Pool as MaxPool2d
from ._records import (
    Add,
    Attend,
    Average,
    Boxes,
    Concat,
    Conv,
    Frames,
    Gather,
    LayerNorm,
    Linear,
    Mean,
    Norm,
    Operator,
    OverlapMean,
    Pool,
    Recast,
    RegionMax,
    Shape,
    Shift,
    SpaceMean,
    Total,
    Triple,
    Window,
)

Learnt = Conv | Norm | LayerNorm | Linear


@dataclass(frozen=True)
class Node:
    """An operator and the numbers of the values that it reads; its own value has its place in the list + 1."""

    op: Operator
    inputs: tuple[int, ...]


@dataclass(frozen=True)
class Network:
    """Nodes in the order in which they run. Value 0 is the clip; the last value is the logits ``(classes,)``."""

    nodes: tuple[Node, ...]

    def shapes(self, clip: Shape) -> list[Shape]:
        """The shape of every value for a clip of ``(T, 3, H, W)``."""
        found = [clip]
        for node in self.nodes:
            found.append(node.op.shape(tuple(found[index] for index in node.inputs)))
        return found

    def macs(self, clip: Shape) -> int:
        """Multiply-accumulates for one clip."""
        shapes = self.shapes(clip)
        return sum(node.op.macs(tuple(shapes[index] for index in node.inputs)) for node in self.nodes)

    @property
    def parameters(self) -> int:
        """Learnt numbers; a layer that is used several times counts once."""
        return sum(op.parameters for op in self.layers())

    @property
    def boxes(self) -> Boxes | None:
        """The boxes that it takes besides the clip."""
        return next((node.op for node in self.nodes if isinstance(node.op, Boxes)), None)

    def layers(self) -> list[Learnt]:
        """The operators with learnt numbers, each once."""
        found: dict[str, Learnt] = {}
        for node in self.nodes:
            if isinstance(node.op, Learnt):
                found.setdefault(node.op.key, node.op)
        return list(found.values())

    @property
    def parameters_by_call(self) -> int:
        """Learnt numbers, counted as often as they are used: what a hook on each call adds up."""
        return sum(node.op.parameters for node in self.nodes)


@dataclass
class Builder:
    """Writes a :class:`Network` down; every method returns the number of its value."""

    prefix: str = ""  # of the keys: an ensemble has several networks
    nodes: list[Node] = field(default_factory=list)

    def put(self, op: Operator, *inputs: int) -> int:
        """Append an operator."""
        self.nodes.append(Node(op, inputs))
        return len(self.nodes)

    def conv(
        self,
        x: int,
        key: str,
        channels: tuple[int, int],
        kernel: Triple,
        stride: Triple = (1, 1, 1),
        pad: Triple | None = None,
        *,
        norm: str = "",
        bias: bool = False,
        activation: str = "",
        volume: bool = False,
    ) -> int:
        """A convolution; padded by half its kernel where no padding is given."""
        window = Window(kernel, stride, pad or (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2))
        name, behind = self.prefix + key, self.prefix + norm if norm else ""
        return self.put(Conv(name, *channels, window, behind, bias, activation, volume), x)

    def norm(self, x: int, key: str, channels: int) -> int:
        """A batch norm and a ReLU behind a sum of volumes."""
        return self.put(Norm(self.prefix + key, channels, "relu"), x)

    def layer_norm(self, x: int, key: str, channels: int) -> int:
        """A layer norm over channels, then a ReLU."""
        return self.put(LayerNorm(self.prefix + key, channels), x)

    def boxes(self, frames: int, count: int) -> int:
        """The second input."""
        return self.put(Boxes(frames, count))

    def region_max(self, x: int, boxes: int) -> int:
        """The features of boxes."""
        return self.put(RegionMax(), x, boxes)

    def overlap_mean(self, x: int, boxes: int, by: int) -> int:
        """The mean of the regions that each one overlaps in a neighbouring frame."""
        return self.put(OverlapMean(by), x, boxes)

    def pool(
        self,
        x: int,
        kind: str,
        kernel: Triple,
        stride: Triple = (1, 1, 1),
        pad: Triple = (0, 0, 0),
        *,
        ceil: bool = False,
    ) -> int:
        """A pooling window."""
        return self.put(Pool(kind, Window(kernel, stride, pad, ceil)), x)

    def add(self, x: int, other: int, activation: str = "") -> int:
        """A sum."""
        return self.put(Add(activation), x, other)

    def concat(self, *values: int) -> int:
        """Channels one after the other."""
        return self.put(Concat(), *values)

    def frames(self, x: int, begin: int, end: int) -> int:
        """Some of a clip's frames."""
        return self.put(Frames(begin, end), x)

    def shift(self, x: int) -> int:
        """The temporal shift."""
        return self.put(Shift(), x)

    def recast(self, x: int, *, volume: bool) -> int:
        """Frames as a volume, or back."""
        return self.put(Recast(volume), x)

    def space_mean(self, x: int, *, volume: bool = False) -> int:
        """One vector a frame."""
        return self.put(SpaceMean(volume), x)

    def mean(self, x: int, *, volume: bool = False) -> int:
        """One vector a clip."""
        return self.put(Mean(volume), x)

    def linear(self, x: int, key: str, channels: tuple[int, int], activation: str = "") -> int:
        """A fully connected layer."""
        return self.put(Linear(self.prefix + key, *channels, activation), x)

    def gather(self, x: int, frames: Sequence[int]) -> int:
        """The vectors of some frames as one."""
        return self.put(Gather(tuple(frames)), x)

    def attend(self, theta: int, phi: int, g: int, scale: float = 1.0) -> int:
        """A non-local block's matrix products."""
        return self.put(Attend(scale), theta, phi, g)

    def average(self, *values: int) -> int:
        """The mean of an ensemble's scores."""
        return self.put(Average(), *values)

    def total(self, *values: int) -> int:
        """The sum of several scores."""
        return self.put(Total(), *values)

    def frame_layers(self, x: int, layers: Sequence[Layer]) -> int:
        """Layers of a per-frame network without its head; a shift in them is left out."""
        for layer in layers:
            if isinstance(layer, Conv2d):
                x = self._conv2d(x, layer)
            elif isinstance(layer, MaxPool2d):
                x = self.pool(x, "max", (1, 3, 3), (1, 2, 2), (0, 1, 1))
            elif isinstance(layer, Block):
                y = x
                for conv in layer.chain:
                    y = self._conv2d(y, conv)
                x = self.add(
                    y, self._conv2d(x, layer.projection) if layer.projection else x, layer.activation
                )
            elif isinstance(layer, Head):
                break
        return x

    def _conv2d(self, x: int, conv: Conv2d) -> int:
        side, step = conv.kernel, conv.stride
        channels = (conv.inputs, conv.outputs)
        return self.conv(
            x,
            conv.weight,
            channels,
            (1, side, side),
            (1, step, step),
            norm=conv.norm,
            activation=conv.activation,
        )

    def network(self) -> Network:
        """What was written."""
        return Network(tuple(self.nodes))
