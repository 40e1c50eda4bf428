"""What tsm-edge-run --camera makes of every format: against the preprocessing in Python; on x86-64 and under qemu."""

from __future__ import annotations

import io
from pathlib import Path

import cross_lab
import numpy as np
import pytest
from camera_lab import HEIGHT, HERE, HOW, WIDTH, first_input, picture, running
from PIL import Image

from tsm_edge.frames import preprocess

#: code of V4L2 -> name here
CODES = {"YUYV": "yuyv", "NV12": "nv12", "NM12": "nv12", "YU12": "yuv420", "YM12": "yuv420", "GREY": "grey"}


@pytest.fixture(scope="module")
def camera_program(tiny_camera_bundle) -> list[str | Path]:
    return [tiny_camera_bundle / "tsm-edge-run"]


def in_memory(frame: np.ndarray, code: str, pad: int) -> bytes:
    """The frame as a driver has it, with `pad` bytes behind each row."""
    if code in ("YU12", "YM12"):  # U and V have half the row, and half the gap
        y, chroma = frame[:HEIGHT], frame[HEIGHT:].reshape(HEIGHT, WIDTH // 2)
        rows = [np.pad(y, ((0, 0), (0, pad))), np.pad(chroma, ((0, 0), (0, pad // 2)))]
        return b"".join(part.tobytes() for part in rows)
    return np.pad(frame.reshape(len(frame), -1), ((0, 0), (0, pad))).tobytes()


@pytest.mark.parametrize("pad", [0, 16])
@pytest.mark.parametrize(
    ("code", "planar"),
    [("YUYV", 0), ("NV12", 0), ("YU12", 0), ("GREY", 0), ("NV12", 1), ("NM12", 1), ("YM12", 1), ("YUYV", 1)],
)
def test_every_format_of_a_camera(camera_program, world, code, planar, pad):
    frame = picture(code)
    settings = {"planar": planar, "pad": pad, "offset": 8 * planar, "fault": "interrupted"}
    environment = world(f"pRAA 64x48;{code} 32x24 64x48", in_memory(frame, code, pad), **settings)
    seen = first_input(camera_program, environment, "--size", "64x48", "--fps", "30")
    assert np.array_equal(seen, preprocess(frame, HOW, format=CODES[code]).ravel())


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize(
    ("colour", "expected"),
    [
        ("8 0 0", "bt601"),  # sRGB, the rest left open
        ("8 0 1", "bt601-full"),
        ("7 0 0", "bt601-full"),  # the colour space of JPEG
        ("7 2 2", "bt709"),
        ("3 0 0", "bt709"),  # Rec. 709
        ("3 1 1", "bt601-full"),
        ("1 4 1", "bt709-full"),  # xvYCC
        ("10 0 0", "bt709"),  # BT.2020, of which it is the nearest
    ],
)
def test_matrix_and_range_are_those_the_driver_states(camera_program, world, colour, expected, planar):
    frame = picture("NV12")
    environment = world("NV12 64x48", frame.tobytes(), planar=planar, colour=colour)
    expected_input = preprocess(frame, HOW, format="nv12", color=expected).ravel()
    assert np.array_equal(first_input(camera_program, environment), expected_input)


def test_a_matrix_that_is_not_known_is_said(camera_program, world):
    environment = world("NV12 64x48", picture("NV12").tobytes(), colour="10 0 0")
    with running(camera_program, environment, "--decide") as process:
        assert process.stderr and process.stdout and process.stdout.readline()
        process.terminate()
        assert "they are read as BT.709, the nearest" in process.stderr.read().decode()


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("tables", ["with", "without"])
@pytest.mark.parametrize("subsampling", ["4:2:2", "4:2:0"])
def test_mjpeg(camera_program, world, subsampling, tables, planar):
    """Against Pillow's decoder; many cameras leave the Huffman tables out."""
    smooth = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH))[:, :, None] + np.array([0, 60, 120])
    data = io.BytesIO()
    Image.fromarray(smooth.astype(np.uint8)).save(data, "JPEG", quality=95, subsampling=subsampling)
    expected = preprocess(np.asarray(Image.open(data)), HOW, format="rgb").ravel()
    frame = data.getvalue() if tables == "with" else without_tables(data.getvalue())
    seen = first_input(camera_program, world("MJPG 64x48", frame, planar=planar))
    assert (
        np.abs(seen - expected).max() < 4 / 255 / 0.224
    )  # decoders differ by a few levels where colour changes


def without_tables(jpeg: bytes) -> bytes:
    kept, at = jpeg[:2], 2
    while jpeg[at + 1] != 0xDA:
        size = 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        kept += b"" if jpeg[at + 1] == 0xC4 else jpeg[at : at + size]
        at += size
    assert len(kept) + len(jpeg[at:]) < len(jpeg)
    return kept + jpeg[at:]


def test_on_aarch64_under_qemu(aarch64_bundle, tmp_path, world):
    """The program, the library and the stand-in of another processor; the same bytes as here."""
    emulator, stand_in = cross_lab.emulator(), tmp_path / "stand_in.so"
    arguments = ["-target", "aarch64-linux-gnu.2.27", "-O1", "-shared", "-fPIC"]
    cross_lab.zig("cc", *arguments, HERE / "stand_in_v4l2.c", "-o", stand_in, "-ldl")
    frame = picture("NV12")
    environment = world("NM12 64x48", in_memory(frame, "NM12", 16), planar=1, pad=16)
    del environment["LD_PRELOAD"]
    settings = [word for name, value in environment.items() for word in ("-E", f"{name}={value}")]
    program = [*emulator, "-E", f"LD_PRELOAD={stand_in}", *settings, aarch64_bundle / "tsm-edge-run"]
    assert np.array_equal(first_input(program, {}), preprocess(frame, HOW, format="nv12").ravel())
