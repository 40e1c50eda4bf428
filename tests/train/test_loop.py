"""Training: it goes on after a kill as if nothing had happened; what it leaves can be read; bad starts are refused."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from tsm_edge import cli, models
from tsm_edge.errors import CheckpointError, DataError
from tsm_edge.models import TemporalShift
from tsm_edge.train import checkpoint, command, loop
from tsm_edge.train.batches import Group, spread
from tsm_edge.train.loss import loss_of
from tsm_edge.train.settings import Settings
from tsm_edge.train.store import open_store
from tsm_edge.weights import checkpoints
from tsm_edge.weights.meta import read_meta
from tsm_edge.weights.writing import save_weights

LABELS = ("No gesture", "Swiping Left", "Swiping Right")
TINY = ["--width", "0.25", "--size", "32", "--frames", "4", "--batch", "8", "--threads", "1"]


def arguments(data, out, *more) -> list[str]:
    return ["train", "--data", str(data), "--out", str(out), *TINY, *more]


def invoke(*words):
    return CliRunner().invoke(cli.cli, [str(word) for word in words])


def curve(out) -> list[dict]:
    """Metrics of every epoch, but the time it took."""
    records = [json.loads(line) for line in (out / checkpoint.METRICS).read_text().splitlines()]
    return [{key: value for key, value in record.items() if key != "seconds"} for record in records]


@pytest.fixture(scope="module")
def trained(small_store, tmp_path_factory):
    """Three epochs without interruption."""
    out = tmp_path_factory.mktemp("trained")
    result = invoke(*arguments(small_store, out, "--epochs", 3, "--json"))
    assert result.exit_code == 0, result.output
    return out, json.loads(result.stdout)


def test_a_killed_training_goes_on_as_if_nothing_had_happened(small_store, trained, tmp_path):
    words = arguments(small_store, tmp_path, "--epochs", "3")
    program = [sys.executable, "-c", "from tsm_edge.cli import main; main()", *words]
    with subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not (tmp_path / checkpoint.METRICS).is_file():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    done = len(curve(tmp_path))
    assert done < 3, "it was over before it could be killed"
    result = invoke(*words, "--resume")
    assert result.exit_code == 0, result.output
    assert f"going on after epoch {done}" in result.stderr
    assert curve(tmp_path) == curve(trained[0])
    weights = [(folder / checkpoint.WEIGHTS).read_bytes() for folder in (tmp_path, trained[0])]
    assert weights[0] == weights[1]


def test_a_training_is_overwritten_only_when_that_is_asked_for(small_store, trained, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(trained[0], out)
    older = {path.name: path.read_bytes() for path in out.iterdir()}
    refused = invoke(*arguments(small_store, out, "--epochs", 1))
    assert refused.exit_code == 1
    assert "--resume" in refused.stderr and "--overwrite" in refused.stderr
    assert {path.name: path.read_bytes() for path in out.iterdir()} == older
    assert invoke(*arguments(small_store, out, "--resume", "--overwrite")).exit_code == 2
    result = invoke(*arguments(small_store, out, "--epochs", 1, "--overwrite"))
    assert result.exit_code == 0, result.output
    assert len(curve(out)) == 1


def test_weights_that_are_better_than_the_checkpoint_knows_are_kept(small_store, trained, tmp_path):
    """A run that was killed between its weights and its checkpoint, whose repetition comes out worse."""
    out = tmp_path / "run"
    shutil.copytree(trained[0], out)
    path = out / checkpoint.WEIGHTS
    meta = read_meta(path)
    better = dataclasses.replace(meta, note=re.sub(r"[01]\.\d+$", "1.0000", meta.note.replace("of 3,", "of 4,")))
    net = models.load("tsm-mobilenetv2", width=0.25, size=32, classes=3).build(0)
    save_weights(path, net, better)
    content = checkpoint.load(out / checkpoint.LAST)
    content["settings"]["epochs"] = 4
    checkpoint.save(out / checkpoint.LAST, content)
    before = path.read_bytes()
    result = invoke(*arguments(small_store, out, "--epochs", 4, "--resume"))
    assert result.exit_code == 0, result.output
    assert len(curve(out)) == 4
    assert max(record["top1"] for record in curve(out)) < 1.0, "else nothing is shown"
    assert path.read_bytes() == before


def test_an_output_that_cannot_be_written_is_found_before_clips_are_read(tmp_path):
    (tmp_path / "file").write_text("x")
    result = invoke(*arguments(tmp_path / "no-data", tmp_path / "file" / "run"))
    assert result.exit_code == 1 and "Not a directory" in result.stderr


def test_what_a_training_leaves(trained):
    out, document = trained
    assert sorted(path.name for path in out.iterdir()) == [
        "last.pth",
        "metrics.jsonl",
        "metrics.png",
        "weights.safetensors",
    ]
    assert [record["epoch"] for record in document["history"]] == [1, 2, 3]
    assert document["best"] == max(document["history"], key=lambda record: record["top1"])
    content = torch.load(out / checkpoint.LAST, weights_only=True)
    assert content["epoch"] == 3
    meta = read_meta(out / checkpoint.WEIGHTS)
    assert (meta.model, meta.labels, meta.parameters["size"]) == ("tsm-mobilenetv2", LABELS, 32)
    assert "held-out top-1" in meta.note


def test_weights_and_checkpoint_load_into_the_zoos_network(trained):
    model = models.load("tsm-mobilenetv2", width=0.25, size=32, labels=LABELS)
    for name in (checkpoint.WEIGHTS, checkpoint.LAST):
        net, info = checkpoints.prepare(model, trained[0] / name)
        assert info.source == "file"
        assert not net.training


def test_resuming_with_other_settings_is_refused(small_store, trained):
    result = invoke(*arguments(small_store, trained[0], "--epochs", 4, "--lr", 0.1, "--resume"))
    assert result.exit_code == 1
    assert "found: epochs, lr" in result.stderr


def test_there_may_be_nothing_to_resume(small_store, tmp_path):
    result = invoke(*arguments(small_store, tmp_path, "--resume"))
    assert result.exit_code == 1 and "nothing to resume" in result.stderr
    (tmp_path / checkpoint.LAST).write_bytes(b"damaged")
    assert invoke(*arguments(small_store, tmp_path, "--resume")).exit_code == 1


def test_init_begins_with_trained_weights(small_store, trained, tmp_path):
    weights = trained[0] / checkpoint.WEIGHTS
    model = models.load("tsm-mobilenetv2", width=0.25, size=32, labels=LABELS)
    same, other = (
        command.initial(weights, model),
        models.load("tsm-mobilenetv2", width=0.25, size=64, classes=5),
    )
    body = command.initial(weights, other)
    assert body["classifier.weight"].shape[0] == 5
    assert torch.equal(body["features.0.0.weight"], same["features.0.0.weight"])
    result = invoke(*arguments(small_store, tmp_path, "--epochs", 1, "--init", weights))
    assert result.exit_code == 0, result.output
    refused = invoke(*arguments(small_store, tmp_path, "--init", weights, "--resume"))
    assert refused.exit_code == 2


def test_labels_with_an_unknown_direction_need_a_word(make_store, tmp_path):
    store = make_store(tmp_path / "store", ("No gesture", "Swiping Left"), 16)
    result = invoke(*arguments(store, tmp_path / "out"))
    assert result.exit_code == 2 and "--no-flip" in result.stderr


def test_a_video_folder_is_decoded_and_the_bad_clips_are_named(write_video, tmp_path):
    for number in range(10):
        write_video(tmp_path / f"clips/{'ab'[number % 2]}/{number}.mp4", range(20, 140, 12))
    (tmp_path / "clips/a/bad.mp4").write_bytes(b"no video")
    result = invoke(*arguments(tmp_path / "clips", tmp_path / "out", "--epochs", 1, "--batch", 4))
    assert result.exit_code == 0, result.output
    assert "skipped a/bad.mp4: cannot be read" in result.stderr
    assert "1 clips are left out" in result.stderr
    assert "next: tsm-edge eval" in result.stdout, "all clips look alike"


def settings(**changes) -> Settings:
    model = models.load("tsm-mobilenetv2", width=0.25, size=32, labels=LABELS)
    usual = {
        "model": model.name,
        "parameters": dict(model.parameters),
        "labels": LABELS,
        "frames": 4,
        "batch": 8,
    }
    return Settings(**{**usual, **changes})


def test_settings_survive_a_checkpoint():
    one = settings(variant=TemporalShift("bi", 0.25), mirrored=(0, 2, 1))
    written = json.loads(json.dumps(one.to_json()))
    assert Settings.from_json(written) == one
    written["rested"] = written.pop("warm_start_share")  # as checkpoints before the new name have it
    assert Settings.from_json(written) == one
    assert one.differing(settings()) == ["mirrored", "variant"]


def test_too_few_clips_and_a_foreign_checkpoint(small_store, tmp_path):
    model = models.load("tsm-mobilenetv2", width=0.25, size=32, labels=LABELS)
    store = open_store(small_store)
    with pytest.raises(DataError, match="fewer clips"):
        loop.Trainer(settings(batch=100), model, store, store, tmp_path)
    torch.save({"state_dict": {}}, tmp_path / "foreign.pth")
    with pytest.raises(CheckpointError, match="no checkpoint of"):
        checkpoint.load(tmp_path / "foreign.pth")


def test_every_stretch_of_an_epoch_holds_all_classes():
    targets = np.array([0] * 60 + [1] * 30 + [2] * 30)
    order = spread(targets, np.random.default_rng(0))
    assert sorted(order) == list(range(120))
    for at in range(0, 120, 12):
        counts = np.bincount(targets[order[at : at + 12]], minlength=3)
        assert abs(counts - [6, 3, 3]).max() <= 1
    assert (order != spread(targets, np.random.default_rng(1))).any()


@pytest.mark.parametrize("consensus", [0.0, 1.0])
def test_later_frames_count_more_in_the_loss(consensus):
    logits, labels = torch.zeros(1, 4, 3), torch.tensor([1])
    late, early = logits.clone(), logits.clone()
    late[0, 3, 1] = early[0, 0, 1] = 3.0
    one = settings(consensus=consensus, smoothing=0.0)
    assert loss_of(late, labels, one) < loss_of(early, labels, one)


def test_from_half_of_the_clip_on_every_frame_counts_alike():
    logits, labels = torch.zeros(3, 4, 3), torch.tensor([1])
    for row, frame in enumerate((0, 1, 3)):
        logits[row, frame, 1] = 3.0
    frames = settings(consensus=0.0, smoothing=0.0)
    first, half, last = (float(loss_of(one[None], labels, frames)) for one in logits)
    assert first > half == pytest.approx(last)


def test_half_writes_small_weights(small_store, trained, tmp_path):
    result = invoke(*arguments(small_store, tmp_path, "--epochs", 1, "--half"))
    assert result.exit_code == 0, result.output
    sizes = [(folder / checkpoint.WEIGHTS).stat().st_size for folder in (tmp_path, trained[0])]
    assert sizes[0] < 0.6 * sizes[1]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has an NVIDIA GPU that PyTorch sees")
def test_a_gpu_that_is_not_there_is_not_trained_on(small_store, tmp_path):
    result = invoke(*arguments(small_store, tmp_path / "out", "--device", "cuda"))
    assert result.exit_code == 4 and "PyTorch sees no NVIDIA GPU to train on" in result.stderr


def test_processes_draw_the_same_batches_as_the_thread(small_store, tmp_path):
    """A GPU's examples come from processes; they must be the ones that a training on the CPU sees."""
    model = models.load("tsm-mobilenetv2", width=0.25, size=32, labels=LABELS)
    store = open_store(small_store)
    batches = loop.Trainer(settings(batch=4), model, store, store, tmp_path).batches
    groups = [Group(0, np.arange(4)), Group(0, np.arange(4, 8))]
    for group, (pixels, labels) in zip(groups, batches._by_processes(2, groups), strict=True):
        wanted, named = batches._examples(2, group)
        assert np.array_equal(pixels.numpy(), wanted) and np.array_equal(labels.numpy(), named)


@pytest.mark.parametrize(
    ("variant", "share"), [(TemporalShift(), 1 / 8), (TemporalShift("bi", 0.25), 1 / 4), (TemporalShift("none"), 0)]
)
def test_a_training_begins_with_the_moved_channels_loud(small_store, tmp_path, variant, share):
    """Both halves of a shifted block's first sum have about the same variance, whatever its share."""
    model = models.load("tsm-mobilenetv2", width=1, size=32, labels=LABELS)
    store = open_store(small_store)
    net = loop.Trainer(settings(variant=variant), model, store, store, tmp_path).net
    weight = net.state_dict()["features.16.conv.0.weight"].flatten(1).square().sum(0)
    moved = round(share * len(weight))
    loud, rest = weight[:moved].sum(), weight[moved:].sum()
    assert moved == 0 or 0.9 < loud / rest < 1.1
    assert moved > 0 or weight.max() < 2 * weight.min()
