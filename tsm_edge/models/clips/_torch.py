"""The torch network of a clip network's description.

``net(clip)`` takes [N, T, 3, H, W] and returns the logits [N, classes]; a network of regions also takes boxes,
``net(clip, boxes)``, [N, T', B, 4]. ``net.step`` takes what a bundle does, a clip or a stream's frame, and states. The
state_dict's keys are the description's; frames pass through 2-D layers as [N * T, C, H, W] and volumes through 3-D
ones as [N, C, T, H, W].
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._clip import shift_window
from .._net import put
from .._shift import OFFLINE, shift_frames
from . import _records as ops
from . import _regions as regions
from ._graph import Learnt, Network
from ._stream import Stream

if TYPE_CHECKING:
    import torch

EPSILON = 1e-5


def make_clip_net(network: Network, frames: int, stream: Stream | None = None) -> torch.nn.Module:
    """Build the network for clips of so many frames, in eval mode, with torch's own initial values.

    stream: where a step of one frame is cut.
    """
    import torch

    class ClipNet(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for layer in network.layers():
                _register(self, layer)

        def forward(self, clip: torch.Tensor, boxes: torch.Tensor | None = None) -> torch.Tensor:
            """[N, T, 3, H, W] -> logits [N, classes]."""
            shapes = network.shapes((frames, *clip.shape[2:]))
            values = [clip.flatten(0, 1)]
            for node, shape in zip(network.nodes, shapes[1:], strict=True):
                if isinstance(node.op, ops.Boxes):
                    values.append(clip.new_zeros((len(clip), *shape)) if boxes is None else boxes)
                    continue
                inputs = [values[index] for index in node.inputs]
                before = shapes[node.inputs[0]]
                values.append(_run(self, node.op, inputs, before, shape))
            return values[-1]

        def step(
            self, frame: torch.Tensor, states: tuple[torch.Tensor, ...]
        ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
            """A clip [T, 3, H, W], or a frame [1, 3, H, W] and the states -> logits [1, classes] and next states.

            The boxes of a clip are a state that stays as it is.
            """
            if stream is not None:
                return _streamed(self, network, stream, frame, states)
            return self(frame[None], *(boxes[None] for boxes in states)), states

    return ClipNet().eval()


def _streamed(
    net: torch.nn.Module, network: Network, stream: Stream, frame: torch.Tensor, states: tuple[torch.Tensor, ...]
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """A frame's own values, each kept one behind those of the frames before it, then the rest over all T frames."""
    import torch

    shapes = network.shapes((states[0].shape[0] + 1, *frame.shape[1:]))
    values: dict[int, torch.Tensor] = {0: frame}
    numbered = list(enumerate(network.nodes, start=1))
    for number, node in numbered:
        if number in stream.alone:
            before = (1, *shapes[node.inputs[0]][1:])
            values[number] = _run(net, node.op, [values[index] for index in node.inputs], before, shapes[number])
    after = []
    for value, state in zip(stream.kept, states, strict=True):
        values[value] = torch.cat([state, values[value]])
        after.append(values[value][1:])
    for number, node in numbered:
        if number not in stream.alone:
            inputs = [values[index] for index in node.inputs]
            values[number] = _run(net, node.op, inputs, shapes[node.inputs[0]], shapes[number])
    return values[len(network.nodes)], tuple(after)


def _register(net: torch.nn.Module, layer: Learnt) -> None:
    """The modules of a layer under its keys."""
    import torch

    if isinstance(layer, ops.Linear):
        put(net, layer.key, torch.nn.Linear(layer.inputs, layer.outputs))
        return
    if isinstance(layer, ops.LayerNorm):
        put(net, layer.key, torch.nn.LayerNorm(layer.channels, eps=EPSILON))
        return
    kind = torch.nn.BatchNorm3d if layer.volume else torch.nn.BatchNorm2d
    if isinstance(layer, ops.Norm):
        put(net, layer.key, kind(layer.channels, eps=EPSILON))
        return
    window = layer.window
    if layer.volume:
        conv: torch.nn.Module = torch.nn.Conv3d(
            layer.inputs, layer.outputs, window.kernel, window.stride, window.pad, bias=layer.bias
        )
    else:
        sides = (window.kernel[1:], window.stride[1:], window.pad[1:])
        conv = torch.nn.Conv2d(layer.inputs, layer.outputs, *sides, bias=layer.bias)
    put(net, layer.key, conv)
    if layer.norm:
        put(net, layer.norm, kind(layer.outputs, eps=EPSILON))


def _run(
    net: torch.nn.Module, op: ops.Operator, inputs: list[torch.Tensor], before: ops.Shape, after: ops.Shape
) -> torch.Tensor:
    """One operator. before: the shape of its first input for one clip; after: of its result."""
    import torch

    x = inputs[0]
    if isinstance(op, ops.Conv):
        x = net.get_submodule(op.key)(x)
        return _activated(net.get_submodule(op.norm)(x) if op.norm else x, op.activation)
    if isinstance(op, (ops.Norm, ops.Linear)):
        return _activated(net.get_submodule(op.key)(x), op.activation)
    if isinstance(op, ops.LayerNorm):
        normed: torch.Tensor = net.get_submodule(op.key)(x.permute(0, 2, 3, 4, 1))
        return normed.permute(0, 4, 1, 2, 3).relu()
    if isinstance(op, ops.RegionMax):
        return regions.region_max(x, inputs[1])
    if isinstance(op, ops.OverlapMean):
        return regions.overlap_mean(x, inputs[1], op.by)
    if isinstance(op, ops.Add):
        return _activated(inputs[0] + inputs[1], op.activation)
    if isinstance(op, ops.Concat):
        return torch.cat(inputs, 1)
    if isinstance(op, ops.Pool):
        return _pooled(x, op)
    if isinstance(op, ops.Attend):
        theta, phi, g = inputs
        return _attended(theta, phi, g, op.scale)
    if isinstance(op, (ops.Average, ops.Total)):
        share = 1 / len(inputs)
        parts = [value * share for value in inputs] if isinstance(op, ops.Average) else inputs
        total = parts[0]
        for other in parts[1:]:
            total = total + other
        return total
    return _moved(op, x, before, after)


def _moved(op: ops.Operator, x: torch.Tensor, before: ops.Shape, after: ops.Shape) -> torch.Tensor:
    """The operators over frames that learn nothing."""
    import torch

    frames = before[0]
    if isinstance(op, ops.Shift):
        return shift_window(x, OFFLINE) if x.shape[0] == frames else shift_frames(x, frames, OFFLINE)
    if isinstance(op, ops.Frames):
        if x.shape[0] == frames:  # a single clip
            return x[op.begin : op.end]
        return x.unflatten(0, (-1, frames))[:, op.begin : op.end].flatten(0, 1)
    if isinstance(op, ops.Recast):
        if op.volume:
            return x.unflatten(0, (-1, frames)).transpose(1, 2)
        return x.transpose(1, 2).flatten(0, 1)
    if isinstance(op, ops.SpaceMean):
        return x.mean((3, 4)).transpose(1, 2).flatten(0, 1) if op.volume else x.mean((2, 3))
    if isinstance(op, ops.Mean):
        if op.volume:
            return x.mean((2, 3, 4))
        return x.unflatten(0, (-1, frames)).mean(1)
    if isinstance(op, ops.Gather):
        if x.shape[0] == frames:  # a single clip
            return torch.cat([x[index : index + 1] for index in op.frames], 1)
        clips = x.unflatten(0, (-1, frames))
        return torch.cat([clips[:, index] for index in op.frames], 1)
    raise TypeError(f"no way to run {type(op).__name__} to {after}")


def _pooled(x: torch.Tensor, op: ops.Pool) -> torch.Tensor:
    import torch

    window, functional = op.window, torch.nn.functional
    if x.ndim == 5:
        three = functional.max_pool3d if op.kind == "max" else functional.avg_pool3d
        pooled: torch.Tensor = three(x, window.kernel, window.stride, window.pad, ceil_mode=window.ceil)
        return pooled
    sides = (window.kernel[1:], window.stride[1:], window.pad[1:])
    if op.kind == "max":
        return functional.max_pool2d(x, *sides, ceil_mode=window.ceil)
    return functional.avg_pool2d(x, *sides, ceil_mode=window.ceil)


def _attended(theta: torch.Tensor, phi: torch.Tensor, g: torch.Tensor, scale: float) -> torch.Tensor:
    """softmax(theta^T phi * scale) g of volumes [N, C, T, H, W]."""
    queries = theta.flatten(2).transpose(1, 2)
    keys, contents = phi.flatten(2), g.flatten(2).transpose(1, 2)
    scores = queries @ keys
    weights = (scores * scale if scale != 1.0 else scores).softmax(-1)
    return (weights @ contents).transpose(1, 2).unflatten(2, theta.shape[2:])


def _activated(x: torch.Tensor, activation: str) -> torch.Tensor:
    return x.relu() if activation == "relu" else x
