"""Quantisation: float32 and integer steps against programs of their own, ranges, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tsm_edge import models
from tsm_edge.compile import passes, quantize
from tsm_edge.compile.frontend import calibration_data, networks
from tsm_edge.compile.frontend.source import Source
from tsm_edge.compile.ir.graph import Graph, Node
from tsm_edge.compile.ir.ops import Opaque, Role
from tsm_edge.compile.quantize import LayerLoss, equalise, float_step, integer, scheme
from tsm_edge.compile.quantize.ranges import Ranges, Seen
from tsm_edge.compile.verification.reference import moving_frames
from tsm_edge.errors import CompileError, UsageError
from tsm_edge.weights import checkpoints, shipped

FRAMES = 2
MODELS = {
    "mobilenet": models.load("tsm-mobilenetv2", width=0.25, size=32, classes=5),
    "resnet": models.load("tsm-resnet18", size=32, classes=5),
}


def fused(model: models.Model) -> Graph:
    graph = networks.zoo(model).load()
    passes.run(graph)
    return graph


@pytest.fixture(scope="module", params=MODELS)
def case(request: pytest.FixtureRequest):
    """A model, its fused graph, a clip, and what calibration found."""
    model = MODELS[request.param]
    graph = fused(model)
    clip = list(moving_frames(model.signature.inputs[0], FRAMES))
    return model, graph, clip, quantize.calibrate(graph, [clip])


def test_the_float_step_is_the_networks(case) -> None:
    model, graph, clip, _ = case
    net, _ = checkpoints.prepare(model, None, 0)
    states = {name: np.zeros(graph.shape(name), np.float32) for name in graph.states}
    theirs = model.zero_states()
    for frame in clip:
        values = float_step.float_step(graph, frame, states)
        states = float_step.after(graph, values)
        with torch.no_grad():
            scores, theirs = net.step(torch.from_numpy(frame), theirs)
        np.testing.assert_allclose(values[graph.output], scores.numpy(), rtol=1e-3, atol=1e-3)
        for state, expected in zip(states.values(), theirs, strict=True):
            np.testing.assert_allclose(state, expected.numpy(), rtol=1e-3, atol=1e-3)


def test_the_integer_step_is_near_and_repeats(case) -> None:
    _, graph, clip, found = case
    network = quantize.quantise(graph, found.ranges)
    runs = []
    for _ in range(2):
        states, scores = integer.zero_states(network), []
        for frame in clip:
            score, states = quantize.step(network, frame, states)
            scores.append(score)
        runs.append(np.stack(scores))
    assert (runs[0] == runs[1]).all()
    assert max(found.decibels.values()) > 12
    assert found.ranges.method == max(found.decibels, key=found.decibels.get)
    assert network.weight_bytes() < 0.3 * sum(n.weights[0].nbytes for n in graph.nodes if n.weights)


def test_a_state_has_the_scale_of_what_it_is_joined_to(case) -> None:
    _, graph, _, found = case
    network = quantize.quantise(graph, found.ranges)
    readers = [node for node in graph.nodes if Role.STATE in node.roles]
    assert readers
    for node in readers:
        assert network.scales[node.roles[Role.STATE]] == network.scales[node.inputs[0]]
        assert network.scales[graph.state_outputs[node.roles[Role.STATE]]] == network.scales[node.inputs[0]]


def test_zero_is_exact_and_a_clamp_is_the_saturation(case) -> None:
    _, graph, _, found = case
    network = quantize.quantise(graph, found.ranges)
    for scale in network.scales.values():
        assert scale.real(scale.quantised(np.zeros(1, np.float32)))[0] == 0.0
    for node in graph.nodes:
        if node.output in network.layers and node.op.clamped:
            scale, (low, high) = network.scales[node.output], (node.op.low, node.op.high)
            ends = scale.real(np.array([-128, 127], np.int8))
            assert low is None or ends[0] == pytest.approx(low, abs=scale.step / 2)
            assert high is None or ends[1] <= high + scale.step


def plain(layer: scheme.Layer, x, state, residual, stride, pad):
    """A convolution in Python's own integers, number by number."""
    if state is not None:
        x = np.concatenate([state, x[..., state.shape[2] :]], 2)
    outputs, inner, kh, kw = layer.weight.shape
    height = (x.shape[0] + pad[0] + pad[2] - kh) // stride[0] + 1
    width = (x.shape[1] + pad[1] + pad[3] - kw) // stride[1] + 1
    y = np.zeros((height, width, outputs), np.int8)
    for r, c, o in np.ndindex(y.shape):
        total = int(layer.bias[o])
        for i, j, k in np.ndindex(kh, kw, inner):
            row, column = r * stride[0] - pad[0] + i, c * stride[1] - pad[1] + j
            inside = 0 <= row < x.shape[0] and 0 <= column < x.shape[1]
            q = int(x[row, column, k if inner > 1 else o]) if inside else layer.x_zero
            total += q * int(layer.weight[o, k, i, j])
        value = (total * int(layer.multiplier[o]) + 2**30) // 2**31
        if residual is not None:
            value += (int(residual[r, c, o]) - layer.r_zero) * layer.share
            value = (value + 128) // 256
        y[r, c, o] = max(-128, min(127, value))
    return y


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize(("stride", "pad"), [((1, 1), (1, 1, 1, 1)), ((2, 2), (0, 1, 2, 0))])
def test_the_reference_is_what_the_scheme_says(depthwise: bool, stride, pad) -> None:
    rng = np.random.default_rng(0)
    channels, outputs = (6, 6) if depthwise else (5, 7)
    weight = rng.integers(-127, 128, (outputs, 1 if depthwise else channels, 3, 3)).astype(np.int8)
    bias = rng.integers(-3000, 3000, outputs).astype(np.int32)
    multiplier = rng.integers(2**20, 2**24, outputs).astype(np.int32)
    layer = scheme.Layer(weight, bias, multiplier, x_zero=-17, share=300, r_zero=5)
    x = rng.integers(-128, 128, (7, 6, channels)).astype(np.int8)
    state = None if depthwise else rng.integers(-128, 128, (7, 6, 2)).astype(np.int8)
    shape = plain(layer, x, state, None, stride, pad).shape
    for residual in (None, rng.integers(-128, 128, shape).astype(np.int8)):
        found = integer.convolution(layer, x, state, residual, stride, pad, channels if depthwise else 1)
        assert (found == plain(layer, x, state, residual, stride, pad)).all()


def test_ranges_are_kept_and_read(case, tmp_path: Path) -> None:
    _, graph, _, found = case
    path = tmp_path / "ranges.json"
    found.ranges.save(path)
    for ranges in found.tried.values():
        ranges.save(path)
        assert Ranges.load(path) == ranges
    with pytest.raises(UsageError, match="another network"):
        quantize.quantise(graph, replace(found.ranges, network="0" * 64))
    document = json.loads(path.read_text())
    for change in (
        {"schema": 9},
        {"ranges": 3},
        {"ranges": {"frame": [1.0, 2.0]}},
        {"ranges": {"x": [0, 1e999]}},
        {"factors": {"x": [2.0, 0.5]}},
    ):
        path.write_text(json.dumps(document | change))
        with pytest.raises(UsageError):
            Ranges.load(path)
    with pytest.raises(UsageError, match="cannot be read"):
        Ranges.load(tmp_path / "none.json")


def test_ranges_of_a_distribution_with_a_far_outlier() -> None:
    numbers = np.concatenate([np.random.default_rng(0).standard_normal(100000), [40.0]]).astype(np.float32)
    seen = Seen()
    seen.widen(numbers)
    seen.count(numbers)
    assert seen.counts.sum() == numbers.size
    assert seen.percentile(0.999)[1] < 4 < seen.high
    # the least of (40 - h)^2 + 100001 * (width / 255)^2 / 12 is near 34.6
    assert seen.least_squares()[1] == pytest.approx(34.6, abs=1.0)


def test_every_layer_has_a_row(case) -> None:
    _, graph, clip, found = case
    network = quantize.quantise(graph, found.ranges)
    rows = quantize.layer_table(network, [clip])
    assert len(rows) == 1 + len(network.layers)
    assert all(row.decibels > 8 and row.low <= 0 <= row.high for row in rows)
    if found.ranges.method == "min-max":
        assert all(row.saturated == 0 for row in rows)


def test_equalised_channels_compute_the_same_and_leave_states_alone(case) -> None:
    _, graph, clip, found = case
    seen = {name: one.largest for name, one in found.seen.items() if name != graph.frame}
    factors = equalise.factors_of(graph, seen)
    assert len(factors) > len(seen) / 3 and min(row.min() for row in factors.values()) == 1
    equal, states = equalise.equalised(graph, factors), {n: np.zeros(graph.shape(n), np.float32) for n in graph.states}
    values = [float_step.float_step(one, clip[0], states) for one in (graph, equal)]
    np.testing.assert_allclose(values[1][graph.output], values[0][graph.output], rtol=1e-3, atol=1e-4)
    for state in graph.state_outputs.values():
        np.testing.assert_allclose(values[1][state], values[0][state], rtol=1e-3, atol=1e-4)
    for name, row in factors.items():
        np.testing.assert_allclose(values[1][name], values[0][name] * row, rtol=1e-3, atol=1e-3)
    equalised = next(one for name, one in found.tried.items() if name.endswith("equalised"))
    assert {name: tuple(row) for name, row in factors.items()} == equalised.factors
    assert max(value for name, value in found.decibels.items() if name.endswith("equalised")) > 12
    with pytest.raises(UsageError, match="other channels"):
        quantize.quantise(graph, replace(equalised, factors={next(iter(factors)): (1.0, 2.0)}))


def test_the_table_of_layers_is_said_and_drawn(tmp_path: Path) -> None:
    rows = [LayerLoss("frame", 40.25, -1.0, 1.0, 0, 0.0), LayerLoss("a.conv", 18.5, 0.0, 6.0, -128, 0.015)]
    said: list[str] = []
    calibration_data.tell_layers(rows, tmp_path / "layers.png", said.append)
    assert len(said) == 3 and len({len(line) for line in said[1:]}) == 1
    assert said[2].split() == ["a.conv", "18.5", "0", "6", "1.500", "%"]
    assert cv2.imread(str(tmp_path / "layers.png")).shape[2] == 3


def test_calibration_tells_how_far_it_is() -> None:
    model = MODELS["mobilenet"]
    clip = list(moving_frames(model.signature.inputs[0], FRAMES))
    done: list[int] = []
    quantize.calibrate(fused(model), [clip, clip[:1]], "min-max", done.append)
    assert sum(done) == quantize.calibration.runs("min-max") * 3


def test_what_has_no_8_bit_form_is_named(case) -> None:
    _, graph, clip, _ = case
    odd = replace(graph, nodes=[*graph.nodes, Node(Opaque(), [graph.output], ["z"], layer="relax.erf")])
    with pytest.raises(CompileError, match=r"relax\.erf"):
        quantize.calibrate(odd, [clip])
    with pytest.raises(UsageError, match="needs frames"):
        quantize.calibrate(graph, [[]])
    with pytest.raises(UsageError, match="no such way"):
        quantize.calibrate(graph, [clip], "median")


def test_ranges_that_come_with_trained_weights_need_no_other_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "gestures.ranges.json"
    path.touch()
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    fields = {"averaged": None, "direction": None, "as_online": False, "seed": 0, "states": ()}
    fields |= {"parameters": {}, "pictures": {}, "form": {}}
    assert Source("gestures", None, **fields).shipped_ranges == path
    for model, weights in (("gestures", tmp_path), ("tsm-resnet18", None), ("gestures.onnx", None)):
        assert Source(model, weights, **fields).shipped_ranges is None
    given = calibration_data.CalibrationOptions()
    assert given.with_shipped("int8", path).ranges == path
    assert given.with_shipped("fp16", path) == given
    own = calibration_data.CalibrationOptions(calibrate=tmp_path)
    assert own.with_shipped("int8", path) == own
