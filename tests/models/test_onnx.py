"""The ONNX file computes what torch computes, frame after frame, and says what it is."""

from __future__ import annotations

import os

import numpy as np
import pytest

from tsm_edge import models
from tsm_edge.bundle.manifest import WeightsInfo
from tsm_edge.errors import ImportFailed, OutputError
from tsm_edge.onnx.file import onnx_model, write
from tsm_edge.onnx.meta import OnnxMeta

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

WEIGHTS = WeightsInfo("seeded", "a test's", "")


def proto_of(model, net):
    arrays = {key: value.numpy() for key, value in net.state_dict().items()}
    return onnx_model(model, arrays, OnnxMeta.of(model, WEIGHTS))


def assert_runs_alike(model, net, data: bytes) -> None:
    """Eight frames through ONNX Runtime and through torch, each with its own states."""
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime runs the file")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    pairs = [(pair.input.name, pair.output_name) for pair in model.signature.states]
    assert [value.name for value in session.get_inputs()] == ["frame", *(before for before, _ in pairs)]
    assert [value.name for value in session.get_outputs()] == ["logits", *(after for _, after in pairs)]
    ours = model.zero_states()
    theirs = {pair.input.name: np.zeros(pair.input.shape, np.float32) for pair in model.signature.states}
    frames = torch.randn(8, 1, 3, model.size, model.size, generator=torch.Generator().manual_seed(0))
    for frame in frames:
        with torch.no_grad():
            wanted, ours = net.step(frame, ours)
        got, *states = session.run(None, {"frame": frame.numpy(), **theirs})
        theirs = dict(zip(theirs, states))
        wanted = wanted.numpy()
        assert np.abs(got - wanted).max() <= 2e-5 * np.abs(wanted).max()
        for state, other in zip(states, ours):
            assert np.abs(state - other.numpy()).max() <= 2e-5 * np.abs(other.numpy()).max()


def test_eight_frames_in_onnxruntime(built, name):
    model, net = built(name)
    assert_runs_alike(model, net, proto_of(model, net).SerializeToString())


@pytest.mark.parametrize(
    ("name", "shift", "pool"),
    [
        ("tsm-mobilenetv2", models.OFFLINE, False),
        ("tsm-resnet18", models.TemporalShift("bi", 0.25, "inplace", "circulant"), True),
        ("tsm-resnet18", models.TemporalShift("uni", 1.0, padding="hold"), False),
    ],
)
def test_clips_in_onnxruntime(name, shift, pool):
    """All frames of a clip at once: the mean of what the clip form gives for its frames."""
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime runs the file")
    model = models.load(name, size=32, classes=3, temporal_pool=pool).clips(shift, models.Window(5, 2))
    net = model.build(1)
    clip = torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    session = runtime.InferenceSession(proto_of(model, net).SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"frame": clip.numpy()})
    with torch.no_grad():
        wanted, stepped = net(clip[None])[0].mean(0).numpy(), net.step(clip, ())[0].numpy()
    assert np.abs(found - stepped).max() <= 1e-5 * np.abs(stepped).max()
    assert np.abs(found[0] - wanted).max() <= 1e-4 * np.abs(wanted).max()


def test_full_size_in_onnxruntime():
    model = models.load("tsm-mobilenetv2")
    net = model.build()
    assert_runs_alike(model, net, proto_of(model, net).SerializeToString())


def test_shapes_are_static_and_nodes_are_named(built, name):
    model, net = built(name)
    proto = proto_of(model, net)
    assert proto.opset_import[0].version >= 17
    wanted = [spec.shape for spec in model.signature.inputs] + [
        pair.input.shape for pair in model.signature.states
    ]
    assert [tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in proto.graph.input] == wanted
    names = [node.name for node in proto.graph.node]
    assert len(set(names)) == len(names) and all(names)
    kinds = [node.op_type for node in proto.graph.node]
    assert kinds.count("Split") == kinds.count("Concat") == len(model.signature.states)
    assert "BatchNormalization" not in kinds


def test_bytes_are_the_same_every_time_and_hold_no_path(tmp_path):
    model = models.load("tsm-mobilenetv2", size=32, classes=3)
    files = [tmp_path / "a.onnx", tmp_path / "b.onnx"]
    for file in files:
        assert write(file, proto_of(model, model.build())) == file.stat().st_size
    first, second = (file.read_bytes() for file in files)
    assert first == second
    assert os.fsencode(os.path.dirname(os.path.dirname(models.__file__))) not in first
    assert b"doc_string" not in first and b"stack_trace" not in first


def test_metadata_round_trips_through_the_file(built, tmp_path):
    model, net = built("tsm-resnet18")
    write(tmp_path / "net.onnx", proto_of(model, net))
    props = {prop.key: prop.value for prop in onnx.load(tmp_path / "net.onnx").metadata_props}
    meta = OnnxMeta.from_props(props)
    assert (meta.model, meta.parameters, meta.labels) == (model.name, model.parameters, model.labels)
    assert meta.preprocess == model.preprocess
    assert meta.states == tuple((f"cache{i}", f"cache{i}_out") for i in range(8))
    assert meta.weights == WEIGHTS
    assert OnnxMeta.from_props({"other": "x"}) is None


@pytest.mark.parametrize(
    ("key", "value", "part"),
    [
        ("schema", "1", "another version"),
        ("model", None, "is damaged"),
        ("labels", "[", "is damaged"),
        ("labels", "7", "is damaged"),
        ("states", '[["a"]]', "is damaged"),
        ("preprocess", "{}", "is damaged"),
        ("weights", '{"source": "x", "note": "", "sha256": ""}', "is damaged"),
        ("weights", '{"origin": "x"}', "is damaged"),
    ],
)
def test_damaged_metadata_is_refused(built, key, value, part):
    model, _ = built("tsm-resnet18")
    props = OnnxMeta.of(model, WEIGHTS).to_props()
    props = {k: v for k, v in (props | {f"tsm_edge.{key}": value}).items() if v is not None}
    with pytest.raises(ImportFailed, match=part):
        OnnxMeta.from_props(props)


def test_a_failed_write_leaves_the_old_file(built, tmp_path, monkeypatch):
    model, net = built("tsm-resnet18")
    file, proto = tmp_path / "net.onnx", proto_of(model, net)
    file.write_bytes(b"old")

    def fail(*paths):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OutputError, match="No space left"):
        write(file, proto)
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"] and file.read_bytes() == b"old"


def test_where_nothing_can_be_written(built, tmp_path):
    model, net = built("tsm-resnet18")
    proto = proto_of(model, net)
    for target in (tmp_path / "none" / "net.onnx", tmp_path):
        with pytest.raises(OutputError, match="cannot be written"):
            write(target, proto)
