"""What half precision would do to a network, tried with PyTorch before anything is compiled: the gate of the default.

A fused graph runs over a sequence of seeded pictures twice, in float32 and as the kernels of a processor compute in
half precision: every stored number rounded, every sum rounded after each product.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..ir.dtype import FLOAT16
from ..ir.graph import Graph, Node
from ..ir.ops import Alias, Conv, Copy, GlobalPool, Join, MaxPool, Role
from ..kernels.cpu.tiling import LONGEST_SUM
from ..passes import storage

if TYPE_CHECKING:
    from torch import Tensor

#: frames of the sequence: so many as take at most MACS multiply-adds in all
FRAMES, LEAST, MACS = 16, 2, 5e9
#: the largest difference of the scores that is allowed, relative to the largest of them; half of what `verify` allows
WITHIN = 0.02
LARGEST = 65504.0  # the end of half precision
KNOWN = (Conv, MaxPool, GlobalPool, Copy, Join, Alias)


@dataclass(frozen=True)
class Trial:
    """The outcome. difference: the largest of the scores, relative to the largest score; refused: why there is none."""

    frames: int = 0
    difference: float = 0.0
    refused: str = ""

    @property
    def reason(self) -> str:
        """Why half precision is taken, or why it is not."""
        if self.refused:
            return self.refused
        figure = f"{100 * self.difference:.1g} % largest difference over {self.frames} frames"
        if not self.passed:
            return f"half precision costs too much: {figure}, {100 * WITHIN:g} % allowed"
        return f"the cores compute in half; {figure}"

    @property
    def passed(self) -> bool:
        """Whether the network may be compiled in half precision without being asked."""
        return not self.refused and self.difference <= WITHIN


def attempt(graph: Graph, seed: int = 0) -> Trial:
    """Try a fused graph, with values in float32 as the passes leave it."""
    import torch

    unknown = next((node for node in graph.nodes if not is_known(node)), None)
    if graph.clip or unknown is not None:
        what = "clips" if unknown is None else f"{unknown.layer or unknown.output} ({unknown.operator or unknown.kind})"
        return Trial(refused=f"what half precision costs is not tried of {what}")
    macs = sum(node.op.macs for node in graph.nodes if isinstance(node.op, Conv))
    frames = max(LEAST, min(FRAMES, int(MACS // max(macs, 1))))
    exact, rounded = Steps(graph, half=False), Steps(graph, half=True)
    scores: list[tuple[Tensor, Tensor]] = []
    with torch.inference_mode():
        for frame in pictures(graph.shape(graph.frame), frames, seed):
            scores.append((exact.step(torch.from_numpy(frame)), rounded.step(torch.from_numpy(frame))))
            if rounded.infinite:
                return Trial(refused=f"sums of {rounded.infinite} are beyond {LARGEST:g}, where half precision ends")
    one, other = (torch.stack(each) for each in zip(*scores, strict=True))
    difference = float((one - other).abs().max() / one.abs().max().clamp(min=1e-30))
    if not math.isfinite(difference):
        return Trial(refused="the scores of the trial are not finite")
    return Trial(frames, difference)


def is_known(node: Node) -> bool:
    """Whether the trial computes an operator: those of the zoo's networks, which all have schedules."""
    op = node.op
    return isinstance(op, KNOWN) and (not isinstance(op, Conv) or op.groups == 1 or op.depthwise)


def pictures(shape: tuple[int, ...], count: int, seed: int) -> Iterator[np.ndarray]:
    """Inputs of a step: smooth pictures that move, with noise; standard normal where it takes none."""
    rng = np.random.default_rng(seed)
    if len(shape) != 4:
        for _ in range(count):
            yield rng.standard_normal(shape).astype(np.float32)
        return
    coarse = rng.standard_normal((*shape[:2], -(-shape[2] // 8), -(-shape[3] // 8))).astype(np.float32)
    smooth = np.kron(coarse, np.ones((8, 8), np.float32))[..., : shape[2], : shape[3]]
    for index in range(count):
        noise = rng.standard_normal(shape).astype(np.float32)
        yield np.roll(smooth, (index, 2 * index), (2, 3)) + np.float32(0.25) * noise


class Steps:
    """A graph over a sequence, in float32 or in half precision; states are kept from step to step.

    plain: values that are float32 all the same. infinite: the first layer with a sum that half precision cannot hold.
    """

    def __init__(self, graph: Graph, half: bool) -> None:
        import torch

        self.graph, self.half, self.infinite = graph, half, ""
        means = [node.output for node in graph.nodes if isinstance(node.op, GlobalPool)]
        self.plain = storage.outside(graph, means)
        self.states: dict[str, Tensor] = {name: torch.zeros(graph.shape(name)) for name in graph.states}
        self.weights = {
            node.output: tuple(self.stored(torch.from_numpy(np.ascontiguousarray(each))) for each in node.weights)
            for node in graph.nodes
        }

    def stored(self, value: Tensor) -> Tensor:
        """A tensor as it is stored."""
        import torch

        return value.to(torch.float16).float() if self.half else value.float()

    def step(self, frame: Tensor) -> Tensor:
        """The scores of the next frame, [classes]."""
        graph = self.graph
        values: dict[str, Tensor] = {graph.frame: self.stored(frame), **self.states}
        for node in graph.nodes:
            made = self.value(node, values)
            values[node.output] = made if node.output in self.plain else self.stored(made)
            if isinstance(node.op, (Conv, MaxPool)) and node.op.fold_out:
                values[node.roles[Role.NEXT]] = values[node.output][:, : node.op.fold_out]
        self.states = {name: values[value] for name, value in graph.state_outputs.items()}
        return values[graph.output].reshape(-1)

    def value(self, node: Node, values: Mapping[str, Tensor]) -> Tensor:
        """What a node computes, not rounded."""
        import torch

        op, x = node.op, values[node.inputs[0]]
        if isinstance(op, Conv):
            return self.convolution(node, op, x, values)
        if isinstance(op, MaxPool):
            padded = torch.nn.functional.pad(x, sides(op.pad), value=-math.inf)
            return torch.nn.functional.max_pool2d(padded, op.kernel, op.stride)
        if isinstance(op, GlobalPool):
            return x.mean((2, 3)).reshape(self.graph.shape(node.output))
        if isinstance(op, Join):
            parts = [x[:, op.begin : op.begin + op.count]]
            if op.r_count:
                parts.append(values[node.roles[Role.RESIDUAL]][:, op.r_begin : op.r_begin + op.r_count])
            return torch.cat(parts, 1)
        return x[:, : op.fold] if isinstance(op, Copy) else x.reshape(self.graph.shape(node.output))

    def convolution(self, node: Node, op: Conv, x: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """A convolution with its shift and its epilogue."""
        import torch

        weight, bias = self.weights[node.output]
        image = x if x.ndim == 4 else x.reshape(1, -1, 1, 1)
        if op.fold_in:
            image = torch.cat([values[node.roles[Role.STATE]], image[:, op.fold_in :]], 1)
        image = torch.nn.functional.pad(image, sides(op.pad))
        if not self.half or {node.inputs[0], node.output} <= self.plain:
            result = torch.nn.functional.conv2d(image, weight, bias, op.stride, groups=op.groups)
        else:
            sums = depthwise_sums if op.depthwise else dense_sums
            result = sums(image, weight, op) + bias[:, None, None]
        if op.residual:
            result = result + values[node.roles[Role.RESIDUAL]]
        if self.half and not self.infinite and not bool((result.abs() <= LARGEST).all()):
            self.infinite = node.layer or node.output
        result = result.clamp(op.low, op.high) if op.clamped else result
        return result if x.ndim == 4 else result.reshape(1, -1)


def sides(pad: tuple[int, int, int, int]) -> list[int]:
    """Top, left, bottom, right in PyTorch's order."""
    top, left, bottom, right = pad
    return [left, right, top, bottom]


def dense_sums(image: Tensor, weight: Tensor, op: Conv) -> Tensor:
    """A dense convolution by sums in half precision; a long one is the sum of its parts."""
    import torch

    columns = torch.nn.functional.unfold(image, op.kernel, stride=op.stride)[0]
    rows = weight.reshape(len(weight), -1)
    steps, part = len(columns), LONGEST_SUM[FLOAT16]
    part = part if steps > 2 * part else steps
    total = torch.zeros(len(weight), columns.shape[1], dtype=torch.float16)
    for begin in range(0, steps, part):
        partial = torch.zeros_like(total)
        for step in range(begin, min(begin + part, steps)):
            partial += (rows[:, step, None] * columns[step]).to(torch.float16)
        total += partial
    return total.float().reshape(1, len(weight), op.out_height, op.out_width)


def depthwise_sums(image: Tensor, weight: Tensor, op: Conv) -> Tensor:
    """A depthwise convolution in the same way."""
    import torch

    down, right = op.stride
    total = torch.zeros(1, op.out_channels, op.out_height, op.out_width, dtype=torch.float16)
    for y, x in np.ndindex(op.kernel):
        rows = slice(y, y + down * (op.out_height - 1) + 1, down)
        columns = slice(x, x + right * (op.out_width - 1) + 1, right)
        total += (image[:, :, rows, columns] * weight[:, 0, y, x, None, None]).to(torch.float16)
    return total.float()
