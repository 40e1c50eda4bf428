"""The verbs of the core: targets, models and inspect, as tables and as JSON."""

from __future__ import annotations

import dataclasses
import json

import pytest
from click.testing import CliRunner

from tsm_edge import bundle, cli, models, target
from tsm_edge.errors import UsageError
from tsm_edge.models import clips


def invoke(*arguments):
    return CliRunner().invoke(cli.cli, list(arguments), prog_name="tsm-edge")


def test_targets():
    result = invoke("targets")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["TARGET", *target.names(), "next:"]


def test_targets_as_json():
    document = json.loads(invoke("targets", "--json").stdout)
    assert document["schema"] == 1 and document["unsupported"] == {}
    assert [entry["name"] for entry in document["targets"]] == target.names()
    assert document["targets"][0]["cpu"]["simd_bits"] in (64, 128, 256, 512)


def test_one_target():
    for name in target.names():
        result = invoke("targets", name)
        assert result.exit_code == 0 and "cpu.l1d_kib:" in result.stdout
        assert result.stdout.splitlines()[-1].endswith(f"--target {name}")
        assert json.loads(invoke("targets", name, "--json").stdout)["target"]["name"] == name
    result = invoke("targets", "locl")
    assert result.exit_code == 2 and "Did you mean 'local'?" in result.stderr


def test_a_machine_that_cannot_be_a_target_does_not_hide_the_others(monkeypatch):
    from tsm_edge.target import host

    here = dataclasses.replace(host.read_host(), machine="riscv64")
    monkeypatch.setattr(host, "read_host", lambda: here)
    document = json.loads(invoke("targets", "--json").stdout)
    assert len(document["targets"]) == len(target.names()) - 1
    assert "riscv64" in document["unsupported"]["local"]
    assert "riscv64" in invoke("targets").stderr
    assert invoke("targets", "local").exit_code == 5


def test_models():
    result = invoke("models")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    streams = [*models.names(), *models.shipped()]
    first = [line.split()[0] for line in lines if line]
    assert first == ["MODEL", *streams, "MODEL", *clips.names(), "next:"]
    (row,) = (line for line in lines if line.startswith("tsn-bninception"))
    assert row.split()[1:7] == ["224x224", "27", "10.30", "M", "16.253", "G"]
    found = json.loads(invoke("models", "--json").stdout)["models"]
    assert [entry["name"] for entry in found] == [*streams, *clips.names()]
    assert {entry["name"] for entry in found if entry["form"] == "clip"} == set(clips.names())


def test_one_model():
    for name in (*models.names(), "eco-lite"):
        assert "labels:" in invoke("models", name).stdout
        document = json.loads(invoke("models", name, "--json").stdout)
        assert document["model"]["signature"]["inputs"][0]["name"] == "frame"
    assert "macs a clip" in invoke("models", "eco-lite").stdout


@pytest.mark.parametrize("verb", [["models"], ["compile", "--target", "local"], ["compare"], ["export"]])
def test_a_name_near_one_of_the_family(verb):
    result = invoke(*verb, "eco-light")
    assert result.exit_code == 2
    assert "Did you mean 'eco-lite'?" in result.stderr and "gestures" in result.stderr


@pytest.mark.parametrize("option", ["--clip-frames", "--size", "--classes"])
def test_zero_is_refused_for_a_network_of_clips(option):
    result = invoke("export", "eco-lite", option, "0")
    assert result.exit_code == 2 and "found: 0" in result.stderr


def test_a_network_of_clips_where_one_that_runs_frame_by_frame_is_needed():
    with pytest.raises(UsageError, match="takes whole clips") as caught:
        models.load("eco-lite")
    assert "tsm-resnet18" in str(caught.value)


def test_inspect(toy):
    result = invoke("inspect", str(toy))
    assert result.exit_code == 0
    for part in (
        "toy (size 8, width 0.5)",
        "untrained, seed 0",
        "Bewegung ↔",
        "glibc 2.17",
        "cache0",
        "[1, 2, 4, 4]",
        "rate:      12 frames per second",
        "scores:    logits",
        "decision:  mean of 8 steps, 2 that agree, probability 0.8 to leave idle (no idle class)",
    ):
        assert part in result.stdout
    for part in ("MEMORY", "4.0 KiB", "libtsm.so", "1 conv", "whole: every size"):
        assert part in result.stdout
    assert result.stdout.splitlines()[-1].startswith("next: ")


def test_inspect_as_json(toy):
    document = json.loads(invoke("inspect", str(toy), "--json").stdout)
    assert document["schema"] == 1 and document["checked"] is True
    assert document["manifest"] == bundle.read(toy).to_json()
    assert document["manifest"]["preprocess"]["rate_fps"] == 12.0
    assert document["manifest"]["decision"] == {"window": 8, "agree": 2, "threshold": 0.8, "idle": []}
    assert "plan_text" not in document
    assert json.loads(invoke("inspect", str(toy), "--json", "--plan").stdout)["plan_text"] == ["1 conv"]


def test_inspect_shortens_a_long_plan(tmp_path, manifest, files):
    lines = ["tensor t float32", *(f"{i} conv" for i in range(40)), "op " + "x" * 200]
    bundle.write(tmp_path / "long", manifest, {**files, "plan.txt": "\n".join(lines).encode()})
    short = invoke("inspect", str(tmp_path / "long")).stdout
    assert "11 conv" in short and "12 conv" not in short and "… 30 more lines: --plan" in short
    assert "tensor t" not in short
    whole = invoke("inspect", str(tmp_path / "long"), "--plan").stdout
    assert "tensor t float32" in whole and "39 conv" in whole and "x" * 200 in whole


def test_inspect_shows_a_bundle_of_another_machine(tmp_path, manifest, files):
    other = dataclasses.replace(manifest.target, arch="aarch64", requires=("asimd",))
    if target.load("local").arch == "aarch64":
        other = manifest.target
    bundle.write(tmp_path / "b", dataclasses.replace(manifest, target=other), files)
    result = invoke("inspect", str(tmp_path / "b"))
    assert result.exit_code == 0
    assert "no. This bundle is for another architecture." in result.stdout
    assert "tsm-edge-run" in result.stdout.splitlines()[-1]
    assert json.loads(invoke("inspect", str(tmp_path / "b"), "--json").stdout)["runs_here"] is False


def test_inspect_refuses_a_changed_bundle(toy):
    (toy / "plan.txt").write_bytes(b"2 conv\n")
    result = invoke("inspect", str(toy))
    assert result.exit_code == 3
    assert result.stderr.startswith("error[file-hash]: ") and result.stdout == ""
