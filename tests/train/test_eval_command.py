"""`tsm-edge eval`: weights in both forms, a bundle as it is compiled, and the demand that fails a build."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.torch import load, save

from tsm_edge import cli, models
from tsm_edge.errors import AccuracyError
from tsm_edge.models import TemporalShift, make_net
from tsm_edge.train import eval_command
from tsm_edge.weights import checkpoints
from tsm_edge.weights.meta import WeightsMeta, read_meta
from tsm_edge.weights.writing import save_weights

LABELS = ("No gesture", "Swiping Left", "Swiping Right")


def invoke(*words):
    return CliRunner().invoke(cli.cli, [str(word) for word in words])


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Seeded weights that call themselves trained."""
    model = models.load("tsm-mobilenetv2", width=0.25, size=32, labels=LABELS)
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    meta = WeightsMeta(model.name, dict(model.parameters), LABELS, 12.0, "made for a test")
    save_weights(path, model.build(5), meta)
    return path


def test_weights_are_measured_in_both_forms(weights, small_store, tmp_path):
    result = invoke("eval", weights, "--data", small_store, "--json", "--plot", tmp_path / "out.png")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert list(document["forms"]) == ["online", "clip"]
    online, clip = document["forms"].values()
    assert online["confusion"] == clip["confusion"]
    assert np.sum(online["confusion"]) == document["clips"] == 48
    assert online["top1"] == np.trace(online["confusion"]) / 48
    assert online["top1_by_share_seen"][-1] == [1.0, online["top1"]]
    assert set(online["recall"]) == set(LABELS)
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_the_text_names_the_next_command(weights, small_store):
    result = invoke("eval", weights, "--data", small_store, "--clips", 6)
    assert result.exit_code == 0, result.output
    assert "WORST CLASS" in result.stdout and "Swiping Left" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("next: tsm-edge compile")


@pytest.mark.parametrize(("demand", "code"), [(0, 0), (99.9, 3)])
def test_less_than_was_demanded_exits_with_3(weights, small_store, demand, code):
    result = invoke("eval", weights, "--data", small_store, "--clips", 12, "--min-top1", demand)
    assert result.exit_code == code
    assert ("recognises less" in result.stderr) == (code == 3)


def test_other_labels_are_refused(weights, make_store, tmp_path):
    store = make_store(tmp_path / "store", ("Swiping Up", "Swiping Down"), 4)
    result = invoke("eval", weights, "--data", store)
    assert result.exit_code == 1 and "labels of the data" in result.stderr


def test_weights_of_strangers_need_their_labels(small_store, tmp_path):
    import torch

    model = models.load("tsm-mobilenetv2", width=0.25, size=32, labels=LABELS)
    torch.save(model.build(5).state_dict(), tmp_path / "w.pth")
    result = invoke("eval", tmp_path / "w.pth", "--data", small_store)
    assert result.exit_code == 1 and "--labels" in result.stderr
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    told = ("--labels", tmp_path / "labels.txt", "--width", 0.25, "--size", 32, "--clips", 6)
    assert invoke("eval", tmp_path / "w.pth", "--data", small_store, *told).exit_code == 0


def test_a_variant_is_measured_in_the_clip_form_only(weights, small_store, tmp_path):
    """Its file says what it is; an option that says something else is refused."""
    meta = replace(read_meta(weights), shift=asdict(TemporalShift("none")))
    (tmp_path / "tsn.safetensors").write_bytes(save(load(weights.read_bytes()), metadata=meta.to_text()))
    words = ("--data", small_store, "--clips", 6, "--json")
    result = invoke("eval", tmp_path / "tsn.safetensors", *words)
    assert list(json.loads(result.stdout)["forms"]) == ["clip"]
    result = invoke("eval", tmp_path / "tsn.safetensors", *words, "--shift=bi")
    assert result.exit_code == 2 and "another shift" in result.stderr
    without = invoke("eval", weights, *words, "--tsn")  # what a frame alone tells, of any weights
    assert list(json.loads(without.stdout)["forms"]) == ["clip"]


def test_compile_takes_network_and_labels_from_the_file(weights):
    from tsm_edge.commands.model_options import model_from
    from tsm_edge.errors import UsageError

    left_out = {"width": None, "size": None, "classes": None, "labels": None}
    model = model_from("tsm-mobilenetv2", weights=weights, **left_out)
    assert (model.labels, model.size, model.parameters["width"]) == (LABELS, 32, 0.25)
    assert model_from("tsm-mobilenetv2", weights=weights, **{**left_out, "size": 64}).size == 64
    with pytest.raises(UsageError, match="another network"):
        model_from("tsm-resnet18", weights=weights, **left_out)


def test_half_precision_keeps_the_answers(weights, tmp_path):
    model = models.load("tsm-mobilenetv2", width=0.25, size=32, labels=LABELS)
    net = make_net(model.layers)
    checkpoints.load_into(net, weights, model)
    meta = WeightsMeta(model.name, dict(model.parameters), LABELS, 12.0, "")
    save_weights(tmp_path / "half.safetensors", net, meta, half=True)
    assert (tmp_path / "half.safetensors").stat().st_size < 0.6 * weights.stat().st_size
    half = make_net(model.layers)
    checkpoints.load_into(half, tmp_path / "half.safetensors", model)
    for key, value in net.state_dict().items():
        assert np.allclose(half.state_dict()[key].numpy(), value.numpy(), rtol=1e-3, atol=1e-4), key


def test_a_bundle_answers_as_its_weights_do(weights, small_store, tmp_path):
    pytest.importorskip("tvm", reason="compiling needs the extra 'compile'")
    bundle = tmp_path / "bundle"
    compiled = invoke(
        "compile", "tsm-mobilenetv2", "--target", "local", "--weights", weights, "--output", bundle
    )
    assert compiled.exit_code == 0, compiled.output
    found = [
        json.loads(invoke("eval", subject, "--data", small_store, "--json").stdout)["forms"]
        for subject in (weights, bundle)
    ]
    assert found[1]["bundle"]["confusion"] == found[0]["online"]["confusion"]
    assert invoke("eval", bundle, "--data", small_store, "--size", 32).exit_code == 2


def test_scores_that_are_no_numbers_are_refused():
    rows = [np.zeros((3, 4)), np.array([[0.0, np.inf], [1.0, 2.0], [np.nan, 0.0]])]
    eval_command.refuse_infinite("bundle", rows[:1])
    with pytest.raises(AccuracyError, match="no numbers") as caught:
        eval_command.refuse_infinite("bundle", rows)
    assert caught.value.found == "2 of 6 frames"
