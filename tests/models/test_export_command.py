"""``tsm-edge export``: files, results on stdout, progress on stderr, errors with their exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tsm_edge.cli import cli

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")


@pytest.fixture
def export(tmp_path, monkeypatch):
    """Return export(*arguments) -> the click result of `tsm-edge export` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(cli, ["export", *map(str, arguments)])


SMALL = ("--size", 32)


def test_text(export):
    done = export("tsm-mobilenetv2", *SMALL, "-o", "net.onnx")
    assert done.exit_code == 0, done.output
    assert "weights: untrained, seed 0" in done.stderr
    assert done.stdout.splitlines()[-1] == "next: tsm-edge compile net.onnx --target local"
    assert "cache0 … cache9" in done.stdout and "[1, 27]" in done.stdout
    assert onnx.load("net.onnx").graph.name == "tsm-mobilenetv2"


def test_json(export):
    done = export("tsm-resnet18", *SMALL, "--classes", 3, "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["schema"] == 1 and document["file"] == "tsm-resnet18.onnx" and document["opset"] == 18
    assert document["bytes"] == Path("tsm-resnet18.onnx").stat().st_size
    assert document["parameters"] == {"size": 32, "classes": 3}
    assert document["signature"]["outputs"] == [{"name": "logits", "shape": [1, 3], "dtype": "float32"}]
    assert len(document["signature"]["states"]) == 8


def test_seed_width_and_labels(export):
    Path("labels.txt").write_text("wave\nclap\n")
    done = export("tsm-mobilenetv2", *SMALL, "--width", 0.5, "--labels", "labels.txt", "--seed", 3, "--json")
    document = json.loads(done.stdout)
    assert document["labels"] == ["wave", "clap"]
    assert document["parameters"] == {"size": 32, "classes": 2, "width": 0.5}
    assert document["weights"] == {
        "source": "seeded",
        "note": "untrained, seed 3: the scores mean nothing",
        "sha256": "",
    }


def test_weights_bring_their_class_count(export, built):
    torch.save(built("tsm-resnet18")[1].state_dict(), "mine.pth")
    done = export("tsm-resnet18", *SMALL, "--weights", "mine.pth", "--direction", "uni", "--json")
    assert done.exit_code == 0, done.output
    assert "5 classes, from the head of mine.pth" in done.stderr
    document = json.loads(done.stdout)
    assert document["parameters"]["classes"] == 5
    assert (document["weights"]["source"], document["weights"]["note"]) == ("file", "mine.pth")


def test_weights_of_another_class_count(export, built):
    torch.save(built("tsm-resnet18")[1].state_dict(), "mine.pth")
    done = export("tsm-resnet18", *SMALL, "--weights", "mine.pth", "--direction", "uni", "--classes", 4)
    assert done.exit_code == 1
    assert "--classes 5" in done.stderr
    assert not list(Path().glob("*.onnx"))


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (("tsm-resnet",), 2, "Did you mean"),
        (("tsm-resnet18", "--size", 33), 2, "a multiple of 16"),
        (("tsm-resnet18", "--width", 1), 2, "has no width"),
        (("tsm-resnet18", "--labels", "none.txt"), 2, "cannot be read"),
        (("tsm-resnet18", "--seed", -1), 2, "Bad seed"),
        (("tsm-resnet18", "--weights", "none.pth"), 1, "no such file"),
        (("tsm-resnet18", *SMALL, "-o", "none/net.onnx"), 1, "cannot be written"),
    ],
)
def test_errors(export, arguments, code, part):
    done = export(*arguments)
    assert done.exit_code == code, done.output
    assert part in done.stderr and done.stdout == ""


def test_averaged_weights_are_asked_for(export, built):
    plain = built("tsm-resnet18")[1].state_dict()
    averaged = {key: value * 1.01 if value.is_floating_point() else value for key, value in plain.items()}
    torch.save({"model": plain, "model_ema": averaged}, "both.pth")
    sizes = (*SMALL, "--weights", "both.pth", "--direction", "uni")
    assert "plain weights in model, not the averaged ones" in export("tsm-resnet18", *sizes).stderr
    done = export("tsm-resnet18", *sizes, "--ema", "--json")
    assert "averaged weights in model_ema" in json.loads(done.stdout)["weights"]["note"]
    fc = next(t for t in onnx.load("tsm-resnet18.onnx").graph.initializer if t.name.endswith("fc.bias"))
    assert torch.equal(torch.tensor(onnx.numpy_helper.to_array(fc)), averaged["fc.bias"])
    assert export("tsm-resnet18", *SMALL, "--ema").exit_code == 2


def test_a_stream_of_the_family(export):
    done = export("tsn-bninception", *SMALL, "--clip-frames", 3, "--classes", 3, "--form", "stream", "-o", "s.onnx")
    assert done.exit_code == 0, done.output
    assert "frame [1, 3, 32, 32], cache0" in done.stdout and "an answer for every frame" in done.stderr
    assert done.stdout.splitlines()[-1] == "next: tsm-edge compile s.onnx --target local"


def test_a_network_of_clips(export):
    done = export("tsn-bninception", *SMALL, "--clip-frames", 2, "--classes", 3, "-o", "clips.onnx")
    assert done.exit_code == 0, done.output
    assert "inputs:  frame [2, 3, 32, 32]" in done.stdout and "window of 2 frames" in done.stderr
    assert done.stdout.splitlines()[-1] == "next: tsm-edge compile clips.onnx --target local"
