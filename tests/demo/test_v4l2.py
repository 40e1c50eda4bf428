"""USB cameras from the command line to the frames, over a stand-in of the kernel's calls below OpenCV."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

SOURCE = Path(__file__).resolve().with_name("stand_in_files.c")
DEVICE = "/dev/video7"
WIDTH, HEIGHT = 64, 48


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("the stand-in of the calls is compiled with gcc")
    library = tmp_path_factory.mktemp("v4l2") / "stand_in.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", SOURCE, "-o", library, "-ldl"], check=True)
    return library


def in_corner(format):
    """A frame that is bright in its upper left quarter, as the camera sends it."""
    grey = np.full((HEIGHT, WIDTH), 16, np.uint8)
    grey[: HEIGHT // 2, : WIDTH // 2] = 235
    if format == "YUYV":
        return np.dstack([grey, np.full_like(grey, 128)]).tobytes()
    if format == "NV12":
        return grey.tobytes() + bytes([128]) * (WIDTH * HEIGHT // 2)
    return cv2.imencode(".jpg", np.repeat(grey[:, :, None], 3, axis=2))[1].tobytes()


@pytest.fixture
def call(stand_in, tmp_path):
    """call(words, formats, **settings of the stand-in) -> what the command says, with such a camera plugged in."""

    def call(words, formats=f"YUYV {WIDTH}x{HEIGHT} 32x24", **settings):
        frames = in_corner(formats[:4])
        (tmp_path / "frames.bin").write_bytes(struct.pack("<I", len(frames)) + frames)
        (tmp_path / "dev").mkdir(exist_ok=True)
        (tmp_path / "dev" / "video7").touch()
        camera = {"FORMATS": formats, "FRAMES": tmp_path / "frames.bin", "DEV": tmp_path / "dev", **settings}
        done = subprocess.run(
            [sys.executable, "-m", "tsm_edge", *map(str, words)],
            env={**os.environ, "LD_PRELOAD": str(stand_in), **{f"V4L2_{key}": str(camera[key]) for key in camera}},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        return SimpleNamespace(code=done.returncode, out=done.stdout, err=done.stderr)

    return call


RECORD = ("record", "--headless", "--keep-all", "--countdown", "0", "--seconds", "0.5", "--clips", "1", "--label", "x")


@pytest.mark.parametrize(
    ("code", "format", "options", "corner"),
    [
        ("YUYV", "yuyv", (), (0, 0)),
        ("YUYV", "yuyv", ("--mirror",), (0, 1)),
        ("NV12", "nv12", ("--rotate", "90"), (0, 1)),
        ("MJPG", "mjpeg", ("--rotate", "180", "--mirror"), (1, 0)),
    ],
)
def test_frames_of_every_format_turned_and_mirrored(call, tmp_path, code, format, options, corner):
    words = [*RECORD, "--input", DEVICE, "--size", f"{WIDTH}x{HEIGHT}", "--rate", 30, "--format", format, *options]
    done = call([*words, "--out", tmp_path / "clips"], f"{code} 32x24 {WIDTH}x{HEIGHT}")
    assert done.code == 0, done.err
    (clip,) = (tmp_path / "clips" / "x").glob("*.mp4")
    good, frame = cv2.VideoCapture(str(clip)).read()
    assert good and frame.shape[:2] == ((WIDTH, HEIGHT) if "90" in options else (HEIGHT, WIDTH))
    height, width = frame.shape[0] // 2, frame.shape[1] // 2
    means = frame.mean(axis=2)[: 2 * height, : 2 * width].reshape(2, height, 2, width).mean(axis=(1, 3))
    assert np.unravel_index(means.argmax(), (2, 2)) == corner
    assert means.max() > 200 and np.sort(means.ravel())[-2] < 60


@pytest.mark.parametrize(
    ("options", "settings", "says"),
    [
        ((), {"FAULT": "busy"}, ("could not be opened", "gives no video", "close other programs that use it")),
        ((), {"FAULT": "denied"}, ("may not be opened by this user", "usermod -aG video")),
        ((), {"FAULT": "not-a-camera"}, ("is no video device", "Inappropriate ioctl")),
        ((), {"FAULT": "metadata"}, ("delivers no pictures", "see: tsm-edge cameras")),
        (("--size", "640x360"), {}, ("does not deliver what was asked for", "64x48 for --size 640x360")),
        (("--format", "mjpeg"), {}, ("does not deliver what was asked for", "YUYV for --format mjpeg")),
        (("--rate", "60"), {"RATE": 15}, ("does not deliver what was asked for", "15 a second for --rate 60")),
    ],
)
def test_a_camera_that_cannot_be_used_is_said_to_be(call, tmp_path, options, settings, says):
    done = call([*RECORD, "--input", DEVICE, "--out", tmp_path / "clips", *options], **settings)
    assert done.code == 4 and done.out == "" and done.err.startswith("error[camera]: Camera '/dev/video7' ")
    for words in says:
        assert words in done.err


def test_unplugged_and_plugged_in_again(call, local_bundle):
    """The run goes on, says so, and begins anew; the driver's stamps give the delay."""
    words = ["demo", "--headless", "--json", "--max-frames", 12, "--bundle", local_bundle, "--input", DEVICE]
    done = call(words, UNPLUG=15)
    assert done.code == 0, done.err
    *frames, summary = map(json.loads, done.out.splitlines())
    assert summary["frames"] == len(frames) == 12 and summary["reconnects"] == 1
    assert "note: no picture from /dev/video7: trying again" in done.err
    assert "the model begins anew" in done.err
    stamps = np.diff([frame["t_s"] for frame in frames])
    assert (stamps > 1.0).sum() == 1
    assert all(frame["delay_ms"] >= 0 for frame in frames)


def test_cameras_lists_it(call):
    formats = f"YUYV {WIDTH}x{HEIGHT};MJPG 640x480 1280x720"
    text = call(["cameras", "--modes"], formats, FAULT="interrupted").out
    assert text.splitlines()[1].split() == ["7", "stand-in", "timer", "MJPG", "640x480", "at", "30"]
    assert "7: MJPG 1280x720 at 30" in text and text.endswith("next: tsm-edge demo --input 7\n")
    (found,) = json.loads(call(["cameras", "--json"], formats).out)["cameras"]
    assert (found["input"], found["driver"], len(found["modes"])) == ("7", "timer", 3)
    denied = call(["cameras"], formats, FAULT="denied").out
    assert "no permission to open it" in denied and "next:" not in denied
    assert call(["cameras"], formats, FAULT="metadata").out.startswith("no camera was found")
