"""How a checkpoint's network shifts: told by the file or asked for, and what the online order of channels keeps."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from click.testing import CliRunner

from tsm_edge import models
from tsm_edge.cli import cli
from tsm_edge.errors import CheckpointError, DirectionUnknown, UsageError
from tsm_edge.models import OFFLINE, ONLINE, TemporalShift, run_layers, shift_frames
from tsm_edge.weights import checkpoints
from tsm_edge.weights.meta import WeightsMeta
from tsm_edge.weights.reorder import past_first

torch = pytest.importorskip("torch")

LABELS = ("a", "b", "c", "d", "e")


@pytest.fixture
def ours(built, tmp_path):
    """Return ours(shift) -> a file as `tsm-edge train` writes it."""
    save_file = pytest.importorskip(
        "safetensors.torch", reason="the package safetensors is optional"
    ).save_file

    def write(shift):
        model, net = built("tsm-mobilenetv2")
        told = None if shift == ONLINE else asdict(shift)
        meta = WeightsMeta(model.name, dict(model.parameters), LABELS, 12.0, "a test", shift=told)
        save_file(net.state_dict(), tmp_path / "ours.safetensors", meta.to_text())
        return tmp_path / "ours.safetensors"

    return write


@pytest.mark.parametrize(
    "shift", [ONLINE, OFFLINE, TemporalShift("none"), TemporalShift("bi", 0.5, "inplace", "circulant")]
)
def test_a_file_of_ours_says_it(built, ours, shift):
    file, model = ours(shift), built("tsm-mobilenetv2")[0]
    assert checkpoints.shift_of(file, model) == (shift, "its metadata")
    assert checkpoints.shift_of(file, model, asked=shift.direction)[0] == shift
    other = "uni" if shift.direction != "uni" else "bi"
    with pytest.raises(UsageError, match="another shift"):
        checkpoints.shift_of(file, model, asked=other)


def test_a_checkpoint_of_our_training_says_it(built, tmp_path):
    model, net = built("tsm-mobilenetv2")
    content = {"net": net.state_dict(), "optimizer": {}, "settings": {"variant": asdict(OFFLINE)}}
    torch.save(content, tmp_path / "last.pth")
    assert checkpoints.shift_of(tmp_path / "last.pth", model) == (OFFLINE, "the settings of its training")


def test_tsn_of_mit_is_known_by_its_keys(built, tmp_path):
    model, net = built("tsm-resnet18")
    torch.save(
        {f"module.base_model.{key}": value for key, value in net.state_dict().items()}, tmp_path / "w.pth"
    )
    shift, why = checkpoints.shift_of(tmp_path / "w.pth", model)
    assert shift == TemporalShift("none") and "TSN" in why


def test_a_wrong_direction_is_taken_from_who_asks(built, tmp_path):
    """Somebody may have given the keys of MIT's online file to weights that were trained offline."""
    model, net = built("tsm-mobilenetv2")
    torch.save(net.state_dict(), tmp_path / "w.pth")
    assert checkpoints.shift_of(tmp_path / "w.pth", model)[0] == ONLINE
    assert checkpoints.shift_of(tmp_path / "w.pth", model, asked="bi") == (OFFLINE, "--direction")


@pytest.mark.parametrize(
    "shift", [{"direction": "both"}, {"proportion": float("nan")}, {"proportion": "x"}, {"place": 1}]
)
def test_a_shift_that_is_none(built, ours, shift):
    file = ours(OFFLINE)
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    facts = json.loads(header["__metadata__"]["tsm_edge"])
    facts["shift"].update(shift)
    header["__metadata__"]["tsm_edge"] = json.dumps(facts)
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
    with pytest.raises(CheckpointError):
        checkpoints.shift_of(file, built("tsm-mobilenetv2")[0])


@pytest.mark.parametrize("name", ["tsm-mobilenetv2", "tsm-resnet18", "tsm-resnet50"])
def test_the_online_order_keeps_the_past(built, name):
    """Run online, the re-ordered network is the bi-directional one whose channels of the future see the present."""
    model, net = built(name)
    clip = torch.randn(1, 4, 3, 64, 64, generator=torch.Generator().manual_seed(0))

    def present(x, fold):
        shifted = shift_frames(x, 4, OFFLINE)
        return torch.cat([x[:, :fold], shifted[:, fold:]], 1)

    ordered = models.load(name, size=64, classes=5).build()
    ordered.load_state_dict(past_first(net.state_dict(), model.layers, OFFLINE))
    with torch.no_grad():
        wanted = run_layers(net, model.layers, clip.flatten(0, 1), present)
        found, plain = ordered(clip)[0], net(clip)[0]
    assert torch.allclose(found, wanted, atol=1e-4)
    assert not torch.allclose(plain, wanted, atol=1e-2)


@pytest.fixture
def export(tmp_path, monkeypatch, built):
    """Return export(*arguments) of a file `w.pth` whose keys do not tell its direction."""
    monkeypatch.chdir(tmp_path)
    state = built("tsm-resnet18")[1].state_dict()
    torch.save(
        {key.replace("conv1.", "conv1.net.") if "layer" in key else key: state[key] for key in state}, "w.pth"
    )
    words = ["export", "tsm-resnet18", "--size", "64", "--weights", "w.pth"]
    return lambda *more: CliRunner().invoke(cli, [*words, *map(str, more)])


def test_the_command_asks(export):
    done = export()
    assert done.exit_code == DirectionUnknown.exit_code == 2
    assert "error[direction]" in done.stderr and "--direction bi" in done.stderr


def test_a_bidirectional_network_is_a_lagged_stream(export, built):
    """The exported step takes and leaves what PyTorch's does."""
    onnx = pytest.importorskip("onnx", reason="the package onnx is optional")
    done = export("--direction", "bi", "--json")
    assert done.exit_code == 0, done.output
    assert "looks into the future" in done.stderr and "8 frames" in done.stderr
    parameters = json.loads(done.stdout)["parameters"]
    assert parameters == {
        **built("tsm-resnet18")[0].parameters, "direction": "bi", "share": 0.25, "place": "residual", "delay_frames": 8
    }  # fmt: skip
    evaluator = pytest.importorskip("onnx.reference").ReferenceEvaluator
    model = models.load("tsm-resnet18", **parameters)
    net = models.make_net(model.layers, model.shift)
    net.load_state_dict(built("tsm-resnet18")[1].state_dict())
    frame, *states = (torch.randn(spec.shape) for spec in (model.signature.inputs[0], *(
        pair.input for pair in model.signature.states)))  # fmt: skip
    names = ["frame", *(pair.input.name for pair in model.signature.states)]
    feed = {name: value.numpy() for name, value in zip(names, (frame, *states))}
    found = evaluator(onnx.load("tsm-resnet18.onnx")).run(None, feed)
    with torch.no_grad():
        logits, after = net.step(frame, tuple(states))
    for mine, its in zip(found, (logits, *after), strict=True):
        assert torch.allclose(torch.from_numpy(mine), its, atol=1e-3)


def test_a_shift_around_the_ends_is_for_clips_only(ours):
    file = ours(TemporalShift("bi", 0.25, padding="circulant"))
    words = ["export", "tsm-mobilenetv2", "--weights", str(file), "--output", str(file.with_suffix(".onnx"))]
    done = CliRunner().invoke(cli, [*words, "--form", "lagged"])
    assert done.exit_code == 2 and "padding circulant" in done.stderr
    done = CliRunner().invoke(cli, [*words, "--clip-frames", "4"])
    assert done.exit_code == 0 and "a window of 4 frames" in done.stderr, done.output


def test_as_online_warns_and_reorders(export, built):
    onnx = pytest.importorskip("onnx", reason="the package onnx is optional")
    done = export("--direction", "bi", "--as-online", "--json")
    assert done.exit_code == 0, done.output
    assert "warning: run online" in done.stderr and "train --init w.pth" in done.stderr
    assert checkpoints.REORDERED in json.loads(done.stdout)["weights"]["note"]
    found = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load("tsm-resnet18.onnx").graph.initializer}
    model, net = built("tsm-resnet18")
    wanted = past_first(net.state_dict(), model.layers, OFFLINE)["fc.weight"]
    assert any(value.shape == wanted.shape and (value == wanted.numpy()).all() for value in found.values())


def test_online_weights_need_nothing(export):
    done = export("--direction", "uni")
    assert done.exit_code == 0, done.output
    assert "from the past only, by --direction" in done.stderr
    assert export("--direction", "uni", "--as-online").exit_code == 2


def test_a_direction_belongs_to_a_checkpoint():
    for words in (["--direction", "uni"], ["--as-online"]):
        done = CliRunner().invoke(cli, ["export", "tsm-resnet18", *words])
        assert done.exit_code == 2 and "--weights" in done.stderr
