"""Processes that train one network together; how well, is measured in test_miniature.py."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from tsm_edge.errors import UsageError
from tsm_edge.train import processes

SHAPE = ["--width", "0.25", "--size", "32", "--frames", "6"]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def together(*words, count=2):
    """Run `tsm-edge train` in processes; return them as they ended, the first one first."""
    place = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    command = [sys.executable, "-m", "tsm_edge", "train", "--device", "cpu", "--threads", "1", *map(str, words)]
    running = [
        subprocess.Popen(
            command,
            env={**os.environ, **place, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]
    return [(*one.communicate(timeout=900), one.returncode) for one in running]


def test_clips_are_decoded_once_and_only_the_first_process_speaks(write_video, tmp_path):
    for label in ("a", "b"):
        for number in range(12):
            write_video(tmp_path / "clips" / label / f"{number}.mp4", range(12))
    words = ["--data", tmp_path / "clips", "--out", tmp_path / "run", "--epochs", "1", "--batch", "4", "--no-flip"]
    (out, err, code), other = together(*words, *SHAPE)
    assert code == 0, err
    assert other == ("", "", 0)
    assert "clips to train on" in err and "weights" in out
    refused, other = together(*words, *SHAPE)
    assert refused[2] == 1 and "--resume" in refused[1], "the training that is there is left alone"
    assert other[2] == 1 and "Another process of the training has ended" in other[1]


def test_weights_gradients_and_figures_are_the_same_in_both(small_store, tmp_path):
    program = f"""
import hashlib, sys
from pathlib import Path
from tsm_edge import models
from tsm_edge.train import loop, processes, settings
from tsm_edge.train.store import open_store
store, mine = open_store(Path({str(small_store)!r})), processes.started()
model = models.load("tsm-mobilenetv2", width=0.25, size=32, labels=store.labels)
how = settings.Settings(model.name, dict(model.parameters), store.labels, frames=4, epochs=2, batch=8)
with processes.joined(mine, "cpu"):
    trainer = loop.Trainer(how, model, store, store, Path({str(tmp_path)!r}) / "run", processes=mine)
    history = trainer.run().history
state = [trainer.average, trainer.net.state_dict()]
text = "".join(hashlib.sha256(v.numpy().tobytes()).hexdigest() for s in state for v in s.values())
print(hashlib.sha256(text.encode()).hexdigest(), history)
"""
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            env={**os.environ, **place, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    first, second = (one.communicate(timeout=300)[0] for one in running)
    assert first == second and "top1" in first


def test_a_share_is_a_part_of_every_batch():
    batch = np.array([5, 3, 8, 1, 9, 0])
    shares = [processes.Processes(rank, 3, rank).share(batch).tolist() for rank in range(3)]
    assert shares == [[5, 1], [3, 9], [8, 0]]
    assert processes.ALONE.share(batch).tolist() == batch.tolist()


@pytest.mark.parametrize("batch", [9, 2])
def test_a_batch_that_cannot_be_shared_is_refused(batch):
    with pytest.raises(UsageError, match=f"{batch} a step for 2 processes"):
        processes.Processes(0, 2, 0).check_batch(batch)
    processes.ALONE.check_batch(batch)


def test_an_environment_that_is_not_torchruns(monkeypatch):
    for name, value in zip(processes._ENVIRONMENT, ("0", "2", "0", "localhost", "1")):
        monkeypatch.setenv(name, value)
    assert processes.started() == processes.Processes(0, 2, 0)
    monkeypatch.setenv("RANK", "2")
    with pytest.raises(UsageError, match="RANK=2"):
        processes.started()
    monkeypatch.setenv("RANK", "one")
    with pytest.raises(UsageError, match="RANK=one"):
        processes.started()
    monkeypatch.delenv("MASTER_PORT")
    assert processes.started() == processes.ALONE, "a stray variable is no torchrun"
