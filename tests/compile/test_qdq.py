"""Quantised ONNX files against ONNX Runtime, which runs the same file; and those whose scales are none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_lab
import pytest
import qdq_lab
from onnx import NodeProto, TensorProto, helper
from qdq_lab import STATES

from tsm_edge import target
from tsm_edge.compile import backends, passes, quantize
from tsm_edge.compile.frontend import calibration_data, networks
from tsm_edge.compile.quantize.given import Given, steps_of
from tsm_edge.compile.quantize.ranges import Ranges
from tsm_edge.errors import CompileError, EdgeError, ImportFailed, UsageError

node = helper.make_node


def test_each_layer_of_pytorchs_export_is_within_one_step(tmp_path: Path) -> None:
    """Bytes with and without a sign, scales a channel and a tensor, and ReLUs that the quantiser removes or leaves."""
    source = qdq_lab.cnn(tmp_path / "net.onnx")
    sides: dict[str, Any] = {"extra_options": {"ActivationSymmetric": True}}
    for activation, options in (("QInt8", {"per_channel": True}), ("QUInt8", {}), ("QInt8", sides)):
        file = qdq_lab.File(qdq_lab.quantised(source, tmp_path / "quantised.onnx", activation, **options), STATES)
        differs = file.each_layer(qdq_lab.frames(1)[0])
        assert len(differs) == len(file.ranges.steps) == 6
        assert max(array.max() for array in differs.values()) < 1.001
        if not options or "per_channel" in options:
            assert np.mean(np.concatenate([array.ravel() for array in differs.values()]) > 0.01) < 0.03
        moved = file.over_time(qdq_lab.frames(3))
        assert moved["keep"] < 1.001 and moved["scores"] < 8
        whole = [layer.weight for layer in file.integers.layers.values()]
        wanted = [file.constants[name] for name in file.constants if name.endswith("weight_quantized")]
        assert all(any(np.array_equal(one, array) for one in wanted) for array in whole)


def test_a_stream_of_this_projects_export(tmp_path: Path) -> None:
    """A state has the scale of the value that it joins, so nothing is rounded where the file joins them."""
    source = qdq_lab.stream(tmp_path / "net.onnx", "tsm-mobilenetv2", width=0.25)
    file = qdq_lab.File(qdq_lab.quantised(source, tmp_path / "quantised.onnx", "QUInt8", per_channel=True))
    differs = file.each_layer(qdq_lab.frames(1)[0])
    assert len(differs) == 52
    every = np.concatenate([array.ravel() for array in differs.values()])
    assert every.max() < 4 and (every > 1.001).mean() < 1e-3 and (every > 0.01).mean() < 0.02
    moved = file.over_time(qdq_lab.frames(3))
    assert moved["cache0_out"] < 2 and moved["cache1_out"] < 5


def test_the_precision_follows_file_and_target(tmp_path: Path) -> None:
    source = qdq_lab.cnn(tmp_path / "net.onnx")
    network = networks.onnx_file(qdq_lab.quantised(source, tmp_path / "quantised.onnx", "QUInt8"), STATES)
    plain, arm, gpu = networks.onnx_file(source, STATES), target.load("raspberry-pi-5"), target.load("jetson-orin-nano")
    ours, theirs = (backends.of(each).precisions(each) for each in (arm, gpu))
    assert [quantize.preferred(None, each.given, ours) for each in (plain, network)] == [None, "int8"]
    assert quantize.preferred("fp16", network.given, ours) == "fp16"
    assert quantize.preferred(None, network.given, theirs) is None
    assert quantize.told("fp32", plain.given) == ()
    assert "scales of the file" in quantize.told("int8", network.given)[0]
    assert "fp32 is asked for" in quantize.told("fp32", network.given)[0]
    assert "no 8-bit kernels" in quantize.told(None, network.given)[0]
    given = calibration_data.CalibrationOptions()
    assert given.of(network, print) is None
    with pytest.raises(UsageError, match="gives the scales"):
        replace(given, calibrate=tmp_path).of(network, print)


def test_dequantised_weights_compute_what_the_file_does_without_its_rounding(tmp_path: Path) -> None:
    """A range that ends at zero does the work of the ReLU that the quantiser removed."""
    source = qdq_lab.cnn(tmp_path / "net.onnx")
    path = qdq_lab.quantised(source, tmp_path / "quantised.onnx", "QInt8", per_channel=True)
    graph = networks.onnx_file(path, STATES).load()
    passes.run(graph)
    assert not [n for n in graph.nodes if n.operator == "relax.clip"]  # all are in their convolutions
    frame = qdq_lab.frames(1)[0]
    past = np.zeros(graph.shape(graph.states[0]), np.float32)
    ours = quantize.float_step.float_step(graph, frame, {graph.states[0]: past})[graph.output]
    exact, rounded = (onnx_lab.runtime_step_of(each)(frame, past)[0] for each in (source, path))
    assert np.abs(ours - exact).max() < 0.02 * np.abs(exact).max()
    assert np.abs(ours - exact).max() < np.abs(rounded - exact).max()


def file_of(tmp_path: Path, change: Callable[[dict[str, NodeProto], dict[str, np.ndarray]], None]) -> Path:
    """A quantised convolution and a mean, changed: nodes by name, constants by name."""
    rng = np.random.default_rng(0)
    constants: dict[str, Any] = {
        **{name: np.float32(0.02) for name in ("xs", "ys")},
        **{name: np.int8(-3) for name in ("xz", "yz")},
        "w": rng.integers(-127, 128, (5, 3, 3, 3)).astype(np.int8),
        "ws": np.full(5, 0.01, np.float32),
        "wz": np.zeros(5, np.int8),
    }
    nodes = {
        "round x": node("QuantizeLinear", ["x", "xs", "xz"], ["xq"], "round x"),
        "read x": node("DequantizeLinear", ["xq", "xs", "xz"], ["xd"], "read x"),
        "read w": node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], "read w", axis=0),
        "conv": node("Conv", ["xd", "wd"], ["c"], "conv"),
        "round y": node("QuantizeLinear", ["c", "ys", "yz"], ["yq"], "round y"),
        "read y": node("DequantizeLinear", ["yq", "ys", "yz"], ["yd"], "read y"),
        "mean": node("GlobalAveragePool", ["yd"], ["scores"], "mean"),
    }
    change(nodes, constants)
    used = {name for each in nodes.values() for name in each.input}
    kept = {name: array for name, array in constants.items() if name in used}
    path = tmp_path / "net.onnx"
    onnx_lab.save(path, list(nodes.values()), {"x": (1, 3, 8, 8)}, {"scores": (1, 5, 1, 1)}, kept, opset=21)
    return path


def given_of(path: Path) -> Ranges:
    """The ranges of a file's fused graph."""
    network = networks.onnx_file(path)
    graph = network.load()
    passes.run(graph)
    assert network.given is not None
    return network.given(graph)


def constant(name: str, value: Any) -> Callable[..., None]:
    """A file with another constant."""
    return lambda nodes, constants: constants.__setitem__(name, value)


def without_scale(nodes: dict[str, NodeProto], constants: dict[str, np.ndarray]) -> None:
    nodes["read x"].input[1] = ""


def blocks(nodes: dict[str, NodeProto], constants: dict[str, np.ndarray]) -> None:
    constants["ws"], constants["wz"] = np.ones((5, 1, 3, 3), np.float32), np.zeros((5, 1, 3, 3), np.int8)
    nodes["read w"].attribute.extend([helper.make_attribute("block_size", 3)])


def four_bits(nodes: dict[str, NodeProto], constants: dict[str, Any]) -> None:
    for name, shape in (("w4", (5, 3, 3, 3)), ("z4", (5,))):
        tensor = helper.make_tensor(name, TensorProto.INT4, shape, [1] * int(np.prod(shape)))
        nodes[name] = node("Constant", [], [name], name, value=tensor)
    nodes["read w"].input[:] = ["w4", "ws", "z4"]
    for name in ("read w", "conv", "round y", "read y", "mean"):
        nodes[name] = nodes.pop(name)


def dynamic(nodes: dict[str, NodeProto], constants: dict[str, np.ndarray]) -> None:
    nodes["round x"] = node("DynamicQuantizeLinear", ["x"], ["xq", "xs2", "xz2"], "round x")
    nodes["read x"].input[:] = ["xq", "xs2", "xz2"]


def operators_of_bytes(nodes: dict[str, NodeProto], constants: dict[str, np.ndarray]) -> None:
    names = ["xq", "xs", "xz", "w", "ws", "wz", "ys", "yz"]
    nodes["conv"] = node("QLinearConv", names, ["yq"], "conv")
    del nodes["read x"], nodes["read w"], nodes["round y"]


REFUSED: dict[str, tuple[Callable[..., None], str, str]] = {
    "no scale": (without_scale, "not a valid ONNX file", "again"),
    "a scale of zero": (constant("ys", np.float32(0)), "'round y'.*scale that is none", "calibration"),
    "a scale that is NaN": (constant("xs", np.float32(np.nan)), "'round x'.*scale that is none", "calibration"),
    "an infinite scale": (constant("ws", np.full(5, np.inf, np.float32)), "'read w'.*that is none", "calibration"),
    "scales by channel of a value": (
        lambda n, c: c.update(xs=np.full(3, 0.02, np.float32), xz=np.zeros(3, np.int8)), "'round x'.*by channel", "QDQ",
    ),
    "another type of zero point": (constant("wz", np.zeros(5, np.uint8)), "'read w'.*zero point of another", "again"),
    "fewer zero points": (constant("wz", np.zeros(4, np.int8)), "'read w'.*number of zero points", "again"),
    "fewer scales": (
        lambda n, c: c.update(ws=np.ones(4, np.float32), wz=np.zeros(4, np.int8)), "'read w'.*of scales", "again",
    ),
    "bytes read as others": (
        lambda n, c: (c.update(yz2=np.uint8(3)), n["read y"].input.__setitem__(2, "yz2")),
        "'read y'.*zero point of another type", "again",
    ),
    "blocks": (blocks, "'read w'.*blocks", "8 bits"),
    "4 bits": (four_bits, "'read w'.*8 bits", "8 bits"),
    "dynamic": (dynamic, "'round x'.*while it runs", "quantize_static"),
    "operators of bytes": (operators_of_bytes, "QLinearConv.*not supported", "QDQ form"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_scales_that_are_none_are_refused_with_their_node(name: str, tmp_path: Path) -> None:
    change, what, cure = REFUSED[name]
    with pytest.raises(ImportFailed, match=what) as caught:
        networks.onnx_file(file_of(tmp_path, change))
    assert caught.value.hint and cure in caught.value.hint


def weights_alone(nodes: dict[str, NodeProto], constants: dict[str, np.ndarray]) -> None:
    nodes["conv"].input[0], nodes["mean"].input[0] = "x", "c"
    for name in ("round x", "read x", "round y", "read y"):
        del nodes[name]


def unrounded(nodes: dict[str, NodeProto], constants: dict[str, np.ndarray]) -> None:
    nodes["mean"].input[0] = "c"
    del nodes["round y"], nodes["read y"]


def unrounded_frame(nodes: dict[str, NodeProto], constants: dict[str, np.ndarray]) -> None:
    nodes["conv"].input[0] = "x"
    del nodes["round x"], nodes["read x"]


def plain_weights(nodes: dict[str, NodeProto], constants: dict[str, np.ndarray]) -> None:
    constants["wd"] = np.ones((5, 3, 3, 3), np.float32)
    del nodes["read w"]


PARTLY: dict[str, tuple[Callable[..., None], str, str]] = {
    "the frame is not rounded": (unrounded_frame, "Input 'x' is not quantised", "precision"),
    "a layer is not rounded": (unrounded, "'conv' is not quantised", "precision"),
    "weights in float32": (plain_weights, "'conv' is not quantised", "precision"),
    "weights around another number": (constant("wz", np.full(5, 4, np.int8)), "'conv'.*another number", "QInt8"),
    "an operator without 8-bit kernels": (
        lambda n, c: n.update(mean=node("Sigmoid", ["yd"], ["s"]), end=node("GlobalAveragePool", ["s"], ["scores"])),
        "no 8-bit form", "precision",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PARTLY)
def test_what_no_8_bit_kernel_takes_is_computed_in_float32(name: str, tmp_path: Path) -> None:
    change, what, cure = PARTLY[name]
    path = file_of(tmp_path, change)
    with pytest.raises((CompileError, ImportFailed), match=what) as caught:
        given_of(path)
    assert isinstance(caught.value, EdgeError) and caught.value.hint and cure in caught.value.hint
    assert networks.onnx_file(path).load().nodes  # the import itself does not mind


def test_weights_alone_give_no_ranges(tmp_path: Path) -> None:
    path = file_of(tmp_path, weights_alone)
    network = networks.onnx_file(path)
    assert network.given is None
    graph = network.load()
    passes.run(graph)
    frame = np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32)
    ours = quantize.float_step.float_step(graph, frame, {})[graph.output]
    np.testing.assert_allclose(ours.ravel(), onnx_lab.runtime_step_of(path)(frame)[0].ravel(), rtol=1e-4, atol=1e-5)


def test_the_same_weights_written_otherwise(tmp_path: Path) -> None:
    """Weights of uint8 around 128, and weights in float32 that the file rounds itself."""

    def unsigned(nodes: dict[str, NodeProto], constants: dict[str, np.ndarray]) -> None:
        constants["w"] = (constants["w"].astype(np.int64) + 128).astype(np.uint8)
        constants["wz"] = np.full(5, 128, np.uint8)

    def rounds(nodes: dict[str, NodeProto], constants: dict[str, np.ndarray]) -> None:
        constants["w"] = constants["w"].astype(np.float32) * np.float32(0.01)
        first = node("QuantizeLinear", ["w", "ws", "wz"], ["wq"], "round w", axis=0)
        nodes["read w"].input[0] = "wq"
        after = {name: nodes.pop(name) for name in ("read w", "conv", "round y", "read y", "mean")}
        nodes.update({"round w": first, **after})

    wanted = given_of(file_of(tmp_path, lambda nodes, constants: None))
    (step,) = wanted.steps.values()
    np.testing.assert_allclose(step, 0.01, rtol=1e-6)
    for change in (unsigned, rounds):
        found = given_of(file_of(tmp_path, change))
        assert found.values == wanted.values and found.steps == wanted.steps


def test_scales_of_weights_that_a_batch_norm_changed() -> None:
    rng = np.random.default_rng(1)
    whole = rng.integers(-128, 128, (4, 3, 3, 3)).astype(np.int8)
    whole[2] = 0
    factor = np.array([0.5, -0.25, 3.0, 1e-3])
    found = steps_of((whole * factor.reshape(-1, 1, 1, 1)).astype(np.float32), whole)
    np.testing.assert_allclose(found, [0.5, 0.25, 0, 1e-3], rtol=1e-6)
    assert steps_of(rng.standard_normal((4, 3, 3, 3)), whole) is None
    assert steps_of(whole[:2], whole) is None
    assert Given({}, {"a": whole}).lowest == (whole == -128).sum()


def test_ranges_with_scales_of_weights_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "ranges.json"
    text = Ranges("n", "m", 0, {"y": (0.0, 1.0)}, {"y": (1.0, 2.0)}).text()
    for old, new, what in (("2.0", "-2.0", "none"), ("2.0", "NaN", "holds no|none"), ("2.0", '"b"', "holds no")):
        path.write_text(text.replace(old, new))
        with pytest.raises(UsageError, match=what):
            Ranges.load(path)
    graph = networks.onnx_file(file_of(tmp_path, lambda nodes, constants: None)).load()
    passes.run(graph)
    ranges = given_of(tmp_path / "net.onnx")
    short = replace(ranges, steps={name: row[:-1] for name, row in ranges.steps.items()})
    with pytest.raises(UsageError, match="other weights"):
        quantize.quantise(graph, short)
