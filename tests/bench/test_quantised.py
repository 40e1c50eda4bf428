"""A bundle in 8 bits beside its peers: the QDQ file by the bundle's scales, in numbers, and the report with top-1.

Kernels in 8 bits are not needed here: the bundle is a stand-in that computes by the integer reference.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tsm_edge import models, synth, target
from tsm_edge.bench import forms, peers, session
from tsm_edge.bench.agreement import difference
from tsm_edge.bench.network import own_network
from tsm_edge.bench.peers.onnxruntime import EXACT_BYTES
from tsm_edge.bench.runner import Runner, frames
from tsm_edge.bundle.scales import Affine, LayerScale, Scales
from tsm_edge.errors import UsageError
from tsm_edge.models import shipped_file
from tsm_edge.train import store as stores
from tsm_edge.weights import checkpoints

for package in ("onnx", "onnxruntime", "torch", "tvm"):
    pytest.importorskip(package)

FRAMES = 4
MODELS = {
    "mobilenet": models.load("tsm-mobilenetv2", width=0.25, size=32, classes=5),
    "resnet": models.load("tsm-resnet18", size=32, classes=5),
}
QUICK = ("--threads", "1", "--min-runs", "5", "--min-secs", "0", "--max-secs", "0")


def integers(model, clip):
    """A model's graph in 8 bits by min-max ranges of a clip."""
    from tsm_edge.compile import passes, quantize
    from tsm_edge.compile.frontend import networks

    graph = networks.zoo(model).load()
    passes.run(graph)
    return quantize.quantise(graph, quantize.calibrate(graph, [clip], method="min-max").ranges)


@pytest.fixture(scope="module", params=MODELS)
def case(request, one_thread, tmp_path_factory):
    """A network, its frames, its integers, and the form that peers open."""
    network = own_network(MODELS[request.param])
    clip = frames(network.signature.inputs[0], FRAMES)
    whole = integers(MODELS[request.param], clip)
    folder = tmp_path_factory.mktemp("scales")
    (folder / "scales.json").write_text(whole.by_layer().text())
    return network, clip, whole, forms.eight_bits(network.signature, network.onnx, folder)


def layer_by_layer(data):
    """The file as a session that reads every layer's input from outside, and the outputs of the layers by name."""
    import onnx
    import onnxruntime

    model = onnx.load_model_from_string(data)
    graph = model.graph
    made = {node.output[0]: node for node in graph.node}
    layers = {}
    for node in graph.node:
        if node.op_type == "QuantizeLinear" and not node.output[0].endswith(".part.bytes"):
            before = made.get(node.input[0])
            part = before is not None and before.op_type == "Add"
            name = "frame" if before is None else before.input[0] if part else before.name
            layers[name.removesuffix(".part.bytes.real")] = node.output[0]
    known = {*layers.values()}
    for node in graph.node:
        for at, name in enumerate(node.input):
            if name in known:
                node.input[at] = f"{name}.given"
    typed = onnx.TensorProto.UINT8
    graph.input.extend(onnx.helper.make_tensor_value_info(f"{name}.given", typed, None) for name in known)
    outputs = {one.name for one in graph.output}
    graph.output.extend(
        onnx.helper.make_tensor_value_info(name, typed, None) for name in sorted(known - outputs)
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry(*EXACT_BYTES)
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    ), layers


def unsigned(array):
    """Our bytes [H, W, C] as the file's, NCHW."""
    return (array.astype(np.int32) + 128).astype(np.uint8).transpose(2, 0, 1)[None]


def test_every_layer_of_the_file_computes_the_bytes_of_the_reference(case):
    """Each layer is given the reference's input, so that a rounding is not amplified by the layers after it."""
    from tsm_edge.compile.quantize import integer

    network, clip, whole, form = case
    graph, (run, layers) = whole.graph, layer_by_layer(form.onnx)
    values = {node.layer: node.output for node in graph.nodes if node.output in whole.layers}
    values["frame"] = graph.frame
    assert set(layers) == set(values)
    states, unequal, count = integer.zero_states(whole), 0, 0
    names = [pair.input.name for pair in network.signature.states]
    for frame in clip:
        found = integer.integer_step(whole, frame, states)
        given = {f"{layers[name]}.given": unsigned(found[values[name]]) for name in layers}
        given |= {
            name: (states[state].astype(np.int32) + 128).astype(np.uint8)
            for name, state in zip(names, graph.states)
        }
        wanted = {one.name for one in run.get_inputs()}
        inputs = {name: array for name, array in {"frame": frame, **given}.items() if name in wanted}
        results = dict(zip(layers, run.run([*layers.values()], inputs)))
        for name, array in results.items():
            off = np.abs(array.astype(np.int32) - unsigned(found[values[name]]))
            summed = name in values and any(
                node.layer == name and node.op.residual for node in graph.nodes if node.output in whole.layers
            )
            assert off.max() <= (2 if summed else 1), name
            unequal, count = unequal + int((off > 0).sum()) * (not summed), count + off.size * (not summed)
        states = {name: array.astype(np.int8) for name, array in integer.after(graph, found).items()}
    assert unequal / count < 2e-3


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_peer_in_8_bits_is_as_near_to_float32_as_the_reference(case, name):
    pytest.importorskip(name)
    if name == "openvino" and not target.load("local").cpu.vnni:
        pytest.skip("OpenVINO sums products of bytes in 16 bits on a processor without VNNI, which overflows")
    from tsm_edge.compile.quantize import calibration, integer

    network, clip, whole, form = case
    exact, eight = peers.load("torch", network, 1), replace(network, stored="int8", eight=form)
    peer = peers.load(name, eight, 1)
    assert (peer.precision, peer.why, peer.tolerance) == ("int8", "", 0.3)
    rows = []
    for _ in range(2):  # the second time after a reset
        exact.reset()
        peer.reset()
        assert all(not state.any() for state in peer.states())
        states = integer.zero_states(whole)
        for frame in clip:
            ours, states = integer.step(whole, frame, states)
            rows.append((exact.step(frame).ravel(), ours.ravel(), peer.step(frame).ravel().copy()))
            first = next(iter(states))  # in later ones, small and of seeded weights, single roundings have grown
            assert difference(peer.states()[0], whole.scales[first].real(states[first])) < 0.1
    assert all(np.array_equal(a[2], b[2]) for a, b in zip(rows[:FRAMES], rows[FRAMES:]))
    float32, ours, theirs = (np.stack(column) for column in zip(*rows))
    # The file rounds once more before a sum, with a step of up to twice the bundle's: 6 dB.
    assert calibration.decibels(float32, theirs) > calibration.decibels(float32, ours) - 6
    peer.close()


def test_peers_without_8_bits_say_why(case):
    network, clip, _, form = case
    eight = replace(network, stored="int8", eight=form)
    for name, why in (("ncnn", "no zero points"), ("torch", "runs in float32")):
        pytest.importorskip(name)
        peer = peers.load(name, eight, 1)
        assert peer.precision == "float32" and why in peer.why
        peer.close()
    without = forms.eight_bits(network.signature, network.onnx, Path("nowhere"))
    assert without.precision == "float32" and "scales.json" in without.why and without.onnx == network.onnx
    written = forms.eight_bits(network.signature, form.onnx, None)  # a file that others quantised runs as it is
    assert (written.precision, written.onnx) == ("int8", form.onnx)


def test_a_network_with_other_layers_stays_in_float32(case, tmp_path):
    network, _, whole, _ = case
    known = whole.by_layer()
    for layers, words in (
        ((*known.layers, LayerScale("elsewhere", Affine(0.1, 0), False)), "'elsewhere'|elsewhere"),
        ((*known.layers, known.layers[0]), "one name"),
    ):
        (tmp_path / "scales.json").write_text(replace(known, layers=layers).text())
        form = forms.eight_bits(network.signature, network.onnx, tmp_path)
        assert form.precision == "float32" and any(word in form.why for word in words.split("|"))


def test_scales_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "scales.json"
    layers = (LayerScale("a", Affine(1 / 3, -128), True), LayerScale("b", Affine.of(-1.0, 2.0), False))
    scales = Scales(Affine(0.5, 3), (None, Affine(0.25, 0)), layers)
    path.write_text(scales.text())
    assert Scales.load(path) == scales
    assert layers[1].scale.low == pytest.approx(-1.0, abs=0.01) and layers[1].scale.high <= 2.01


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}", "schema"),
        ('{"schema": 2}', "schema 2"),
        ('{"schema": 1, "frame": {"step": 0, "zero": 0}, "states": [], "layers": []}', "step 0"),
        ('{"schema": 1, "frame": {"step": 1, "zero": true}, "states": [], "layers": []}', "zero True"),
        ('{"schema": 1, "frame": null, "states": {}, "layers": []}', "no list"),
        ('{"schema": 1, "frame": null, "states": [], "layers": [{"step": 1, "zero": 0}]}', "layer"),
    ],
)
def test_a_file_without_scales_is_refused(tmp_path, text, words):
    path = tmp_path / "scales.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="holds no scales") as caught:
        Scales.load(path)
    assert words in str(caught.value.found)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino", "ncnn", "torch"])
def test_beside_half_precision_each_peer_says_what_it_runs_in(case, name):
    pytest.importorskip(name)
    network, clip, *_ = case
    plain, half = peers.load(name, network, 1), peers.load(name, replace(network, stored="float16"), 1)
    assert (plain.precision, plain.why) == ("float32", "")
    assert half.tolerance == 4e-2 and (half.precision == "float16") == (half.why == "")
    assert name != "ncnn" or "fp16 storage" in half.settings
    for frame in clip:
        assert difference(half.step(frame), plain.step(frame)) < 4e-2
        bound = 4e-2 if half.precision == "float16" else 0.0
        assert max(map(difference, half.states(), plain.states())) <= bound
    plain.close()
    half.close()


@pytest.fixture(scope="module")
def gestures(tmp_path_factory, one_thread):
    """The shipped network as a bundle in 8 bits would say it is, with its integers, and a folder with its scales."""
    model = models.load("gestures")
    folder = tmp_path_factory.mktemp("int8")
    clip = frames(model.signature.inputs[0], 3)
    whole = integers(model, clip)
    (folder / "scales.json").write_text(whole.by_layer().text())
    digest = checkpoints.sha256(shipped_file("gestures"))
    weights = SimpleNamespace(source="default", note="shipped", sha256=digest)
    info = SimpleNamespace(
        name=model.name, parameters=dict(model.parameters), weights=weights, source="zoo", clip_frames=1, delay_frames=0
    )
    manifest = SimpleNamespace(
        model=info,
        labels=model.labels,
        signature=model.signature,
        preprocess=model.preprocess,
        target=SimpleNamespace(name="local", family="cpu"),
        precision="int8",
    )
    return folder, manifest, whole


class Integers(Runner):
    """A bundle in 8 bits as the numpy reference computes it."""

    name, version, settings, precision = "tsm-edge", "0", "numpy", "int8"

    def __init__(self, manifest, whole):
        self.model = SimpleNamespace(manifest=manifest, threads=1, signature=manifest.signature)
        self.whole = whole
        self.reset()

    def reset(self):
        from tsm_edge.compile.quantize import integer

        self.now = integer.zero_states(self.whole)

    def step(self, frame):
        from tsm_edge.compile import quantize

        scores, self.now = quantize.step(self.whole, frame, self.now)
        return scores

    def states(self):
        return [self.whole.scales[name].real(array) for name, array in self.now.items()]

    def close(self):
        pass


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Three clips of three gestures."""
    labels = models.load("gestures").labels
    folder = tmp_path_factory.mktemp("clips") / "store"
    writer = stores.Writer(folder, 3 * synth.FRAMES, 110)
    for number in range(3):
        clip = synth.render("test", 3, synth.LABELS.index(labels[number]), size=110)
        writer.add(f"{number}", number, clip.frames)
    writer.close(labels, synth.RATE_FPS, "rendered")
    return folder


def test_one_table_of_times_and_top1(gestures, clips, invoke, monkeypatch):
    folder, manifest, whole = gestures
    monkeypatch.setattr(session, "EdgeRunner", lambda *_: Integers(manifest, whole))
    arguments = ("bench", folder, *QUICK, "--against", "onnxruntime,ncnn", "--data", clips)
    pytest.importorskip("ncnn")
    result = invoke(*arguments, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    ours, peer, other = document["runners"]
    assert [one["precision"] for one in document["runners"]] == ["int8", "int8", "float32"]
    assert "zero points" in other["why_not_the_bundles_precision"]
    assert "why_not_the_bundles_precision" not in ours and "why_not_the_bundles_precision" not in peer
    assert document["data"]["clips"] == 3 and document["data"]["classes"] == 11
    assert document["data"]["classes_shown"] == 3
    assert {one["top1"] for one in document["runners"]} <= {0.0, 0.3333, 0.6667, 1.0}
    assert other["top1"] >= 0.3333  # the shipped weights know rendered clips
    assert all(check["worst_relative"] < 0.3 for check in document["checked"])


def test_the_table_for_people(gestures, clips, invoke, monkeypatch):
    folder, manifest, whole = gestures
    monkeypatch.setattr(session, "EdgeRunner", lambda *_: Integers(manifest, whole))
    arguments = (folder, *QUICK, "--against", "onnxruntime,torch", "--data", clips, "--clips", "1")
    result = invoke("bench", *arguments)
    assert result.exit_code == 0, result.output
    (header,) = [line for line in result.stdout.splitlines() if line.startswith("ms a step")]
    assert "precision" in header and header.endswith("top-1 %")
    assert "torch in float32: its eager step runs in float32" in result.stdout
    assert "top-1 of 1 clips of 1 of 11 classes" in result.stdout
