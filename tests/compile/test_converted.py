"""From a checkpoint of another program to a bundle that is verified: a TRN file of its authors, at a tiny size."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from tsm_edge.cli import cli
from tsm_edge.models import clips

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch", reason="the package safetensors is optional")


def run(*words: object) -> str:
    done = CliRunner().invoke(cli, [*map(str, words)])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_trn_file_is_converted_compiled_and_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    state = clips.load("trn-resnet50", size=32, classes=3, frames=2).build(3).state_dict()
    theirs = {
        f"module.{key}" if re.match(r"new_fc\.|consensus\.", key) else f"module.base_model.{key}": value
        for key, value in state.items()
    }
    torch.save({"state_dict": theirs, "epoch": 1}, "trn.pth.tar")
    said = json.loads(run("convert", "trn.pth.tar", "-o", "trn.safetensors", "--size", 32, "--json"))
    assert said["model"] == "trn-resnet50"
    for key, value in safetensors.load_file("trn.safetensors").items():
        assert torch.equal(value, state[key])
    run("compile", "trn-resnet50", "--weights", "trn.safetensors", "--target", "local", "--output", "bundle")
    manifest = json.loads(Path("bundle/manifest.json").read_text())
    assert (manifest["model"]["parameters"]["clip_frames"], len(manifest["labels"])) == (2, 3)
    assert "same best class: 2 of 2" in run("verify", "bundle", "--weights", "trn.safetensors", "--frames", 2)
