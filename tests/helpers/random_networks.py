"""Random step networks as ONNX files: convolutions, pools, elementwise operators, branches and shifts, all seeded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from foreign_lab import Step
from onnx import TensorProto, helper, numpy_helper

MOST = 9000  # values of one activation: these networks are small, so that hundreds take seconds


@dataclass
class Maker:
    """A network under construction. values: the shape [C, H, W] of every map that may be read, by name."""

    rng: np.random.Generator
    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    states: list[tuple[str, str, tuple[int, ...]]] = field(default_factory=list)
    count: int = 0

    def pick(self, *choices: Any) -> Any:
        return choices[self.rng.integers(len(choices))]

    def constant(self, array: np.ndarray) -> str:
        name = f"k{len(self.constants)}"
        self.constants[name] = np.asarray(array)
        return name

    def noise(self, *shape: int) -> str:
        return self.constant((self.rng.standard_normal(shape) * 0.4).astype(np.float32))

    def node(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> list[str]:
        names = [f"t{self.count + index}" for index in range(outputs)]
        self.count += outputs
        self.nodes.append(helper.make_node(operator, list(inputs), names, **attributes))
        return names

    def layer(self, name: str, shape: tuple[int, int, int]) -> tuple[str, tuple[int, int, int]]:
        """One more layer over a map; returns the new map."""
        kinds = [conv, conv, conv, pool, clamp, smooth, scaled, shift, gate, residual, normalised, halves]
        return self.pick(*kinds)(self, name, shape)


Map = tuple[str, "tuple[int, int, int]"]


def conv(make: Maker, name: str, shape: tuple[int, int, int]) -> Map:
    channels, height, width = shape
    kernel = (int(make.rng.integers(1, 6)), int(make.rng.integers(1, 6)))
    dilation = make.pick(1, 1, 1, 2)
    stride = (make.pick(1, 1, 2, 3), make.pick(1, 1, 2))
    pads = [int(make.rng.integers(0, side)) for side in (*kernel, *kernel)]
    reach = [dilation * (side - 1) + 1 for side in kernel]
    size = [
        (side + pads[i] + pads[i + 2] - reach[i]) // stride[i] + 1 for i, side in enumerate((height, width))
    ]
    if min(size) < 1:
        return name, shape
    divisors = [group for group in (1, 2, 4, channels) if channels % group == 0]
    group = make.pick(1, 1, *divisors)
    out = group * int(make.rng.integers(1, max(2, 24 // group)))
    if out * size[0] * size[1] > MOST:
        return name, shape
    inputs = [name, make.noise(out, channels // group, *kernel)]
    if make.pick(True, False):
        inputs.append(make.noise(out))
    (result,) = make.node(
        "Conv", *inputs, pads=pads, strides=list(stride), dilations=[dilation] * 2, group=group
    )
    return result, (out, size[0], size[1])


def pool(make: Maker, name: str, shape: tuple[int, int, int]) -> Map:
    channels, height, width = shape
    kernel, stride = make.pick(2, 3), make.pick(1, 2)
    pad = make.pick(0, 0, 1)
    size = [(side + 2 * pad - kernel) // stride + 1 for side in (height, width)]
    if min(size) < 1:
        return name, shape
    extra = (
        {"count_include_pad": make.pick(0, 1)}
        if (operator := make.pick("MaxPool", "AveragePool"))[0] == "A"
        else {}
    )
    (result,) = make.node(
        operator, name, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4, **extra
    )
    return result, (channels, size[0], size[1])


def clamp(make: Maker, name: str, shape: tuple[int, int, int]) -> Map:
    low, high = sorted(make.rng.uniform(-1, 1.5, 2).astype(np.float32))
    bounds = [make.constant(np.float32(low)), make.constant(np.float32(high))]
    form = make.pick("relu", "clip", "low", "high", "max-min")
    if form == "relu":
        return make.node("Relu", name)[0], shape
    if form == "max-min":
        return make.node("Min", make.node("Max", name, bounds[0])[0], bounds[1])[0], shape
    given = {"clip": bounds, "low": bounds[:1], "high": ["", bounds[1]]}[form]
    return make.node("Clip", name, *given)[0], shape


def smooth(make: Maker, name: str, shape: tuple[int, int, int]) -> Map:
    operator = make.pick(
        "Sigmoid", "Tanh", "HardSwish", "HardSigmoid", "Elu", "LeakyRelu", "Softplus", "Abs", "Neg", "Erf"
    )
    return make.node(operator, name)[0], shape


def scaled(make: Maker, name: str, shape: tuple[int, int, int]) -> Map:
    """With a constant that broadcasts in any way, on either side."""
    channels, height, width = shape
    wide = make.pick(
        (), (1,), (width,), (channels, 1, 1), (1, channels, 1, 1), (height, width), (1, 1, height, 1)
    )
    other = make.constant(make.rng.uniform(0.5, 1.5, wide).astype(np.float32))
    pair = make.pick([name, other], [other, name])
    operator = make.pick("Add", "Mul", "Sub", "Div") if pair[0] == name else make.pick("Add", "Mul", "Sub")
    return make.node(operator, *pair)[0], shape


def shift(make: Maker, name: str, shape: tuple[int, int, int]) -> Map:
    """The first channels of the frame before in the place of this one's."""
    channels, height, width = shape
    if channels < 2 or len(make.states) == 3:
        return name, shape
    fold = int(make.rng.integers(1, channels))
    state = f"s{len(make.states)}"
    cut = make.constant(np.array([fold, channels - fold], np.int64))
    kept, rest = make.node("Split", name, cut, outputs=2, axis=1)
    make.states.append((state, kept, (1, fold, height, width)))
    return make.node("Concat", state, rest, axis=1)[0], shape


def gate(make: Maker, name: str, shape: tuple[int, int, int]) -> Map:
    """Squeeze and excite."""
    channels = shape[0]
    pooled = make.node("GlobalAveragePool", name)[0]
    weight = make.node("Sigmoid", make.node("Conv", pooled, make.noise(channels, channels, 1, 1))[0])[0]
    return make.node("Mul", name, weight)[0], shape


def residual(make: Maker, name: str, shape: tuple[int, int, int]) -> Map:
    """A convolution of equal shape, added to what it reads, perhaps with a clamp behind."""
    channels = shape[0]
    pads = [1] * 4
    inner = make.node("Conv", name, make.noise(channels, channels, 3, 3), make.noise(channels), pads=pads)[0]
    if make.pick(True, False):
        inner = make.node("Relu", inner)[0]
    total = make.node("Add", *make.pick([inner, name], [name, inner]))[0]
    return (make.node("Relu", total)[0] if make.pick(True, False) else total), shape


def normalised(make: Maker, name: str, shape: tuple[int, int, int]) -> Map:
    channels = shape[0]
    parts = [make.noise(channels), make.noise(channels), make.noise(channels)]
    variance = make.constant(make.rng.uniform(0.5, 2, channels).astype(np.float32))
    return make.node("BatchNormalization", name, *parts, variance, epsilon=1e-3)[0], shape


def halves(make: Maker, name: str, shape: tuple[int, int, int]) -> Map:
    """Two parts of the channels, one of them changed, joined the other way round."""
    channels = shape[0]
    if channels < 2:
        return name, shape
    first = int(make.rng.integers(1, channels))
    parts = []
    for begin, end in ((0, first), (first, channels)):
        bounds = [make.constant(np.array([value], np.int64)) for value in (begin, end, 1)]
        parts.append(make.node("Slice", name, *bounds)[0])
    parts[0] = make.node(make.pick("Relu", "Neg", "Sigmoid"), parts[0])[0]
    return make.node("Concat", *make.pick(parts, parts[::-1]), axis=1)[0], shape


def network(seed: int) -> Step:
    """A network of 3 to 9 layers, a pool or a flattened map, and a classifier."""
    make = Maker(np.random.default_rng(seed))
    frame = (make.pick(1, 3, 3, 8), int(make.rng.integers(4, 20)), int(make.rng.integers(4, 20)))
    name, shape = conv(make, "frame", frame)
    for _ in range(int(make.rng.integers(3, 10))):
        name, shape = make.layer(name, shape)
    if make.pick(True, True, False) or shape[0] * shape[1] * shape[2] > 600:
        name, shape = make.node("GlobalAveragePool", name)[0], (shape[0], 1, 1)
    flat = make.node("Flatten", name)[0]
    features, classes = shape[0] * shape[1] * shape[2], int(make.rng.integers(1, 9))
    make.nodes.append(
        helper.make_node(
            "Gemm", [flat, make.noise(classes, features), make.noise(classes)], ["scores"], transB=1
        )
    )
    return step(make, seed, frame, classes)


def step(make: Maker, seed: int, frame: tuple[int, int, int], classes: int) -> Step:
    """The finished network with frames and states to feed it."""
    make.nodes += [helper.make_node("Identity", [kept], [f"{state}.next"]) for state, kept, _ in make.states]
    info = helper.make_tensor_value_info
    states = {state: shape for state, _, shape in make.states}
    graph = helper.make_graph(
        make.nodes,
        "random",
        [info(name, TensorProto.FLOAT, shape) for name, shape in {"frame": (1, *frame), **states}.items()],
        [
            info("scores", TensorProto.FLOAT, (1, classes)),
            *(info(f"{name}.next", TensorProto.FLOAT, shape) for name, shape in states.items()),
        ],
        [numpy_helper.from_array(array, name) for name, array in make.constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    feeds = tuple(
        {
            name: make.rng.standard_normal(shape).astype(np.float32)
            for name, shape in {"frame": (1, *frame), **states}.items()
        }
        for _ in range(2)
    )
    pairs = tuple((name, f"{name}.next") for name in states)
    return Step(f"random/{seed}", "random", model, pairs, feeds)
