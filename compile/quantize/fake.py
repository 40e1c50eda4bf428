"""A fused graph over whole clips in PyTorch, rounded as the 8-bit kernels round: what `train --quantize` trains.

Weights come from the network that is trained, with its batch norms folded, and take gradients; every value that the
kernels store in a byte is rounded to its scale by torch's own fake quantisation, whose gradient passes through the
rounding and stops beyond the range. Frames run together: a state is the first channels of the frame before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from tsm_edge.errors import CompileError

from ..ir.graph import Graph, Node
from ..ir.ops import RESIDUAL_BITS, Conv, Copy, GlobalPool, MaxPool, Role
from .equalise import depthwise
from .float_step import Floats, image_of
from .scheme import QuantisedGraph

if TYPE_CHECKING:
    from torch import Tensor

#: the weight and the bias of a layer by its name, with its batch norm folded
Folded = Callable[[str], "tuple[Tensor, Tensor]"]


def check(graph: Graph) -> None:
    """CompileError for a state that is not the frame before: such a stream cannot be trained as a clip."""
    for node in graph.nodes:
        if Role.STATE not in node.roles:
            continue
        held = graph.state_outputs[node.roles[Role.STATE]]
        if held != graph.frame and not any(held in each.outputs and sliced(each, node) for each in graph.nodes):
            raise CompileError(
                f"Layer '{node.layer}' joins a state that is no slice of what it reads.",
                found=held,
                allowed="an online network, whose states are channels of the last frame",
                hint="compile it with --calibrate DATA",
            )


def sliced(writer: Node, reader: Node) -> bool:
    """Whether the state that `writer` writes is a slice of what `reader` reads."""
    source = writer.inputs[0] if isinstance(writer.op, Copy) else writer.output
    return source == reader.inputs[0]


class FakeQuantised:
    """The network that a quantised graph is, over clips; without one, what the graph is in float32.

    factors: those of equalised channels, as the ranges have them. scales: step and zero of every value in 8 bits.
    """

    def __init__(
        self, graph: Graph, network: QuantisedGraph | None, factors: Mapping[str, Tensor], folded: Folded
    ) -> None:
        self.graph, self.factors, self.folded = graph, factors, folded
        self.scales: dict[str, tuple[float, int]] = {}
        self.shares: dict[str, int] = {}
        if network is not None:
            stored = {name: scale for name, scale in network.scales.items() if name not in network.floats}
            self.scales = {name: (scale.step, scale.zero) for name, scale in stored.items()}
            self.shares = {name: layer.share for name, layer in network.layers.items()}

    def scores(self, clips: Tensor, warm: bool = False) -> Tensor:
        """[N, T, 3, H, W] -> scores [N, T, classes]. warm: states begin as if the first frame had been seen always."""
        return self.values(clips, warm)[self.graph.output].unflatten(0, (-1, clips.shape[1])).flatten(2)

    def values(self, clips: Tensor, warm: bool = False) -> dict[str, Tensor]:
        """Every value of clips [N, T, 3, H, W], [N * T, ...] each."""
        graph, frames = self.graph, clips.shape[1]
        values: dict[str, Tensor] = {graph.frame: self.rounded(graph.frame, clips.flatten(0, 1))}
        for node in graph.nodes:
            values[node.output] = self.rounded(node.output, self.value(node, values, frames, warm))
        return values

    def frames(self, clip: Tensor) -> Iterator[dict[str, Floats]]:
        """Every value of each frame of a clip [T, 3, H, W], as `float_step` has them."""
        import torch

        with torch.no_grad():
            values = {name: value.numpy() for name, value in self.values(clip[None]).items()}
        for frame in range(len(clip)):
            yield {name: image_of(value[frame : frame + 1]) for name, value in values.items()}

    def rounded(self, name: str, value: Tensor) -> Tensor:
        """A value as its byte holds it."""
        import torch

        if name not in self.scales:
            return value
        step, zero = self.scales[name]
        return torch.fake_quantize_per_tensor_affine(value, step, zero, -128, 127)

    def value(self, node: Node, values: Mapping[str, Tensor], frames: int, warm: bool) -> Tensor:
        """What a node computes, not rounded."""
        import torch

        op, x = node.op, values[node.inputs[0]]
        if isinstance(op, Conv):
            return self.convolution(node, op, values, frames, warm)
        if isinstance(op, MaxPool):
            top, left, bottom, right = op.pad
            padded = torch.nn.functional.pad(x, [left, right, top, bottom], value=-torch.inf)
            return torch.nn.functional.max_pool2d(padded, op.kernel, op.stride)
        if isinstance(op, GlobalPool):
            return x.mean((2, 3))
        return x[:, : op.fold] if isinstance(op, Copy) else x.flatten(1)

    def convolution(self, node: Node, op: Conv, values: Mapping[str, Tensor], frames: int, warm: bool) -> Tensor:
        """A convolution with its shift and its epilogue."""
        import torch

        x = values[node.inputs[0]]
        flat = x.ndim == 2
        image = x[:, :, None, None] if flat else x
        if op.fold_in:
            image = torch.cat([before(image[:, : op.fold_in], frames, warm), image[:, op.fold_in :]], 1)
        top, left, bottom, right = op.pad
        if (top, left) == (bottom, right):
            pad = (top, left)
        else:
            image, pad = torch.nn.functional.pad(image, [left, right, top, bottom]), (0, 0)
        weight, bias = self.weights(node)
        result = torch.nn.functional.conv2d(image, weight, bias, op.stride, pad, groups=op.groups)
        if op.residual:
            result = result + self.residual(node, values)
        result = result.clamp(op.low, op.high) if op.clamped else result
        return result.flatten(1) if flat else result

    def residual(self, node: Node, values: Mapping[str, Tensor]) -> Tensor:
        """The other operand of a layer's sum, by the multiplier that the kernel has for it."""
        name = node.roles[Role.RESIDUAL]
        if node.output not in self.shares:
            return values[name]
        share = self.shares[node.output] * self.scales[node.output][0] / 2**RESIDUAL_BITS
        return values[name] * (share / self.scales[name][0])

    def weights(self, node: Node) -> tuple[Tensor, Tensor]:
        """Weight and bias of a layer, equalised, the weight rounded to one scale a channel."""
        import torch

        weight, bias = self.folded(node.layer)
        weight = weight.reshape(len(weight), -1, 1, 1) if weight.ndim == 2 else weight
        x, y = self.factors.get(node.inputs[0]), self.factors.get(node.output)
        if x is not None:
            weight = weight / (x[:, None, None, None] if depthwise(node) else x[None, :, None, None])
        if y is not None:
            weight, bias = weight * y[:, None, None, None], bias * y
        if node.output in self.shares:
            steps = (weight.detach().abs().amax((1, 2, 3)) / 127).clamp(min=torch.finfo(weight.dtype).tiny)
            zeros = torch.zeros_like(steps, dtype=torch.int32)
            weight = torch.fake_quantize_per_channel_affine(weight, steps, zeros, 0, -127, 127)
        return weight, bias


def before(x: Tensor, frames: int, warm: bool) -> Tensor:
    """[N * T, C, H, W] of the frame before; of the first one zeros, or itself."""
    import torch

    clips = x.unflatten(0, (-1, frames))
    first = clips[:, :1] if warm else torch.zeros_like(clips[:, :1])
    return torch.cat([first, clips[:, :-1]], 1).flatten(0, 1)
