"""Models that come trained: a file of weights is a model, its weights are the default, and never dropped in silence."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
from click.testing import CliRunner

from tsm_edge import cli, models
from tsm_edge.bundle.manifest import WeightsInfo
from tsm_edge.errors import ModelError, UnknownName, UsageError
from tsm_edge.weights import checkpoints, origin
from tsm_edge.weights import shipped as shipped_weights
from tsm_edge.weights.meta import WeightsMeta
from tsm_edge.weights.writing import save_weights

LABELS = ("left", "right", "none")


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A folder of shipped weights with one model, "waves"."""
    monkeypatch.setattr(shipped_weights, "FOLDER", tmp_path)
    model = models.load("tsm-mobilenetv2", width=0.25, size=32, labels=LABELS)
    net = model.build(9)
    meta = WeightsMeta("tsm-mobilenetv2", dict(model.parameters), LABELS, 12.0, "trained on nothing")
    save_weights(tmp_path / "waves.safetensors", net, meta)
    return net


def test_a_file_is_a_model(shipped):
    assert models.shipped() == ["waves"]
    model = models.load("waves")
    assert (model.name, model.size, model.labels) == ("waves", 32, LABELS)
    assert model.parameters["width"] == 0.25


def test_its_weights_are_the_default(shipped):
    net, info = checkpoints.prepare(models.load("waves"))
    assert (info.source, info.note) == ("default", "trained on nothing")
    assert info.sha256 == checkpoints.sha256(shipped_weights.path_of("waves"))
    for key, value in net.state_dict().items():
        assert torch.equal(value, shipped.state_dict()[key]), key


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"size": 64}, "size 64"),
        ({"width": 0.5}, "width 0.5"),
        ({"classes": 5}, "classes 5"),
        ({"labels": tuple("abcd")}, "classes 4"),
        ({"labels": ("right", "left", "none")}, "its labels in another order"),
    ],
)
def test_weights_that_do_not_fit_are_not_dropped_in_silence(shipped, change, found):
    with pytest.raises(UsageError) as caught:
        checkpoints.prepare(models.load("waves", **change))
    assert caught.value.found == found
    assert "train --init waves" in caught.value.hint and "waves --seed 1" in caught.value.hint
    assert checkpoints.prepare(models.load("waves", **change), seed=1)[1].source == "seeded"


def test_renamed_labels_keep_the_weights(shipped):
    net, info = checkpoints.prepare(models.load("waves", labels=("links", "right", "nichts")))
    assert (info.source, info.note) == ("default", "trained on nothing; labels renamed")
    assert torch.equal(net.state_dict()["classifier.weight"], shipped.state_dict()["classifier.weight"])


def test_compile_and_export_refuse_labels_of_another_number(shipped, tmp_path):
    (tmp_path / "labels.txt").write_text("\n".join(models.JESTER))
    for verb in (["compile", "--target", "x86-64"], ["export"]):
        result = CliRunner().invoke(cli.cli, [*verb, "waves", "--labels", str(tmp_path / "labels.txt")])
        assert result.exit_code == 2, result.output
        assert "classes 27" in result.stderr and "train --init waves" in result.stderr


def test_compile_asks_for_a_model(shipped):
    result = CliRunner().invoke(cli.cli, ["compile", "--target", "local"])
    assert result.exit_code == 2
    assert "waves (trained); tsm-efficientnet-lite0, tsm-mobilenetv2" in result.stderr
    assert "hint: tsm-edge compile waves --target local" in result.stderr


def test_the_list_of_models_shows_it(shipped):
    result = CliRunner().invoke(cli.cli, ["models", "--json"])
    streams = [each["name"] for each in json.loads(result.stdout)["models"] if each["form"] == "stream"]
    assert streams == [*models.names(), "waves"]


def test_an_unknown_name_may_be_near_it(shipped):
    with pytest.raises(UnknownName, match="Did you mean 'waves'"):
        models.load("wave")


def test_weights_without_metadata(shipped, tmp_path):
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, tmp_path / "mute.safetensors")
    with pytest.raises(ModelError, match="do not say"):
        models.load("mute")


def test_shipped_files_are_small_and_load():
    for name in models.shipped():
        assert shipped_weights.path_of(name).stat().st_size <= 4e6
        assert checkpoints.prepare(models.load(name))[1].source == "default"


def test_a_bundle_of_older_shipped_weights_is_not_compared_with_newer_ones(shipped):
    model = models.load("waves")
    _, info = checkpoints.prepare(model)

    def manifest(sha256):
        weights = WeightsInfo("default", info.note, sha256)
        described = SimpleNamespace(name="waves", parameters=dict(model.parameters), weights=weights)
        return SimpleNamespace(model=described, labels=model.labels, signature=model.signature, preprocess=None)

    origin.check_file(manifest(info.sha256), None, "verify")
    with pytest.raises(UsageError, match="other shipped weights"):
        origin.check_file(manifest("0" * 64), None, "verify")
