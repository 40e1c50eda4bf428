"""The demo on a real bundle: compiled for this machine, opened, stepped, drawn and recorded."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

import tsm_edge
from tsm_edge import bundle
from tsm_edge.demo import REAL_CLIP
from tsm_edge.demo.default_bundle import default_bundle
from tsm_edge.sampling import Sampler

COMMAND = [sys.executable, "-m", "tsm_edge", "demo", "--headless", "--video", str(REAL_CLIP)]


def run(folder, *options):
    """Run the demo as a user does; gives its JSON lines and its stderr."""
    command = [*COMMAND, "--bundle", str(folder), "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def timeless(lines):
    timings = ("ms", "median_ms", "p95_ms", "fps")
    return [{key: value for key, value in line.items() if key not in timings} for line in lines]


def test_two_replays_are_equal_and_all_frames_are_seen(local_bundle):
    first, stderr = run(local_bundle)
    second, _ = run(local_bundle, "--threads", "1")
    assert timeless(first) == timeless(second)
    assert len(first) == 92 + 1
    assert first[-1]["dropped"] == 0
    assert all(line["ms"] > 0 for line in first[:-1])
    if bundle.read(local_bundle).model.weights.source == "seeded":
        assert "means nothing yet" in stderr


def test_the_demo_sees_what_the_python_api_sees(local_bundle):
    lines, _ = run(local_bundle)
    capture, sampler = cv2.VideoCapture(str(REAL_CLIP)), Sampler(12)
    with tsm_edge.open(local_bundle) as model, model.stream() as stream:
        smoother, decisions = model.smoother(), []
        while True:
            good, image = capture.read()
            if not good:
                break
            if sampler.take(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000):
                decisions.append(smoother.push(stream.step(image)))
    assert [line["index"] for line in lines[:-1]] == [decision.index for decision in decisions]
    assert [line["idle"] for line in lines[:-1]] == [decision.idle for decision in decisions]
    for line, decision in zip(lines, decisions):
        assert (line["probability"] is None) == decision.idle
        shares = dict(line["top"])
        shown = line["probability"] if not decision.idle else shares.get(decision.label)
        assert shown is None or shown == pytest.approx(decision.probability, abs=1e-4)


def test_the_channel_order_matters_to_the_network(local_bundle):
    right, _ = run(local_bundle, "--max-frames", "24")
    old, _ = run(local_bundle, "--max-frames", "24", "--bgr")
    mirrored, _ = run(local_bundle, "--max-frames", "24", "--mirror")
    seen = [[line["top"][0][1] for line in lines[:-1]] for lines in (right, old, mirrored)]
    assert not np.allclose(seen[0], seen[1], atol=1e-4)
    assert not np.allclose(seen[0], seen[2], atol=1e-4)


def test_the_recording_shows_the_clip_and_the_panel(local_bundle, tmp_path):
    path = tmp_path / "out.mp4"
    lines, _ = run(local_bundle, "--record", str(path))
    assert lines[-1]["recorded"] == str(path)
    capture = cv2.VideoCapture(str(path))
    images = [capture.read()[1] for _ in range(92)]
    assert not capture.read()[0]
    original = cv2.VideoCapture(str(REAL_CLIP)).read()[1]
    assert np.abs(images[0][:360].astype(int) - original).mean() < 12  # the encoder loses a little
    panel = images[0][360:].astype(int)
    assert (panel.max(axis=2) < 90).mean() > 0.3  # the panel itself and empty tracks
    assert (panel.min(axis=2) > 180).mean() > 0.005  # ink


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_well_and_keeps_the_recording(local_bundle, tmp_path, make, number):
    """Many images, so that the run is still going on when it is told to end."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for count in range(1500):
        cv2.imwrite(str(pictures / f"{count}.pgm"), make.picture((count % 256,) * 3, 320, 240)[..., 0])
    path = tmp_path / "out.mp4"
    command = [sys.executable, "-m", "tsm_edge", "demo", "--headless", "--images", str(pictures)]
    command += ["--bundle", str(local_bundle), "--json", "--record", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    first = process.stdout.readline()
    time.sleep(0.1)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    summary = json.loads(out.splitlines()[-1])
    assert json.loads(first)["frame"] == 0
    assert summary["stopped"] == "interrupted"
    assert 0 < summary["frames"] < 1500
    assert sum(1 for _ in iter(cv2.VideoCapture(str(path)).grab, False)) == summary["frames"]


def test_a_reader_that_leaves_ends_the_run_quietly(local_bundle):
    command = " ".join([*COMMAND, "--bundle", f"'{local_bundle}'", "--json"])
    done = subprocess.run(
        f"{command} | head -n 3", shell=True, capture_output=True, text=True, timeout=120, check=False
    )
    assert len(done.stdout.splitlines()) == 3
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_a_damaged_bundle_is_refused(local_bundle, tmp_path):
    damaged = tmp_path / "damaged"
    shutil.copytree(local_bundle, damaged)
    data = bytearray((damaged / "libtsm.so").read_bytes())
    data[len(data) // 2] ^= 1
    (damaged / "libtsm.so").write_bytes(data)
    command = [*COMMAND, "--bundle", str(damaged)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 3
    assert "[file-hash]" in done.stderr


def test_without_a_bundle_the_default_model_is_compiled_once(tmp_path, capfd):
    """The one place that runs the compiler's command line as the demo does: its options must still be there."""
    environ = {"XDG_CACHE_HOME": str(tmp_path)}
    folder = default_bundle(environ=environ)
    assert bundle.verify(folder).model.name == "gestures"
    assert "compiling gestures for this machine, once" in capfd.readouterr().err
    assert default_bundle(environ=environ) == folder
    out, err = capfd.readouterr()
    assert out == err == ""
    lines, _ = run(folder, "--max-frames", "5")
    assert len(lines) == 5 + 1
