"""Pipes from rpicam-vid into tsm-edge-run, as the documentation has them: here, and on AArch64 under qemu."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from camera_lab import HOW
from cross_lab import emulator

from tsm_edge.frames import preprocess
from tsm_edge.sampling import Sampler

ROW, CLASSES, STEPS = 3 + 1200 + 5, 3, 5
#: stands in for the program of Raspberry Pi OS, which is on no other system: its options, its formats, its sizes
RPICAM = """#!/usr/bin/env python3
import argparse, io, sys
import numpy as np
p = argparse.ArgumentParser()
p.add_argument("-t", "--timeout"); p.add_argument("-n", "--nopreview", action="store_true")
p.add_argument("--codec", choices=("h264", "mjpeg", "yuv420", "libav"), default="h264")
p.add_argument("-o", "--output"); p.add_argument("--width", type=int, default=640)
p.add_argument("--height", type=int, default=480); p.add_argument("--framerate", type=float, default=30)
o = p.parse_args()
assert o.timeout == "0" and o.output == "-", "an endless stream on standard output"
rng = np.random.default_rng(6)
for number in range({count}):
    if o.codec == "yuv420":
        frame = rng.integers(16, 236, o.height * o.width * 3 // 2, dtype=np.uint8).tobytes()
    else:
        assert o.codec == "mjpeg", "not what is read here"
        from PIL import Image
        out = io.BytesIO()
        Image.fromarray(np.full((o.height, o.width, 3), 3 * number, np.uint8)).save(out, "JPEG")
        frame = out.getvalue()
    sys.stdout.buffer.write(frame[: len(frame) // 2] if number == {cut} else frame)
"""
COUNT = 12


@pytest.fixture(params=["here", "aarch64"])
def native(request) -> str:
    """tsm-edge-run in a shell's words."""
    if request.param == "here":
        return str(request.getfixturevalue("tiny_camera_bundle") / "tsm-edge-run")
    return " ".join(map(str, [*emulator(), request.getfixturevalue("aarch64_bundle") / "tsm-edge-run"]))


@pytest.fixture
def shell(tmp_path, native) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """shell(pipe, cut=…) -> the pipe, run as a user does; frame `cut` is cut off, and the stream goes on behind it."""

    def shell(pipe: str, cut: int = -1, count: int = COUNT) -> subprocess.CompletedProcess[bytes]:
        path = tmp_path / "rpicam-vid"
        script = RPICAM.replace("#!/usr/bin/env python3", f"#!{sys.executable}", 1)
        path.write_text(script.replace("{count}", str(count)).replace("{cut}", str(cut)))
        path.chmod(0o755)
        environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        text = pipe.replace("tsm-edge-run", native)
        return subprocess.run(
            ["bash", "-c", text], capture_output=True, env=environment, timeout=120, check=False
        )

    return shell


def chosen(fps: float, count: int = COUNT) -> list[int]:
    sampler = Sampler(12)
    return [at for at in range(count) for _ in range(sampler.take(at / fps))]


def test_the_pipe_of_the_documentation(shell):
    done = shell(
        "rpicam-vid -t 0 --codec yuv420 -o - | tsm-edge-run --raw 640x480 --format yuv420 --fps 30 --decide"
    )
    assert done.returncode == 0 and done.stderr == b"", done.stderr
    assert [json.loads(line)["frame"] for line in done.stdout.splitlines()] == chosen(30)


def test_the_model_sees_what_the_camera_sees(shell):
    """Against the preprocessing in Python, bit for bit."""
    pipe = "rpicam-vid -t 0 -n --codec yuv420 -o - | tsm-edge-run --raw 640x480 --format yuv420 --dump"
    done = shell(pipe, count=2)
    seen = np.frombuffer(done.stdout, "<f4").reshape(2, ROW)[:, CLASSES:-STEPS]
    rng = np.random.default_rng(6)
    for row in seen:
        frame = rng.integers(16, 236, 480 * 640 * 3 // 2, dtype=np.uint8).reshape(720, 640)
        assert np.array_equal(row, preprocess(frame, HOW, format="yuv420").ravel())


def test_mjpeg(shell):
    done = shell("rpicam-vid -t 0 -n --codec mjpeg -o - | tsm-edge-run --input - --fps 30 --dump")
    grey = np.frombuffer(done.stdout, "<f4").reshape(-1, ROW)[:, CLASSES:-STEPS].mean(1)
    assert done.returncode == 0 and len(grey) == len(chosen(30)) and (np.diff(grey) > 0).all()


@pytest.mark.parametrize(
    ("pipe", "cut", "says"),
    [
        (
            "--codec yuv420 -o - | tsm-edge-run --raw 640x480 --format yuv420 --fps 30",
            COUNT - 1,
            "frame 11 is cut off",
        ),
        (
            "--codec mjpeg -o - | tsm-edge-run --input - --fps 30",
            COUNT - 1,
            "frame 11 of the MJPEG stream is cut off",
        ),
        ("--codec yuv420 -o - | tsm-edge-run --input - --fps 30", -1, "does not say what it is"),
        ("--codec h264 -o - | tsm-edge-run --input -", -1, "does not say what it is"),
    ],
)
def test_streams_that_are_cut_off_or_are_of_another_kind(shell, pipe, cut, says):
    done = shell(f"rpicam-vid -t 0 {pipe} --decide", cut)
    assert done.returncode == 1 and says in done.stderr.decode()


def test_a_damaged_frame_in_the_stream_is_left_out(shell):
    done = shell("rpicam-vid -t 0 --codec mjpeg -o - | tsm-edge-run --input - --fps 12 --decide", 5)
    frames = [json.loads(line)["frame"] for line in done.stdout.splitlines()]
    assert done.returncode == 0 and b"is damaged; such frames are left out" in done.stderr
    assert frames == list(range(COUNT - 1))
