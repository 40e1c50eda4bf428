"""tsm-edge-run --input - on MJPEG: frames cut apart, cut off and damaged."""

from __future__ import annotations

import io
import json
import random
import subprocess
from pathlib import Path

import numpy as np
import pytest
from command_lab import refused, run
from PIL import Image

from tsm_edge.frames import preprocess
from tsm_edge.signature import Preprocess

CROP, CLASSES, STEPS = 20, 3, 5
HOW = Preprocess.square(24, CROP, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "rgb", 12.0)
WIDTH, HEIGHT = 64, 48
INPUT = ("--input", "-")


@pytest.fixture(scope="module")
def tiny(make) -> Path:
    """Under the address sanitizer."""
    return make()


def jpeg(seed: int, **settings: object) -> bytes:
    smooth = (
        np.add.outer(np.arange(HEIGHT), np.arange(WIDTH))[:, :, None] + np.array([0, 60, 120]) + 10 * seed
    )
    data = io.BytesIO()
    Image.fromarray(smooth.astype(np.uint8)).save(data, "JPEG", quality=95, **settings)
    return data.getvalue()


def seen(done: subprocess.CompletedProcess[bytes]) -> np.ndarray:
    assert done.returncode == 0, done.stderr
    return np.frombuffer(done.stdout, "<f4").reshape(-1, CLASSES + 3 * CROP**2 + STEPS)[:, CLASSES:-STEPS]


def expected(*frames: bytes) -> np.ndarray:
    pictures = (np.asarray(Image.open(io.BytesIO(frame))) for frame in frames)
    return np.stack([preprocess(picture, HOW, format="rgb").ravel() for picture in pictures])


def close(found: np.ndarray, frames: list[bytes]) -> bool:
    """Decoders differ by a few levels."""
    return found.shape[0] == len(frames) and np.abs(found - expected(*frames)).max() < 4 / 255 / 0.224


WITH_THUMBNAIL = b"\xff\xe1" + (2 + 200).to_bytes(2, "big") + b"\xff\xd8\xff\xd9" * 50


@pytest.mark.parametrize(
    "between", [b"", b"\0" * 7, b"\r\n--frame\r\nContent-Type: image/jpeg\r\n\r\n\xff\xff"]
)
def test_frames_one_behind_the_other(tiny, between):
    """With progressive ones, restarts, and a thumbnail whose markers are no frame's."""
    frames = [jpeg(0), jpeg(1, progressive=True), jpeg(2, restart_marker_blocks=1)]
    frames.append(jpeg(3)[:2] + WITH_THUMBNAIL + jpeg(3)[2:])
    done = run(tiny, *INPUT, "--dump", data=between.join(frames))
    assert close(seen(done), frames) and done.stderr == b""


def test_the_rate_is_given(tiny):
    lines = run(tiny, *INPUT, "--fps", "24", data=jpeg(0) * 8).stdout.splitlines()
    assert [json.loads(line)["frame"] for line in lines] == [0, 2, 4, 6]


@pytest.mark.parametrize(
    ("spoil", "steps", "says"),
    [
        (lambda frame: frame[:-100], 2, True),  # the next frame begins within its scan
        (lambda frame: frame[:20] + b"\xff\x00" + frame[22:], 2, True),
        (lambda frame: frame[:2] + b"\xff\xe0\x00\x01" + frame[6:], 2, True),
        (
            lambda frame: frame[:-200] + b"\xff\xd9",
            3,
            False,
        ),  # the decoder fills up what is missing of a scan
        (lambda frame: b"", 2, False),
    ],
    ids=["cut", "no marker", "no length", "short", "missing"],
)
def test_a_damaged_frame_in_the_middle_is_left_out(tiny, spoil, steps, says):
    frames = [jpeg(0), jpeg(2)]
    done = run(tiny, *INPUT, "--dump", data=frames[0] + spoil(jpeg(1)) + frames[1])
    found = seen(done)
    assert close(found[[0, -1]], frames) and len(found) == steps
    assert (b"damaged; such frames are left out" in done.stderr) == says


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\xff\xd8", "does not say what it is"),
        (b"\xff\xd8\xff", "ends before its first frame states its size"),
        (jpeg(0)[:-2], "frame 0 of the MJPEG stream is cut off"),
        (jpeg(0) + jpeg(1)[:300], "frame 1 of the MJPEG stream is cut off\n  found: 300 bytes of it"),
        (
            jpeg(0)[:2] + b"\xff\xc0\x00\x0b\x08\xff\xff\xff\xff\x01\x11\x00" * 2,
            "frames of 65535x65535 pixels",
        ),
        (jpeg(0) + bytes(2 << 20), "has no end"),
    ],
)
def test_streams_that_cannot_be_read(tiny, data, says):
    refused(tiny, 1, says, arguments=(*INPUT, "--dump"), data=data)


def test_another_size_ends_it(tiny):
    small = io.BytesIO()
    Image.new("RGB", (32, 24)).save(small, "JPEG")
    refused(
        tiny,
        1,
        "frame 1 of the MJPEG stream has another size",
        arguments=INPUT,
        data=jpeg(0) + small.getvalue(),
    )


def test_noise_never_ends_it_in_another_way(tiny):
    """Bytes that are changed at random: every frame is stepped on, left out, or the end is said in words."""
    rng = random.Random(5)
    for _ in range(12):
        data = bytearray(jpeg(0) * 4)
        for _ in range(rng.choice((1, 3, 20))):
            data[rng.randrange(len(data))] = rng.choice((0, 0xD8, 0xD9, 0xDA, 0xFF, rng.randrange(256)))
        done = run(tiny, *INPUT, "--fps", "12", data=bytes(data))
        assert done.returncode in (0, 1) and b"Sanitizer" not in done.stderr, done.stderr
        assert done.returncode == 0 or done.stderr.startswith(b"tsm-edge-run: ")
