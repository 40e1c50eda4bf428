"""The trial of half precision: its sums bit by bit against numpy, what it accepts, and what it refuses and why."""

from __future__ import annotations

from collections.abc import Callable

import networks_lab
import numpy as np
import pytest
import torch
from torch import nn

from tsm_edge import target
from tsm_edge.compile import passes, pipeline
from tsm_edge.compile.ir.graph import Graph
from tsm_edge.compile.ir.ops import Conv
from tsm_edge.compile.precision import chosen
from tsm_edge.compile.quantize import half


def numpy_sums(image: np.ndarray, weight: np.ndarray, op: Conv, part: int) -> np.ndarray:
    """One number after the other, each product rounded and added in half precision, by parts."""
    result = np.zeros((op.out_channels, op.out_height, op.out_width), np.float16)
    for out, y, x in np.ndindex(result.shape):
        down, right = y * op.stride[0], x * op.stride[1]
        window = image[:, down : down + op.kernel[0], right : right + op.kernel[1]]
        window = window[out : out + 1] if op.depthwise else window
        products = (window * weight[out]).ravel().astype(np.float16)
        for begin in range(0, len(products), part):
            partial = np.float16(0)
            for product in products[begin : begin + part]:
                partial = np.float16(partial + product)
            result[out, y, x] += partial
    return result.astype(np.float32)


@pytest.mark.parametrize(
    ("op", "part"),
    [
        (Conv(7, 9, 5, 3, (3, 2), (2, 3)), 1000),
        (Conv(1, 3, 600, 2), 256),
        (Conv(8, 5, 6, 6, (3, 3), (2, 1), groups=6), 1000),
    ],
)
def test_sums_are_those_of_plain_half_precision(op: Conv, part: int) -> None:
    rng = np.random.default_rng(3)
    image = rng.standard_normal((op.channels, op.height, op.width)).astype(np.float32)
    weight = rng.standard_normal((op.out_channels, op.channels // op.groups, *op.kernel)).astype(np.float32)
    sums = half.depthwise_sums if op.depthwise else half.dense_sums
    found = sums(torch.from_numpy(image[None]), torch.from_numpy(weight), op)[0].numpy()
    assert np.array_equal(found, numpy_sums(image, weight, op, part))


def stream(weight: float = 1.0, bias: float = 0.0) -> networks_lab.Net:
    """A step with a shift, a depthwise layer, a residual, a clamp and a classifier; `bias` is added and taken off."""

    def rule(net, frame, state):
        x = net.stem(frame).clamp(0, 6)
        shifted = torch.cat([state, x[:, 2:]], 1)
        y = x + net.project(net.depthwise(shifted).clamp(0, 6))
        return net.head((net.up(y) + net.down(y)).mean((2, 3))), x[:, :2]

    torch.manual_seed(1)
    layers = {"stem": nn.Conv2d(3, 8, 3, 2, 1), "depthwise": nn.Conv2d(8, 8, 3, 1, 1, groups=8)}
    layers |= {"project": nn.Conv2d(8, 8, 1), "up": nn.Conv2d(8, 8, 1), "down": nn.Conv2d(8, 8, 1)}
    net = networks_lab.Net(rule, **layers, head=nn.Linear(8, 5)).eval()
    with torch.no_grad():
        net.project.weight *= weight
        net.up.bias += bias
        net.down.bias -= bias
    return net


SHAPES = (1, 3, 18, 22), [(1, 2, 9, 11)]


def fused(net: nn.Module, frame: tuple[int, ...] = SHAPES[0], states: list[tuple[int, ...]] = SHAPES[1]) -> Graph:
    graph = networks_lab.loader(net, networks_lab.signature_of(net, frame, states))()
    passes.run(graph)
    return graph


def test_the_exact_half_of_the_trial_is_pytorch() -> None:
    net = stream()
    steps, state = half.Steps(fused(net), half=False), torch.zeros(SHAPES[1][0])
    with torch.no_grad():
        for frame in map(torch.from_numpy, half.pictures(SHAPES[0], 4, 0)):
            scores, state = net(frame, state)
            np.testing.assert_allclose(steps.step(frame), scores[0], rtol=1e-4, atol=1e-5)


def test_a_harmless_network_passes_and_the_figure_repeats() -> None:
    graph = fused(stream())
    first, second = half.attempt(graph), half.attempt(graph)
    assert first == second and first.passed
    assert 1e-5 < first.difference < half.WITHIN
    assert first.frames == half.FRAMES
    assert first.reason.startswith("the cores compute in half; 0.") and "over 16 frames" in first.reason


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: fused(stream(weight=1e6)), ("beyond 65504", "project")),
        (lambda: fused(stream(bias=2000.0)), ("costs too much", "2 % allowed")),
        (
            lambda: fused(networks_lab.Foreign(), (1, 3, 6, 5), [(1, 8, 6, 5), (1, 4)]),
            ("is not tried of",),
        ),
    ],
)
def test_what_half_precision_would_spoil_stays_in_float32(make: Callable[[], Graph], words: tuple[str, ...]) -> None:
    graph = make()
    choice = chosen(graph, target.load("raspberry-pi-5"), None, phases().phase)
    assert choice.precision == "fp32"
    assert all(word in choice.reason for word in words), choice.reason


def phases() -> pipeline.Phases:
    return pipeline.Phases(lambda phase, seconds: None, None)


@pytest.mark.parametrize(
    ("name", "asked", "precision", "reason"),
    [
        ("raspberry-pi-5", None, "fp16", "the cores compute in half; "),
        ("jetson-orin-nano-cpu", None, "fp16", "the cores compute in half; "),
        ("raspberry-pi-5", "fp32", "fp32", "as asked for"),
        ("raspberry-pi-5", "int8", "int8", "as asked for"),
        ("raspberry-pi-4", None, "fp32", "the cores do not compute in half precision"),
        ("raspberry-pi-3", None, "fp32", "the cores do not compute in half precision"),
        ("x86-64", None, "fp32", "the cores do not compute in half precision"),
        ("jetson-nano", None, "fp16", "the default of a GPU"),
        ("jetson-nano", "fp32", "fp32", "as asked for"),
    ],
)
def test_the_precision_and_why(name: str, asked: str | None, precision: str, reason: str, harmless: Graph) -> None:
    choice = chosen(harmless, target.load(name), asked, phases().phase)
    assert choice.precision == precision
    assert choice.reason.startswith(reason)


@pytest.fixture(scope="module")
def harmless() -> Graph:
    return fused(stream())
