"""Training networks of the family, which have one answer for a clip: the same loop, and weights that compile."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner, Result

from tsm_edge import models
from tsm_edge.cli import cli
from tsm_edge.errors import UsageError
from tsm_edge.models import clips
from tsm_edge.models.clips import Builder, Network, Recipe
from tsm_edge.train import initial, network
from tsm_edge.weights.meta import read_meta

torch = pytest.importorskip("torch")

NAME = "tsm-miniature"  # not the name of any network
BEGIN = ("--size", "32", "--batch", "8", "--threads", "1")


def describe(classes: int, frames: int) -> Network:
    """Shifted frames, a volume, and two heads whose results are added up."""
    b = Builder()
    x = b.conv(0, "stem", (3, 16), (1, 7, 7), (1, 4, 4), norm="bn", bias=True, activation="relu")
    x = b.conv(b.shift(x), "moved", (16, 16), (1, 3, 3), norm="moved_bn", activation="relu")
    alone = b.linear(b.space_mean(x), "alone", (16, classes))
    y = b.conv(
        b.recast(x, volume=True), "volume", (16, 8), (3, 3, 3), bias=True, activation="relu", volume=True
    )
    b.total(b.mean(alone), b.linear(b.mean(y, volume=True), "fc", (8, classes)))
    return b.network()


@pytest.fixture
def miniature(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder to work in, where the miniature is a network of the family."""
    recipe = Recipe("a small network", describe, 4, range(2, 9))
    monkeypatch.setitem(sys.modules, f"{clips.__name__}.tsm_miniature", SimpleNamespace(MODEL=recipe))
    known = [*clips.names(), NAME]
    monkeypatch.setattr(clips, "names", lambda: known)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, [*map(str, words)])


def test_from_clips_to_a_bundle(miniature: Path, small_store: Path) -> None:
    words = ("train", "--model", NAME, "--data", small_store, "--out", "run", *BEGIN, "--epochs", 2)
    done = run(*words)
    assert done.exit_code == 0, done.output
    assert "after half of each" not in done.stdout
    meta = read_meta("run/weights.safetensors")
    assert meta is not None
    assert (meta.model, meta.labels, meta.rate_fps) == (
        NAME,
        ("No gesture", "Swiping Left", "Swiping Right"),
        12,
    )
    assert (meta.parameters["clip_frames"], meta.parameters["size"]) == (4, 32)
    assert meta.shift is not None and meta.shift["direction"] == "bi"
    curve = Path("run/metrics.jsonl").read_text()
    assert run(*words, "--resume").exit_code == 0 and Path("run/metrics.jsonl").read_text() == curve
    found = run(
        "compile", NAME, "--weights", "run/weights.safetensors", "--target", "local", "--output", "bundle"
    )
    assert found.exit_code == 0, found.output
    scored = []
    for subject in ("run/weights.safetensors", "bundle"):
        told = run("eval", subject, "--data", small_store, "--threads", 1, "--json")
        assert told.exit_code == 0, told.output
        scored += json.loads(told.stdout)["forms"].values()
    assert scored[0]["confusion"] == scored[1]["confusion"] and "top1_by_share_seen" not in scored[0]
    assert sum(map(sum, scored[0]["confusion"])) == 48


def test_weights_of_other_labels_are_a_start(miniature: Path, small_store: Path) -> None:
    trained = clips.load(NAME, size=32, labels=("Swiping Right", "Thumb Up"))
    from tsm_edge.weights.meta import WeightsMeta
    from tsm_edge.weights.writing import save_weights

    net = trained.build(3)
    meta = WeightsMeta(NAME, dict(trained.parameters), trained.labels, 12.0, "of a test")
    save_weights(miniature / "begin.safetensors", net, meta)
    model = clips.load(NAME, size=32, labels=("No gesture", "Swiping Left", "Swiping Right"))
    tensors, theirs = initial.clips_from(miniature / "begin.safetensors", model), net.state_dict()
    for key in ("stem.weight", "volume.weight", "moved_bn.running_var"):
        assert torch.equal(tensors[key], theirs[key])
    for head in ("alone", "fc"):
        assert torch.equal(tensors[f"{head}.weight"][2], theirs[f"{head}.weight"][0])
        assert not tensors[f"{head}.bias"][:2].any()
    words = ("train", "--init", "begin.safetensors", "--data", small_store, "--out", "run")
    done = run(*words, "--batch", 8, "--epochs", 1)
    assert done.exit_code == 0, done.output
    assert "of its head it gives Swiping Right" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--tsn",), "--tsn chooses a shift"),
        (("--shift", "bi"), "--shift chooses a shift"),
        (("--warm-start", "0.5"), "a clip begins at its first frame"),
        (("--temporal-pool",), "a ResNet of the zoo"),
        (("--width", "0.5"), "--width says nothing of trn-resnet50"),
        (("--frames", "40"), "found: 40"),
    ],
)
def test_options_of_the_zoo_are_refused(
    words: tuple[str, ...], said: str, small_store: Path, tmp_path: Path
) -> None:
    done = run("train", "--model", "trn-resnet50", "--data", small_store, "--out", tmp_path / "run", *words)
    assert done.exit_code == 2 and said in done.output


def test_takes_are_refused() -> None:
    model = clips.load("tsn-bninception", size=32, classes=3)
    with pytest.raises(UsageError, match="one answer for a whole clip"):
        network.check_whole_clips(model, SimpleNamespace(takes=True))


def test_every_network_of_the_family_has_heads_and_a_shift() -> None:
    heads = {name: network.heads(clips.load(name, classes=3)) for name in clips.names()}
    assert all(heads.values())
    assert heads["tsn-resnet50"] == ("fc",) and heads["trn-resnet50"] == ("consensus.classifier.3",)
    assert len(heads["trn-multiscale-bninception"]) == 7 and len(heads["eco-ensemble-lite"]) > 1
    shifted = {
        name for name in clips.names() if network.shift_in(clips.load(name, classes=3)) == models.OFFLINE
    }
    assert shifted == {"tsm-bninception", "tsm-nonlocal-resnet50"}


def test_a_network_begins_with_answers_that_differ_little_and_a_past_that_counts() -> None:
    model = clips.make_clip_model(
        NAME, Recipe("a small network", describe, 4, range(2, 9)), size=32, classes=3
    )
    torch.manual_seed(0)
    net = network.untrained(model)
    initial.initialise(net, model, network.shift_in(model))
    scores = network.clip_logits(net, model, torch.randn(5, 4, 3, 32, 32), network.shift_in(model))
    assert scores.shape == (5, 1, 3) and float(scores.detach().abs().max()) < 0.5
    weight = net.get_submodule("moved").weight.detach()
    moved, rest = float((weight[:, :4] ** 2).sum()), float((weight[:, 4:] ** 2).sum())
    assert np.isclose(moved, rest, rtol=0.25)
