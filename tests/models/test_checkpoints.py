"""Checkpoints in every form that other projects write load to the same outputs.

The forms are made from our own networks by writing the keys as those projects do; tests/models/test_foreign_keys.py
holds the names one by one.
"""

from __future__ import annotations

import hashlib

import pytest
from checkpoint_forms import FORMS, MOBILENET, mmaction_mobilenet

from tsm_edge import models
from tsm_edge.errors import DirectionUnknown
from tsm_edge.models import make_net
from tsm_edge.weights import checkpoints

torch = pytest.importorskip("torch")

def scores(net):
    frames = torch.randn(1, 2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return net(frames)


@pytest.fixture(scope="module")
def blank():
    """Return blank(name) -> a net of 5 classes, all zeros, that a test may load into."""
    nets = {name: make_net(models.load(name, classes=5).layers) for name in models.names()}

    def zeroed(name):
        with torch.no_grad():
            for tensor in nets[name].state_dict().values():
                tensor.zero_()
        return nets[name]

    return zeroed


@pytest.mark.parametrize(("name", "form", "rename", "direction"), FORMS, ids=[f"{f[0]} {f[1]}" for f in FORMS])
@pytest.mark.parametrize("wrapped", [True, False], ids=["wrapped", "bare"])
def test_every_form_loads(built, blank, tmp_path, name, form, rename, direction, wrapped):
    model, source = built(name)
    state = {rename(key): value for key, value in source.state_dict().items() if "num_batches" not in key}
    assert len(state) == sum("num_batches" not in key for key in source.state_dict())
    if wrapped:
        state = {
            "epoch": 50,
            "arch": "x",
            "state_dict": state,
            "optimizer": {"lr": 0.1},
            "best_prec1": torch.ones(1),
        }
    file = tmp_path / "weights.pth.tar"
    torch.save(state, file)
    net = blank(name)
    report = checkpoints.load_into(net, file, model)
    assert torch.equal(scores(net), scores(source))
    assert report.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    beside = ("no weights, left out: best_prec1",) if wrapped else ()
    assert report.notes == beside
    if direction is None or wrapped:  # MIT's online file is a bare state_dict
        with pytest.raises(DirectionUnknown, match="--direction bi"):
            checkpoints.shift_of(file, model)
    else:
        assert checkpoints.shift_of(file, model)[0] == models.ONLINE
    assert checkpoints.shift_of(file, model, asked="bi") == (models.OFFLINE, "--direction")
    assert checkpoints.class_count(file, model) == 5


def test_batch_counters_and_preprocessor_are_ignored(built, blank, tmp_path):
    model, source = built("tsm-resnet18")
    state = dict(source.state_dict()) | {"data_preprocessor.mean": torch.zeros(3, 1, 1)}
    torch.save({"meta": {"epoch": 1}, "state_dict": state}, tmp_path / "w.pth")
    net = blank("tsm-resnet18")
    checkpoints.load_into(net, tmp_path / "w.pth", model)
    assert torch.equal(scores(net), scores(source))


def test_old_file_format_and_half_precision(built, blank, tmp_path):
    model, source = built("tsm-mobilenetv2")
    half = {
        key: value.half() if value.is_floating_point() else value
        for key, value in source.state_dict().items()
    }
    torch.save(half, tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    net = blank("tsm-mobilenetv2")
    checkpoints.load_into(net, tmp_path / "w.pth", model)
    assert all(value.dtype == torch.float32 for value in net.parameters())
    wanted = scores(source)
    assert (scores(net) - wanted).abs().max() < 0.05 * wanted.abs().max()


def test_safetensors(built, blank, tmp_path):
    safetensors = pytest.importorskip("safetensors.torch", reason="the package safetensors is optional")
    model, source = built("tsm-resnet18")
    safetensors.save_file(source.state_dict(), tmp_path / "w.safetensors")
    net = blank("tsm-resnet18")
    checkpoints.load_into(net, tmp_path / "w.safetensors", model)
    assert torch.equal(scores(net), scores(source))


def test_mmaction_jester_has_another_order(tmp_path):
    model = models.load(MOBILENET, size=32)
    net = model.build()
    torch.save(
        {mmaction_mobilenet(key): value for key, value in net.state_dict().items()}, tmp_path / "w.pth"
    )
    report = checkpoints.load_into(net, tmp_path / "w.pth", model)
    assert report.notes == (checkpoints.OTHER_ORDER,)
    assert report.weights.source == "file"
    assert report.weights.note == "; ".join(("w.pth", *report.notes))


def test_prepare_says_where_the_weights_are_from(built, tmp_path):
    model, source = built(MOBILENET)
    net, info = checkpoints.prepare(model, seed=3)
    assert (info.source, info.sha256) == ("seeded", "") and "seed 3" in info.note
    torch.save(source.state_dict(), tmp_path / "mine.pth")
    net, info = checkpoints.prepare(model, tmp_path / "mine.pth")
    assert (info.source, info.note, len(info.sha256)) == ("file", "mine.pth", 64)
    assert torch.equal(scores(net), scores(source))
