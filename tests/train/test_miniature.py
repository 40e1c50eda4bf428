"""A miniature learns what no still frame can tell it, and keeps it when it is compiled."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tsm_edge import cli, target
from tsm_edge.train import store

LABELS = ("No gesture", "Swiping Left", "Swiping Right")
#: whoever tells rest from movement but not left from right has two thirds
REACHED = 0.85
SHAPE = "--width 0.25 --size 32 --frames 6 --batch 24 --epochs 15 --lr 3e-3 --reverse --threads 1 --device cpu --json"


def invoke(*words):
    result = CliRunner().invoke(cli.cli, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def clips(make_store, tmp_path_factory):
    """Plain clips to train on, and other ones to measure with."""
    folder = tmp_path_factory.mktemp("miniature")
    return make_store(folder / "train", LABELS, 480, "plain"), make_store(
        folder / "test", LABELS, 90, "plain", seed=77
    )


@pytest.fixture(scope="module")
def weights(clips, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    document = invoke("train", "--data", clips[0], "--held-out", clips[1], "--out", out, *SHAPE.split())
    losses = [record["loss"] for record in document["history"]]
    assert losses[-1] < 0.6 * losses[0]
    return out / "weights.safetensors"


def test_it_reaches_what_still_frames_cannot(weights, clips):
    forms = invoke("eval", weights, "--data", clips[1], "--frames", 6, "--min-top1", 100 * REACHED, "--json")[
        "forms"
    ]
    assert forms["online"]["top1"] >= REACHED
    assert forms["online"]["confusion"] == forms["clip"]["confusion"]
    left, right = forms["online"]["confusion"][1:]
    assert left[1] > 3 * left[2] and right[2] > 3 * right[1]


def test_two_processes_reach_what_one_reaches(clips, tmp_path):
    """Started by torchrun, as a user does it; each sees half of every batch."""
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "tsm_edge", "train"]
    data = [str(word) for word in ("--data", clips[0], "--held-out", clips[1], "--out", tmp_path / "run")]
    command = [sys.executable, *start, *data, *SHAPE.split()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["best"]["top1"] >= REACHED and len(document["history"]) == 15
    assert "in 2 processes" in done.stderr and done.stderr.count("480 clips to train on") == 1


def test_played_backwards_the_answer_turns_round(weights, clips, tmp_path):
    """The same pictures in the other order: whatever knows them apart knows time."""
    whole = store.open_store(clips[1])
    writer = store.Writer(tmp_path / "back", len(whole) * 12, whole.side)
    for index, entry in enumerate(whole.entries):
        writer.add(entry.name, (0, 2, 1)[entry.label], np.ascontiguousarray(whole.clip(index)[::-1]))
    writer.close(LABELS, whole.rate_fps, "reversed")
    forms = invoke("eval", weights, "--data", tmp_path / "back", "--frames", 6, "--json")["forms"]
    assert forms["online"]["top1"] >= REACHED


@pytest.mark.parametrize(("device", "count"), [("local", 90), ("raspberry-pi-4", 30)])
def test_the_compiled_bundle_is_as_good(weights, clips, tmp_path, device, count):
    """All clips on this machine, and some of them for another processor under its emulator."""
    pytest.importorskip("tvm", reason="compiling needs the extra 'compile'")
    emulator = target.load(device).emulator
    if device != "local" and not (shutil.which(emulator.program) and Path(emulator.sysroot).is_dir()):
        pytest.skip(f"needs the emulator: apt-get install {emulator.package} {emulator.sysroot_package}")
    bundle = tmp_path / "bundle"
    build = ("compile", "tsm-mobilenetv2", "--target", device, "--weights", weights)
    invoke(*build, "--output", bundle, "--json")
    look = ("--data", clips[1], "--frames", 6, "--clips", count, "--json")
    expected = invoke("eval", weights, *look)["forms"]["online"]
    found = invoke("eval", bundle, *look)["forms"]["bundle"]
    assert sum(map(sum, found["confusion"])) == count
    assert abs(expected["top1"] - found["top1"]) <= 0.005
