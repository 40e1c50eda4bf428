"""tsm-edge-run on pictures of every format, on YUV4MPEG2, and ended by a signal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from command_lab import refused, run

from tsm_edge.frames import preprocess
from tsm_edge.signature import Preprocess

CROP, CLASSES, STEPS = 20, 3, 5
HOW = Preprocess.square(24, CROP, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "rgb", 12.0)
WIDTH, HEIGHT = 42, 30
Y4M = b"YUV4MPEG2 W42 H30 F24:1 Ip A1:1 C420jpeg XYSCSS=420JPEG"


@pytest.fixture(scope="module")
def tiny(make, plain_program) -> Path:
    return make(runner=plain_program)


def seen(done: subprocess.CompletedProcess[bytes]) -> np.ndarray:
    """The network's inputs in the output of --dump."""
    assert done.returncode == 0, done.stderr
    return np.frombuffer(done.stdout, "<f4").reshape(-1, CLASSES + 3 * CROP**2 + STEPS)[:, CLASSES:-STEPS]


def expected(frames: np.ndarray, format: str, color: str = "bt601") -> np.ndarray:
    return np.stack([preprocess(frame, HOW, format=format, color=color).ravel() for frame in frames])


def planar(count: int = 2) -> np.ndarray:
    return np.random.default_rng(4).integers(0, 256, (count, HEIGHT * 3 // 2, WIDTH), dtype=np.uint8)


def stream(header: bytes, frames: np.ndarray, line: bytes = b"FRAME\n") -> bytes:
    return header + b"\n" + b"".join(line + frame.tobytes() for frame in frames)


@pytest.mark.parametrize(
    ("format", "shape"), [("grey", (HEIGHT, WIDTH)), ("yuyv", (HEIGHT, WIDTH, 2)), ("nv12", (HEIGHT * 3 // 2, WIDTH))]
)
def test_raw_formats(tiny, format, shape):
    frames = np.random.default_rng(3).integers(0, 256, (2, *shape), dtype=np.uint8)
    done = run(tiny, "--raw", f"{WIDTH}x{HEIGHT}", "--format", format, "--dump", data=frames.tobytes())
    assert np.array_equal(seen(done), expected(frames, format))


def test_rows_of_rpicam_are_apart(tiny):
    """Its yuv420 has a stride of whole 64 bytes, and half of that for U and V."""
    frames = planar(1)
    y, u, v = frames[0, :HEIGHT], *frames[0, HEIGHT:].reshape(2, HEIGHT // 2, WIDTH // 2)
    padded = b"".join(np.pad(p, ((0, 0), (0, w - p.shape[1]))).tobytes() for p, w in ((y, 64), (u, 32), (v, 32)))
    arguments = ("--raw", f"{WIDTH}x{HEIGHT}", "--format", "yuv420", "--stride", "64", "--color", "bt709-full")
    assert np.array_equal(seen(run(tiny, *arguments, "--dump", data=padded)), expected(frames, "yuv420", "bt709-full"))


@pytest.mark.parametrize("arguments", [("--input", "-"), ("--raw", f"{WIDTH}x{HEIGHT}", "--format", "yuv420")])
def test_yuv4mpeg2_is_known_by_its_header(tiny, arguments):
    frames = planar()
    done = run(tiny, *arguments, "--dump", data=stream(Y4M, frames))
    assert np.array_equal(seen(done), expected(frames, "yuv420"))
    full = stream(Y4M + b" XCOLORRANGE=FULL", frames, b"FRAME Xsome\n")
    assert np.array_equal(seen(run(tiny, *arguments, "--dump", data=full)), expected(frames, "yuv420", "bt601-full"))


def test_yuv4mpeg2_has_its_own_rate_and_may_be_grey(tiny):
    """24 frames a second are every other one of a model's 12; nothing is timed by the clock."""
    frames = np.zeros((8, HEIGHT, WIDTH), np.uint8)
    done = run(tiny, "--input", "-", "--decide", data=stream(Y4M.replace(b"C420jpeg", b"Cmono"), frames))
    assert done.returncode == 0 and done.stderr == b""
    assert [json.loads(line)["frame"] for line in done.stdout.splitlines()] == [0, 2, 4, 6]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "found: nothing"),
        (b"\x89PNG\r\n", "does not say what it is"),
        (b"YUV4MPEG2", "no end of its header"),
        (b"YUV4MPEG2 " + b"X" * 2000, "no end of its header"),
        (b"YUV4MPEG2 W4\n", "found: no H"),
        (b"YUV4MPEG2 W4 H99999\n", "found: H99999"),
        (b"YUV4MPEG2 W4 H4 F1\n", "found: F1"),
        (b"YUV4MPEG2 W4 H4 C422\n", "-pix_fmt yuv420p"),
        (b"YUV4MPEG2 W4 H4 C420p10\n", "found: C420p10"),
        (b"YUV4MPEG2 W4 H4\n", "no frame came on stdin"),
        (b"YUV4MPEG2 W4 H4\nFRAME\n", "frame 0 is cut off"),
        (b"YUV4MPEG2 W4 H4\nFRAME\n" + bytes(24) + b"FRA", "frame 1 of the YUV4MPEG2 stream does not begin"),
        (b"YUV4MPEG2 W4 H4\n\x1b[31m" + bytes(100), "does not begin with FRAME"),
    ],
)
def test_streams_that_cannot_be_read(tiny, data, says):
    refused(tiny, 1, says, arguments=("--input", "-", "--dump"), data=data)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--raw", "4x4", "--format", "nv12", "--stride", "3"), "bad value for --stride"),
        (("--raw", "8x8", "--format", "yuv420"), "found: 42x30 yuv420"),
        (("--raw", "42x30", "--format", "bgr"), "use --input -"),
        (("--raw", "4x4", "--format", "bgr", "--color", "bt709"), "--color does not go with --format bgr"),
        (("--tensor", "--color", "bt709"), "--color does not go"),
        (("--input", "-", "--stride", "64"), "--stride does not go"),
        (("--input", "clip.mp4"), "-f yuv4mpegpipe"),
        (("--raw", "4x4", "--format", "yuyv", "--color", "bt2020"), "bt709-full"),
    ],
)
def test_usage(tiny, arguments, says):
    data = bytes(1000) if "--stride" in arguments else stream(Y4M, planar())
    refused(tiny, 2, says, arguments=(*arguments, "--fps", "12"), data=data)


@pytest.mark.parametrize("arguments", [(), ("--fps", "12")])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_between_two_results(tiny, number, arguments):
    command = [tiny / "tsm-edge-run", "--raw", "24x24", "--format", "grey", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=dict(os.environ)) as process:
        assert process.stdin and process.stdout
        process.stdin.write(bytes(576))
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["frame"] == 0
        process.send_signal(number)
        assert process.wait(30) == 128 + number
        assert process.stdout.read() == b""
