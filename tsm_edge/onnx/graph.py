"""The nodes and constants of a model's ONNX graph, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..models import ONLINE, Model
from ..models.clips import ClipModel
from ..models.description import Block, Conv, FramePool, Head, Pool


class GraphWriter:
    """Turns layers into nodes and constants; a value is named after the node that makes it."""

    def __init__(self, weights: Mapping[str, np.ndarray], states: list[str]) -> None:
        self.weights = weights
        self.states = states
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.kind = ONLINE
        self.frames = 0  # of a clip
        self.side = 0  # of what a layer reads

    def write(self, model: Model | ClipModel) -> None:
        """Write all layers of a model."""
        assert isinstance(model, Model)
        self.kind = model.shift
        self.frames = model.window.frames if model.window else 0
        value = "frame"
        side, channels = model.size, 3
        for layer in model.layers:
            self.side = side
            if isinstance(layer, Conv):
                value = self.conv(layer, value)
            elif isinstance(layer, Pool):
                value = self.node(
                    "MaxPool", "pool", value, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]
                )
            elif isinstance(layer, FramePool):
                value = self.pool_frames(layer, value, channels, side)
            elif isinstance(layer, Block):
                value = self.block(layer, value)
            elif isinstance(layer, Head):
                self.head(layer, value)
                break
            side = layer.side(side)
            channels = layer.outputs if isinstance(layer, (Conv, Block)) else channels

    def node(
        self, kind: str, name: str, *inputs: str, outputs: tuple[str, ...] = (), **attributes: Any
    ) -> str:
        """Add a node and return its (first) output."""
        from onnx import helper

        outputs = outputs or (name,)
        self.nodes.append(helper.make_node(kind, list(inputs), list(outputs), name=name, **attributes))
        return outputs[0]

    def constant(self, name: str, array: np.ndarray) -> str:
        """Add a constant and return its name."""
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def block(self, block: Block, value: str) -> str:
        """The shift, the chain, the sum."""
        inside = value
        if block.shifted and self.frames:
            inside = self.shift_clip(block, value)
            value = inside if self.kind.place == "inplace" else value
        elif block.shifted and self.kind.online:
            inside = self.shift(block, value)
        elif block.shifted:
            value, inside = self.delayed(block, value)
        for conv in block.chain:
            inside = self.conv(conv, inside)
        if block.residual:
            passed = self.conv(block.projection, value) if block.projection else value
            inside = self.node("Add", f"{block.name}.add", inside, passed)
        return self.activation(block.activation, block.name, inside)

    def shift(self, block: Block, value: str) -> str:
        """The first channels come from the state; what they were in this frame is the next state."""
        state = self.states.pop(0)
        sizes = np.array([block.fold, block.inputs - block.fold], np.int64)
        outputs = (f"{state}_out", f"{block.name}.rest")
        cuts = self.constant(f"{block.name}.sizes", sizes)
        self.node("Split", f"{block.name}.split", value, cuts, outputs=outputs, axis=1)
        return self.node("Concat", f"{block.name}.shift", state, outputs[1], axis=1)

    def shift_clip(self, block: Block, value: str) -> str:
        """What the chain of a block reads in a clip: its neighbours' channels beside its own."""
        future, past = self.kind.folds(block.inputs)
        parts = [self.moved(f"{block.name}.future", value, (0, future), 1)] if future else []
        if past:
            parts.append(self.moved(f"{block.name}.past", value, (future, future + past), -1))
        if not parts:
            return value
        if future + past < block.inputs:
            parts.append(self.channels(f"{block.name}.rest", value, future + past, block.inputs))
        return self.node("Concat", f"{block.name}.shift", *parts, axis=1)

    def moved(self, name: str, value: str, channels: tuple[int, int], by: int) -> str:
        """Channels of a clip, each frame's from the next one (by 1) or from the one before (by -1)."""
        own = self.channels(name, value, *channels)
        last = self.frames - 1
        kept = self.cut(f"{name}.kept", own, 0, *((1, last + 1) if by > 0 else (0, last)))
        end = last if by > 0 else 0
        at = last - end if self.kind.padding == "circulant" else end
        if self.kind.padding == "zero":
            shape = (1, channels[1] - channels[0], self.side, self.side)
            edge = self.constant(f"{name}.edge", np.zeros(shape, np.float32))
        else:
            edge = self.cut(f"{name}.edge", own, 0, at, at + 1)
        return self.node("Concat", f"{name}.moved", *((kept, edge) if by > 0 else (edge, kept)), axis=0)

    def pool_frames(self, layer: FramePool, value: str, channels: int, side: int) -> str:
        """A maximum over rows that are the frames of a clip."""
        rows = self.constant("frames.rows", np.array([1, 1, self.frames, -1], np.int64))
        x = self.node("Reshape", "frames.as_rows", value, rows)
        x = self.node("MaxPool", "frames.pool", x, kernel_shape=[3, 1], strides=[2, 1], pads=[1, 0, 1, 0])
        self.frames = layer.frames(self.frames)
        shape = self.constant("frames.shape", np.array([self.frames, channels, side, side], np.int64))
        return self.node("Reshape", "frames.as_clip", x, shape)

    def delayed(self, block: Block, value: str) -> tuple[str, str]:
        """What the sum and what the chain of a block reads in a lagged stream; see :mod:`tsm_edge.models`."""
        future, past = self.kind.folds(block.inputs)
        here, parts = value, []
        if future:
            here = self.kept(value)
            parts.append(self.channels(f"{block.name}.future", value, 0, future))
        if past:
            parts.append(self.kept(self.channels(f"{block.name}.present", here, future, future + past)))
        if not parts:
            return here, here
        parts.append(self.channels(f"{block.name}.rest", here, future + past, block.inputs))
        shifted = self.node("Concat", f"{block.name}.shift", *parts, axis=1)
        return (shifted if self.kind.place == "inplace" else here), shifted

    def kept(self, value: str) -> str:
        """Keep a value for the next frame; return what was kept of the last one."""
        state = self.states.pop(0)
        self.node("Identity", f"{state}_out", value)
        return state

    def channels(self, name: str, value: str, begin: int, end: int) -> str:
        """The channels [begin, end) of a value."""
        return self.cut(name, value, 1, begin, end)

    def cut(self, name: str, value: str, axis: int, begin: int, end: int) -> str:
        """Elements [begin, end) along an axis."""
        bounds = (("begin", begin), ("end", end), ("axis", axis))
        cuts = [self.constant(f"{name}.{part}", np.array([at], np.int64)) for part, at in bounds]
        return self.node("Slice", name, value, *cuts)

    def conv(self, conv: Conv, value: str) -> str:
        """A convolution with its batch norm folded in, and its activation."""
        weight, bias = folded(conv, self.weights)
        inputs = (self.constant(f"{conv.weight}.weight", weight), self.constant(f"{conv.weight}.bias", bias))
        value = self.node(
            "Conv",
            conv.weight,
            value,
            *inputs,
            kernel_shape=[conv.kernel] * 2,
            strides=[conv.stride] * 2,
            pads=[conv.kernel // 2] * 4,
            group=conv.groups,
        )
        return self.activation(conv.activation, conv.weight, value)

    def activation(self, kind: str, name: str, value: str) -> str:
        """Relu, or relu6 as Clip with one pair of limits for all."""
        if kind == "relu6":
            if not any(constant.name == "six" for constant in self.constants):
                self.constant("zero", np.float32(0))
                self.constant("six", np.float32(6))
            return self.node("Clip", f"{name}.relu6", value, "zero", "six")
        return self.node("Relu", f"{name}.relu", value) if kind else value

    def head(self, layer: Head, value: str) -> None:
        """Mean over space, then the classifier."""
        axes = self.constant("mean.axes", np.array([2, 3], np.int64))
        pooled = self.node("ReduceMean", "mean", value, axes, keepdims=0)
        if self.frames:
            over = self.constant("frames.axes", np.array([0], np.int64))
            pooled = self.node("ReduceMean", "frames.mean", pooled, over, keepdims=1)
        names = [
            self.constant(key, self.weights[key]) for key in (f"{layer.name}.weight", f"{layer.name}.bias")
        ]
        self.node("Gemm", layer.name, pooled, *names, outputs=("logits",), transB=1)


def folded(conv: Conv, weights: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return weight [O, I / groups, k, k] and bias [O], float32, of a convolution with its batch norm."""
    scale, shift, mean, var = (
        weights[f"{conv.norm}.{part}"].astype(np.float64)
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    factor = scale / np.sqrt(var + conv.epsilon)
    weight = weights[f"{conv.weight}.weight"] * factor[:, None, None, None]
    return weight.astype(np.float32), (shift - mean * factor).astype(np.float32)
