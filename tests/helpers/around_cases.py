"""Operators where real networks have them: between two convolutions, with a shift, a pool and a classifier behind.

Here it shows which ones vanish into a neighbour's kernel; alone, as in the node cases, they have no neighbour.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from foreign_lab import Step
from onnx import TensorProto, helper, numpy_helper

node = helper.make_node

RNG = np.random.default_rng(7)
CHANNELS, HEIGHT, WIDTH = 16, 10, 12


def array(*values: Any, dtype: Any = np.float32) -> np.ndarray:
    return np.array(values if len(values) > 1 else values[0], dtype)


def noise(*shape: int, scale: float = 0.3) -> np.ndarray:
    return (RNG.standard_normal(shape) * scale).astype(np.float32)


def unary(operator: str, **attributes: Any) -> Callable[[], Any]:
    return lambda: ([node(operator, ["a"], ["b"], **attributes)], {})


def conv(kernel: int, group: int = 1, stride: int = 1, dilation: int = 1) -> Callable[[], Any]:
    def make() -> Any:
        pad = dilation * (kernel // 2)
        made = node(
            "Conv", ["a", "cw", "cb"], ["b"], kernel_shape=[kernel] * 2, pads=[pad] * 4, group=group,
            strides=[stride] * 2, dilations=[dilation] * 2,
        )  # fmt: skip
        return [made], {"cw": noise(CHANNELS, CHANNELS // group, kernel, kernel), "cb": noise(CHANNELS)}

    return make


def pool(operator: str, kernel: int, stride: int, pad: int, **attributes: Any) -> Callable[[], Any]:
    sizes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4}
    return lambda: ([node(operator, ["a"], ["b"], **sizes, **attributes)], {})


def binary(operator: str, other: np.ndarray | None, scale: float = 1.0) -> Callable[[], Any]:
    """With a constant, or with the value before the last convolution."""
    if other is None:
        return lambda: ([node(operator, ["a", "x"], ["b"])], {})
    return lambda: ([node(operator, ["a", "other"], ["b"])], {"other": other})


def batch_norm() -> Any:
    names = ["scale", "bias", "mean", "var"]
    values = [noise(CHANNELS) + 1, noise(CHANNELS), noise(CHANNELS), np.abs(noise(CHANNELS)) + 1]
    return [node("BatchNormalization", ["a", *names], ["b"])], dict(zip(names, values))


def squeeze_excite() -> Any:
    nodes = [
        node("GlobalAveragePool", ["a"], ["g"]),
        node("Conv", ["g", "se"], ["s"]),
        node("Sigmoid", ["s"], ["t"]),
        node("Mul", ["a", "t"], ["b"]),
    ]
    return nodes, {"se": noise(CHANNELS, CHANNELS, 1, 1)}


def silu() -> Any:
    return [node("Sigmoid", ["a"], ["s"]), node("Mul", ["a", "s"], ["b"])], {}


def relu6() -> Any:
    return [node("Clip", ["a", "low", "high"], ["b"])], {"low": array(0.0), "high": array(6.0)}


def relu6_by_max_and_min() -> Any:
    nodes = [node("Max", ["a", "zero"], ["m"]), node("Min", ["m", "six"], ["b"])]
    return nodes, {"zero": array(0.0), "six": array(6.0)}


def shuffle() -> Any:
    """Channel shuffle, as ShuffleNet writes it."""
    nodes = [
        node("Reshape", ["a", "groups"], ["r"]),
        node("Transpose", ["r"], ["t"], perm=[0, 2, 1, 3, 4]),
        node("Reshape", ["t", "image"], ["b"]),
    ]
    groups = array(1, 2, CHANNELS // 2, HEIGHT, WIDTH, dtype=np.int64)
    return nodes, {"groups": groups, "image": array(1, CHANNELS, HEIGHT, WIDTH, dtype=np.int64)}


def layer_norm() -> Any:
    """Over the channels, as ConvNeXt writes it."""
    nodes = [
        node("Transpose", ["a"], ["t"], perm=[0, 2, 3, 1]),
        node("LayerNormalization", ["t", "gamma", "beta"], ["n"], axis=-1),
        node("Transpose", ["n"], ["b"], perm=[0, 3, 1, 2]),
    ]
    return nodes, {"gamma": noise(CHANNELS) + 1, "beta": noise(CHANNELS)}


def split(operator: str) -> Callable[[], Any]:
    def make() -> Any:
        if operator == "Split":
            first = [node("Split", ["a", "sizes"], ["p", "q"], axis=1)]
            constants = {"sizes": array(6, 10, dtype=np.int64)}
        else:
            first = [node("Slice", ["a", f"{part}0", f"{part}1", "axis"], [part]) for part in "pq"]
            bounds = {"p0": [0], "p1": [6], "q0": [6], "q1": [CHANNELS], "axis": [1]}
            constants = {name: np.array(value, np.int64) for name, value in bounds.items()}
        return [*first, node("Concat", ["q", "p"], ["b"], axis=1)], constants

    return make


PER_CHANNEL = noise(1, CHANNELS, 1, 1) + 1
PLACES: dict[str, tuple[str, Callable[[], Any]]] = {
    "Add of a branch": ("Add", binary("Add", None)),
    "Add of a constant a channel": ("Add", binary("Add", PER_CHANNEL)),
    "AveragePool 2x2": ("AveragePool", pool("AveragePool", 2, 2, 0)),
    "BatchNormalization": ("BatchNormalization", batch_norm),
    "Clip, ReLU6": ("Clip", relu6),
    "Conv 1x1": ("Conv", conv(1)),
    "Conv 3x3": ("Conv", conv(3)),
    "Conv 3x3, stride 2": ("Conv", conv(3, stride=2)),
    "Conv 5x5": ("Conv", conv(5)),
    "Conv depthwise 3x3": ("Conv", conv(3, group=CHANNELS)),
    "Conv depthwise 5x5": ("Conv", conv(5, group=CHANNELS)),
    "Conv dilated": ("Conv", conv(3, dilation=2)),
    "Conv in 4 groups": ("Conv", conv(3, group=4)),
    "Conv, SiLU behind": ("Sigmoid, Mul", silu),
    "Div by a constant a channel": ("Div", binary("Div", np.abs(PER_CHANNEL) + 1)),
    "Elu": ("Elu", unary("Elu")),
    "Gelu": ("Gelu", unary("Gelu")),
    "HardSigmoid": ("HardSigmoid", unary("HardSigmoid")),
    "HardSwish": ("HardSwish", unary("HardSwish")),
    "LayerNormalization over channels": ("LayerNormalization", layer_norm),
    "LeakyRelu": ("LeakyRelu", unary("LeakyRelu")),
    "MaxPool 2x2": ("MaxPool", pool("MaxPool", 2, 2, 0)),
    "MaxPool 3x3, stride 2, padded": ("MaxPool", pool("MaxPool", 3, 2, 1)),
    "MaxPool 3x3, ceil_mode": ("MaxPool", pool("MaxPool", 3, 2, 0, ceil_mode=1)),
    "Max and Min with constants, ReLU6": ("Max, Min", relu6_by_max_and_min),
    "Mul by a branch": ("Mul", binary("Mul", None)),
    "Mul by a constant a channel": ("Mul", binary("Mul", PER_CHANNEL)),
    "PRelu": ("PRelu", lambda: ([node("PRelu", ["a", "slope"], ["b"])], {"slope": noise(CHANNELS, 1, 1)})),
    "Relu": ("Relu", unary("Relu")),
    "Reshape, Transpose, channel shuffle": ("Reshape, Transpose", shuffle),
    "Sigmoid": ("Sigmoid", unary("Sigmoid")),
    "Slice and Concat of channels": ("Slice, Concat", split("Slice")),
    "Split and Concat of channels": ("Split, Concat", split("Split")),
    "Squeeze-and-excite": ("GlobalAveragePool, Mul", squeeze_excite),
    "Sub of a constant a channel": ("Sub", binary("Sub", PER_CHANNEL)),
    "Tanh": ("Tanh", unary("Tanh")),
}


def steps() -> list[Step]:
    """A step for each place."""
    return [step(f"around/{name}", operator, *make()) for name, (operator, make) in PLACES.items()]


def step(name: str, operator: str, nodes: Sequence[Any], constants: dict[str, np.ndarray]) -> Step:
    """frame -> convolution x -> shift by a state -> convolution a -> nodes -> b -> convolution, pool, classifier."""
    before = [
        node("Conv", ["frame", "stem"], ["x"], pads=[1] * 4),
        node("Split", ["x", "cut"], ["after", "rest"], axis=1),
        node("Concat", ["past", "rest"], ["shifted"], axis=1),
        node("Conv", ["shifted", "w"], ["a"], pads=[1] * 4),
    ]
    behind = [
        node("Conv", ["b", "w"], ["c"], pads=[1] * 4),
        node("GlobalAveragePool", ["c"], ["pooled"]),
        node("Flatten", ["pooled"], ["flat"]),
        node("Gemm", ["flat", "head", "shift"], ["scores"]),
    ]
    cache = (1, 2, HEIGHT, WIDTH)
    weights = {
        "stem": noise(CHANNELS, 3, 3, 3),
        "cut": array(2, CHANNELS - 2, dtype=np.int64),
        "w": noise(CHANNELS, CHANNELS, 3, 3, scale=0.1),
        "head": noise(CHANNELS, 5),
        "shift": noise(5),
        **constants,
    }
    info = helper.make_tensor_value_info
    frame = (1, 3, HEIGHT, WIDTH)
    graph = helper.make_graph(
        [*before, *nodes, *behind],
        "around",
        [info("frame", TensorProto.FLOAT, frame), info("past", TensorProto.FLOAT, cache)],
        [info("scores", TensorProto.FLOAT, (1, 5)), info("after", TensorProto.FLOAT, cache)],
        [numpy_helper.from_array(values, key) for key, values in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    feeds = tuple({"frame": noise(*frame, scale=1), "past": noise(*cache, scale=1)} for _ in range(2))
    return Step(name, operator, model, (("past", "after"),), feeds)
