"""Every refusal of a checkpoint: it says what was found, and the network stays as it was."""

from __future__ import annotations

import os
import pickle
import sys

import pytest

from tsm_edge import models
from tsm_edge.errors import CheckpointError, ExtraMissing
from tsm_edge.weights import checkpoints

torch = pytest.importorskip("torch")


@pytest.fixture
def refused(built, tmp_path):
    """Return refused(content, name) -> the text of the error that loading gives; content None keeps the file."""

    def load(content=None, name="tsm-resnet18", file=tmp_path / "w.pth"):
        model, net = built(name)
        if content is not None:
            torch.save(content, file)
        before = {key: value.clone() for key, value in net.state_dict().items()}
        with pytest.raises(CheckpointError) as caught:
            checkpoints.load_into(net, file, model)
        assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
        assert str(file) in str(caught.value)
        return str(caught.value)

    return load


@pytest.fixture
def state(built):
    """A state_dict of ResNet-18 with 5 classes that a test may change."""
    return dict(built("tsm-resnet18")[1].state_dict())


class Runs:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("as_torch", [True, False], ids=["torch.save", "pickle"])
def test_code_in_a_pickle_is_not_run(refused, state, tmp_path, as_torch):
    trap = {"state_dict": state, "hook": Runs(tmp_path / "ran")}
    if as_torch:
        torch.save(trap, tmp_path / "w.pth")
    else:
        (tmp_path / "w.pth").write_bytes(pickle.dumps({"hook": trap["hook"]}, protocol=2))
    text = refused()
    if as_torch:
        assert "Python objects" in text and "found: posix.mkdir" in text and "if you trust the file" in text
    else:
        assert "found: a pickle that torch.save did not write" in text
    assert not (tmp_path / "ran").exists()


def test_a_whole_pickled_network_is_refused(refused):
    assert "found: torch.nn.modules.linear.Linear" in refused(torch.nn.Linear(2, 2))


def test_missing_file_and_folder(refused, tmp_path):
    assert "no such file" in refused(file=tmp_path / "none.pth")
    assert "a folder" in refused(file=tmp_path)


@pytest.mark.parametrize("keep", [0, 10, 1000, -1000])
def test_truncated_file(refused, state, tmp_path, keep):
    torch.save(state, tmp_path / "w.pth")
    data = (tmp_path / "w.pth").read_bytes()
    (tmp_path / "w.pth").write_bytes(data[:keep])
    assert "is damaged" in refused()


def test_truncated_old_format(refused, state, tmp_path):
    torch.save(state, tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    data = (tmp_path / "w.pth").read_bytes()
    (tmp_path / "w.pth").write_bytes(data[: len(data) // 2])
    assert "is damaged" in refused()


def test_a_web_page_in_place_of_the_file(refused, tmp_path):
    (tmp_path / "w.pth").write_text("<!DOCTYPE html><html><body>404</body></html>")
    assert "a web page" in refused()


def test_damaged_safetensors(refused, tmp_path):
    pytest.importorskip("safetensors", reason="the package safetensors is optional")
    (tmp_path / "w.safetensors").write_bytes(b"\xff" * 64)
    assert "is damaged" in refused(file=tmp_path / "w.safetensors")


def test_safetensors_without_the_package(built, tmp_path, monkeypatch):
    (tmp_path / "w.safetensors").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ExtraMissing, match="pip install safetensors"):
        checkpoints.class_count(tmp_path / "w.safetensors", built("tsm-resnet18")[0])


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ([1, 2], "found: list"),
        (torch.zeros(3), "found: Tensor"),
        ({"epoch": 3}, "no tensor among: epoch"),
        ({}, "nothing"),
    ],
)
def test_no_weights(refused, content, part):
    text = refused(content)
    assert "holds no weights" in text and part in text


def test_missing_and_unexpected_tensors_are_listed(refused, state):
    for index in range(9):
        state[f"extra.{index}.weight"] = torch.zeros(1)
    del state["layer1.0.conv1.weight"], state["fc.bias"]
    text = refused(state)
    assert "2 missing: layer1.0.conv1.weight, fc.bias;" in text
    assert "9 unexpected: extra.0.weight," in text and "extra.7.weight … and 1 more" in text
    assert "extra.8" not in text


def test_a_tensor_under_two_names(refused, state):
    state["module.new_fc.weight"] = state["fc.weight"]
    text = refused(state)
    assert "0 missing: none; 2 unexpected: fc.weight, new_fc.weight" in text and "once" in text


@pytest.mark.parametrize(
    ("source", "name", "hint"),
    [
        ("tsm-resnet50", "tsm-resnet18", "the keys are those of tsm-resnet50"),
        ("tsm-resnet18", "tsm-resnet50", "the keys are those of tsm-resnet18"),
        ("tsm-resnet18", "tsm-mobilenetv2", "the keys are those of tsm-resnet18"),
        ("tsm-mobilenetv2", "tsm-resnet50", "the keys are those of tsm-mobilenetv2"),
    ],
)
def test_another_network_is_named(refused, built, source, name, hint):
    assert hint in refused(built(source)[1].state_dict(), name)


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ("layer2.0.conv1", "layer2.0.block.conv1.net", "non-local blocks"),
        ("layer1.0.conv1", "layer1.0.net.conv1", "a shift in 1 blocks: layer1.0"),
        ("layer2.0.conv1", "layer2.net.0.conv1.net", "temporal pooling"),
        ("layer", "stage", "the keys are those of no network here"),
    ],
)
def test_variants_that_are_other_networks(refused, state, old, new, hint):
    assert hint in refused({key.replace(old, new): value for key, value in state.items()})


def test_shift_in_other_places(refused, state):
    """A deeper network of MIT's shifts every second block only; nothing else in its keys tells."""
    some = {key.replace("0.conv1.weight", "0.conv1.net.weight"): value for key, value in state.items()}
    text = refused(some)
    assert "a shift in 4 blocks: layer1.0, layer2.0, layer3.0, layer4.0" in text
    assert "a shift in 8 blocks: layer1.0, layer1.1" in text


def test_another_class_count(refused):
    other = models.load("tsm-resnet18", size=32, classes=400).build()
    text = refused(other.state_dict())
    assert "found: 400 classes" in text and "allowed: 5" in text
    assert "--classes 400, or with 400 labels" in text


def test_another_width(refused):
    other = models.load("tsm-mobilenetv2", size=32, classes=5, width=1.4).build()
    text = refused(other.state_dict(), "tsm-mobilenetv2")
    assert (
        "tensors of other shapes" in text
        and "features.2.conv.6.weight [40, 96, 1, 1], not [24, 96, 1, 1]" in text
    )
    assert "more" in text and "--width" in text


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers(refused, state, value):
    state["bn1.weight"] = state["bn1.weight"].clone().fill_(value)
    assert "1: bn1.weight" in refused(state)


def test_quantised_values(refused, state):
    state["conv1.weight"] = state["conv1.weight"].to(torch.int8)
    assert "quantised" in refused(state)


def test_class_count_needs_one_head(state, built, tmp_path):
    body = {key: value for key, value in state.items() if not key.startswith("fc.")}
    two = state | {"new_fc.weight": torch.zeros(3, 512), "new_fc.bias": torch.zeros(3)}
    for content, part in ((body, "2 missing: fc.weight, fc.bias"), (two, "unexpected: fc.weight")):
        torch.save(content, tmp_path / "w.pth")
        with pytest.raises(CheckpointError, match=part):
            checkpoints.class_count(tmp_path / "w.pth", built("tsm-resnet18")[0])


def test_sha256_of_nothing(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be read"):
        checkpoints.sha256(tmp_path / "none")
