"""One step of a fused graph in float32 with numpy that returns every value; calibration observes them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tsm_edge.errors import CompileError

from ..ir.graph import Graph, Node
from ..ir.ops import Alias, Conv, Copy, GlobalPool, MaxPool, Role
from .windows import convolve, windows

Floats = NDArray[np.float32]
KNOWN = (Conv, MaxPool, GlobalPool, Copy, Alias)


def check(graph: Graph) -> None:
    """CompileError naming a layer that has no 8-bit form."""
    for node in graph.nodes:
        wrong = node.operator or node.kind
        if isinstance(node.op, KNOWN):
            continue
        raise CompileError(
            f"Layer '{node.layer or node.output}' has no 8-bit form.",
            found=wrong,
            allowed="convolutions, max pools and a mean, with sums, clamps and shifts that fuse into them",
            hint="compile it with another --precision",
        )


def float_step(graph: Graph, frame: Floats, states: Mapping[str, Floats]) -> dict[str, Floats]:
    """Every value of a step. frame and states: logical NCHW with batch 1; values: [H, W, C] where they are images."""
    values: dict[str, Floats] = {graph.frame: image_of(frame)}
    values |= {name: image_of(state) for name, state in states.items()}
    for node in graph.nodes:
        evaluate(graph, node, values)
    return values


def after(graph: Graph, values: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    """The next states of a step as logical NCHW."""
    return {
        state: values[name].transpose(2, 0, 1)[None] if values[name].ndim == 3 else values[name]
        for state, name in graph.state_outputs.items()
    }


def image_of(array: Floats) -> Floats:
    """Logical NCHW with batch 1 as [H, W, C]; other shapes as they are."""
    return array[0].transpose(1, 2, 0) if array.ndim == 4 else array


def evaluate(graph: Graph, node: Node, values: dict[str, Floats]) -> None:
    """Compute one node."""
    op, x = node.op, values[node.inputs[0]]
    if isinstance(op, Conv):
        values[node.output] = convolution(node, op, x, values)
    elif isinstance(op, MaxPool):
        view = windows(x, op.kernel, op.stride, op.pad, -np.inf)
        values[node.output] = np.asarray(view.max((3, 4)), np.float32)
    elif isinstance(op, GlobalPool):
        values[node.output] = x.mean((0, 1), dtype=np.float32).reshape(graph.shape(node.output))
    elif isinstance(op, Copy):
        values[node.output] = x[..., : op.fold] if x.ndim == 3 else x
    else:
        values[node.output] = x.reshape(graph.shape(node.output))
    if isinstance(op, (Conv, MaxPool)) and op.fold_out:
        values[node.roles[Role.NEXT]] = values[node.output][..., : op.fold_out]


def convolution(node: Node, op: Conv, x: Floats, values: Mapping[str, Floats]) -> Floats:
    """A convolution with its shift and its epilogue."""
    weight, bias = node.weights
    flat = x.ndim != 3
    image = x.reshape(1, 1, -1) if flat else x
    if op.fold_in:
        image = np.concatenate([values[node.roles[Role.STATE]], image[..., op.fold_in :]], axis=2)
    result = convolve(image, weight, op.stride, op.pad, op.groups) + bias
    if op.residual:
        result = result + values[node.roles[Role.RESIDUAL]]
    result = np.clip(result, op.low, op.high) if op.clamped else result
    return np.asarray(result.reshape(1, -1) if flat else result, np.float32)
