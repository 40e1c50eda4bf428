"""`tsm-edge verify` as a user meets it: what it prints, when it says no, and what it needs."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_lab
import pytest
import torch
from click.testing import CliRunner, Result
from onnx import helper

from tsm_edge import bundle, models, target
from tsm_edge.bundle.manifest import Manifest, TargetInfo
from tsm_edge.cli import cli
from tsm_edge.compile import pipeline
from tsm_edge.compile.frontend import networks
from tsm_edge.runtime import native
from tsm_edge.weights import checkpoints

FRAMES = ["--frames", "3"]


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(cli, ["verify", *map(str, arguments)])
    assert "Traceback" not in result.output
    return result


def document(result: Result) -> dict[str, Any]:
    """The JSON document on stdout; NaN and Infinity are no JSON."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    found: dict[str, Any] = json.loads(result.stdout, parse_constant=refuse)
    return found


def test_a_good_bundle(local_bundle: Path) -> None:
    manifest = bundle.read(local_bundle)
    result = run(local_bundle, *FRAMES)
    assert result.exit_code == 0, result.output
    first, head, *rows, best, following = result.stdout.splitlines()
    assert first == f"{manifest.model.name} for local, 3 frames on this machine, judged by PyTorch"
    assert head.split() == ["output", "shape", "max", "difference", "relative"]
    assert [row.partition("  ")[0] for row in rows] == names(manifest)
    assert {row.split()[-1] for row in rows} == {"ok"}
    assert best == "same best class: 3 of 3 frames"
    assert following == f"next: tsm-edge demo --bundle {local_bundle} --camera 0"


def names(manifest: Manifest) -> list[str]:
    """What is compared."""
    signature = manifest.signature
    scores = signature.outputs[0].name
    return [scores, *(pair.output_name for pair in signature.states), f"{scores}, of pictures"]


def test_json(local_bundle: Path) -> None:
    manifest = bundle.read(local_bundle)
    result = run(local_bundle, *FRAMES, "--json")
    assert result.exit_code == 0, result.output
    found = document(result)
    head = {key: found[key] for key in ("schema", "bundle", "ok", "frames", "top1", "where")}
    assert head == {
        "schema": 1,
        "bundle": str(local_bundle),
        "ok": True,
        "frames": 3,
        "top1": 3,
        "where": "this machine",
    }
    assert [entry["name"] for entry in found["differences"]] == names(manifest)
    assert found["differences"][0]["shape"] == [1, len(manifest.labels)]
    assert all(0 <= entry["relative"] <= found["tolerance"] == 1e-4 for entry in found["differences"])
    assert any(entry["absolute"] > 0 for entry in found["differences"])


@pytest.mark.parametrize("option", [[], ["--json"]], ids=["table", "json"])
def test_other_weights_are_off(
    option: list[str], local_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "seed_of", lambda weights: 1)
    result = run(local_bundle, *FRAMES, *option)
    assert result.exit_code == 3
    assert "differs from its reference in logits, cache0_out" in result.stderr
    assert "and more" in result.stderr
    assert "next:" not in result.stdout
    if option:
        found = document(result)
        assert not found["ok"]
        assert found["differences"][0]["relative"] > 1e-2
    else:
        assert "OFF" in result.stdout


@pytest.mark.parametrize("option", [[], ["--json"]], ids=["table", "json"])
@pytest.mark.parametrize("side", ["bundle", "reference"])
def test_nan_is_off(
    side: str, option: list[str], local_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = native.dump

    def spoiled(*arguments: Any) -> np.ndarray:
        found = plain(*arguments).copy()
        found[1, 0] = np.nan
        return found

    if side == "bundle":
        monkeypatch.setattr(native, "dump", spoiled)
    else:
        monkeypatch.setattr(models.Model, "build", nan_net(models.Model.build))
    result = run(local_bundle, *FRAMES, *option)
    assert result.exit_code == 3, result.output
    assert "logits" in result.stderr
    if option:
        found = document(result)
        assert found["ok"] is False
        assert found["differences"][0]["relative"] is None


def nan_net(build: Callable[..., Any]) -> Callable[..., Any]:
    """A network whose scores are no numbers."""

    def spoiled(model: models.Model, seed: int = 0) -> Any:
        net = build(model, seed)
        with torch.no_grad():
            list(net.parameters())[-1].fill_(float("nan"))  # the bias of the last layer
        return net

    return spoiled


def foreign() -> target.EdgeTarget:
    """A processor of another architecture with an emulator and a C library of its own."""
    devices = map(target.load, target.names())
    return next(
        device
        for device in devices
        if device.family == "cpu"
        and device.emulator
        and device.emulator.sysroot
        and device.arch != platform.machine()
    )


@pytest.fixture
def abroad(monkeypatch: pytest.MonkeyPatch) -> target.EdgeTarget:
    """Every bundle claims to be for another machine."""
    device, read = foreign(), bundle.verify
    monkeypatch.setattr(bundle, "verify", lambda folder: replace(read(folder), target=TargetInfo.of(device)))
    return device


def test_no_emulator(local_bundle: Path, abroad: target.EdgeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    result = run(local_bundle)
    assert result.exit_code == 5
    assert abroad.emulator is not None
    assert f"'{abroad.emulator.program}' is not installed" in result.stderr
    assert f"apt install {abroad.emulator.package}" in result.stderr


def test_no_c_library(
    local_bundle: Path, abroad: target.EdgeTarget, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert abroad.emulator is not None
    emulator = replace(abroad.emulator, sysroot=str(tmp_path / "none"))
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(target, "load", lambda name: replace(abroad, emulator=emulator))
    result = run(local_bundle)
    assert result.exit_code == 5
    assert str(tmp_path / "none") in result.stderr
    assert f"apt install {emulator.sysroot_package}" in result.stderr


def test_a_local_bundle_of_another_machine(local_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest, arch = bundle.read(local_bundle), foreign().arch
    moved = replace(manifest, target=replace(manifest.target, arch=arch, requires=()))
    monkeypatch.setattr(bundle, "verify", lambda folder: moved)
    result = run(local_bundle)
    assert result.exit_code == 5
    assert f"verify it on a machine of type {arch}" in result.stderr


@pytest.fixture(scope="module")
def from_file(local_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The local bundle as if its weights had come from a checkpoint, and that checkpoint."""
    folder = tmp_path_factory.mktemp("from_file")
    manifest = bundle.read(local_bundle)
    model = models.load(manifest.model.name, **manifest.model.parameters)
    torch.save(model.build(0).state_dict(), folder / "trained.pth")
    shutil.copytree(local_bundle, folder / "bundle")
    path = folder / "bundle" / "manifest.json"
    facts = json.loads(path.read_text())
    digest = checkpoints.sha256(folder / "trained.pth")
    facts["model"]["weights"] = {"source": "file", "note": "trained.pth", "sha256": digest}
    path.write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n")
    return folder / "bundle", folder / "trained.pth"


def test_a_checkpoint(from_file: tuple[Path, Path]) -> None:
    result = run(from_file[0], *FRAMES, "--weights", from_file[1])
    assert result.exit_code == 0, result.output


def test_averaged_weights(local_bundle: Path, from_file: tuple[Path, Path], tmp_path: Path) -> None:
    """What the bundle was compiled from is compared, whichever set of the file that is."""
    plain = torch.load(from_file[1])
    other = {key: value * 1.1 if value.is_floating_point() else value for key, value in plain.items()}
    torch.save({"model": other, "model_ema": plain}, tmp_path / "both.pth")
    shutil.copytree(from_file[0], tmp_path / "bundle")
    path = tmp_path / "bundle" / "manifest.json"
    facts = json.loads(path.read_text())
    note = "both.pth; averaged weights in model_ema, not the plain ones in model (--no-ema)"
    digest = checkpoints.sha256(tmp_path / "both.pth")
    facts["model"]["weights"] = {"source": "file", "note": note, "sha256": digest}
    path.write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n")
    words = (tmp_path / "bundle", "--frames", 2, "--weights", tmp_path / "both.pth")
    assert run(*words).exit_code == 0
    assert run(*words, "--no-ema").exit_code == 3
    assert run(local_bundle, "--ema").exit_code == 2


def test_a_checkpoint_that_is_not_given(from_file: tuple[Path, Path]) -> None:
    result = run(from_file[0])
    assert result.exit_code == 2
    assert "trained.pth" in result.stderr
    assert "--weights" in result.stderr.partition("hint:")[2]


def test_another_checkpoint(from_file: tuple[Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "other.pth"
    other.write_bytes(b"other")
    result = run(from_file[0], "--weights", other)
    assert result.exit_code == 2
    assert "other.pth" in result.stderr
    assert checkpoints.sha256(from_file[1])[:16] in result.stderr


def test_a_checkpoint_that_does_not_exist(from_file: tuple[Path, Path], tmp_path: Path) -> None:
    result = run(from_file[0], "--weights", tmp_path / "none.pth")
    assert result.exit_code in (1, 2)
    assert "none.pth" in result.stderr


def test_a_file_for_seeded_weights(local_bundle: Path, from_file: tuple[Path, Path]) -> None:
    result = run(local_bundle, "--weights", from_file[1])
    assert result.exit_code == 2
    assert "trained.pth" in result.stderr


def test_an_onnx_file_and_odd_names(tmp_path: Path) -> None:
    """Against ONNX's own evaluator; names with spaces and line breaks go through every part of the bundle."""
    weights = np.random.default_rng(0).standard_normal((5, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["my frame", "w"], ["maps"], 'first\n"conv", %s', pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["maps", "the past"], ["now"]),
        helper.make_node("GlobalAveragePool", ["now"], ["scores"]),
    ]
    path = onnx_lab.save(
        tmp_path / "net.onnx",
        nodes,
        {"my frame": (1, 3, 6, 7), "the past": (1, 5, 6, 7)},
        {"scores": (1, 5, 1, 1), "now": (1, 5, 6, 7)},
        {"w": weights},
    )
    network = networks.onnx_file(path, [("the past", "now")], tuple("abcde"))
    folder = pipeline.compile(network, target.load("local"), tmp_path / "bundle").folder
    result = run(folder, *FRAMES, "--weights", path, "--json")
    assert result.exit_code == 0, result.output
    assert [entry["name"] for entry in document(result)["differences"]] == ["scores", "now", "scores, of pictures"]
    assert run(folder).exit_code == 2  # needs the file
