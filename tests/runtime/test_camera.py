"""tsm-edge-run --camera over a stand-in of the V4L2 calls: formats, faults, unplugging; on x86-64 and under qemu."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from command_lab import refused
from PIL import Image

from tsm_edge.frames import preprocess
from tsm_edge.signature import Preprocess

HERE = Path(__file__).resolve().parent
CROP, CLASSES, STEPS = 20, 3, 5
HOW = Preprocess.square(24, CROP, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "rgb", 12.0)
WIDTH, HEIGHT = 64, 48
CAMERA = ("--camera", "/dev/video7")


@pytest.fixture(scope="module")
def tiny(make, plain_program) -> Path:
    return make(runner=plain_program)


@pytest.fixture(scope="module")
def stand_in(build) -> Path:
    return build("stand_in_v4l2.so", [HERE / "stand_in_v4l2.c"], "-shared", "-fPIC", "-Wno-sign-conversion")


@pytest.fixture
def world(stand_in, tmp_path) -> Callable[..., dict[str, str]]:
    """world(formats, *frames, **settings) -> the environment with such a camera."""

    def world(formats: str, *frames: bytes, **settings: object) -> dict[str, str]:
        file = tmp_path / "frames.bin"
        file.write_bytes(b"".join(struct.pack("<I", len(frame)) + frame for frame in frames))
        mine = {f"V4L2_{name.upper()}": str(value) for name, value in settings.items()}
        return {"LD_PRELOAD": str(stand_in), "V4L2_FORMATS": formats, "V4L2_FRAMES": str(file), **mine}

    return world


@contextmanager
def running(
    program: list[str | Path], environment: dict[str, str], *arguments: str
) -> Iterator[subprocess.Popen[bytes]]:
    command = [*program, *CAMERA, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, env={**os.environ, **environment}) as process:
        try:
            yield process
        finally:
            process.kill()


def end(process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGTERM) -> str:
    """End it by a signal; return what it said."""
    assert process.stderr and process.stdout
    process.send_signal(number)
    process.stdout.read()
    said = process.stderr.read().decode()
    assert process.wait(60) == 128 + number, said
    return said


def first_input(program: list[str | Path], environment: dict[str, str], *arguments: str) -> np.ndarray:
    """The network's input of the first frame."""
    with running(program, environment, *arguments, "--dump") as process:
        assert process.stdout
        data = process.stdout.read(4 * (CLASSES + 3 * CROP**2 + STEPS))
        end(process, signal.SIGINT)
    return np.frombuffer(data, "<f4")[CLASSES:-STEPS]


def picture(format: str) -> np.ndarray:
    shape = {"YUYV": (HEIGHT, WIDTH, 2), "GREY": (HEIGHT, WIDTH)}.get(format, (HEIGHT * 3 // 2, WIDTH))
    return np.random.default_rng(9).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(
    ("code", "format"), [("YUYV", "yuyv"), ("NV12", "nv12"), ("YU12", "yuv420"), ("GREY", "grey")]
)
def test_every_format_of_a_camera(tiny, world, code, format):
    frame = picture(code)
    environment = world(f"pRAA 64x48;{code} 32x24 64x48", frame.tobytes(), fault="interrupted")
    seen = first_input([tiny / "tsm-edge-run"], environment, "--size", "64x48", "--fps", "30")
    assert np.array_equal(seen, preprocess(frame, HOW, format=format).ravel())


@pytest.mark.parametrize("tables", ["with", "without"])
@pytest.mark.parametrize("subsampling", ["4:2:2", "4:2:0"])
def test_mjpeg(tiny, world, subsampling, tables):
    """Against Pillow's decoder; many cameras leave the Huffman tables out."""
    smooth = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH))[:, :, None] + np.array([0, 60, 120])
    data = io.BytesIO()
    Image.fromarray(smooth.astype(np.uint8)).save(data, "JPEG", quality=95, subsampling=subsampling)
    expected = preprocess(np.asarray(Image.open(data)), HOW, format="rgb").ravel()
    frame = data.getvalue() if tables == "with" else without_tables(data.getvalue())
    seen = first_input([tiny / "tsm-edge-run"], world("MJPG 64x48", frame))
    assert np.abs(seen - expected).max() < 4 / 255 / 0.224  # decoders differ by a few levels where colour changes


def without_tables(jpeg: bytes) -> bytes:
    kept, at = jpeg[:2], 2
    while jpeg[at + 1] != 0xDA:
        size = 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        kept += b"" if jpeg[at + 1] == 0xC4 else jpeg[at : at + size]
        at += size
    assert len(kept) + len(jpeg[at:]) < len(jpeg)
    return kept + jpeg[at:]


def test_damaged_frames_are_left_out_and_said_once(tiny, world):
    environment = world("YUYV 64x48", picture("YUYV").tobytes(), fault="damaged", rate=100)
    with running([tiny / "tsm-edge-run"], environment, "--decide") as process:
        assert process.stdout  # every second frame is damaged, and one in eight is taken: some odd, some even
        lines = [json.loads(process.stdout.readline()) for _ in range(15)]
        said = end(process)
    assert all(line["label"] for line in lines)
    assert said.count("damaged (3072 bytes)") == 1 and "gives 64x48 yuyv, 100 frames a second" in said


def test_unplugged_and_plugged_in_again(tiny, world):
    """The states begin anew: the step counter of the plan is one again."""
    environment = world("YUYV 64x48", picture("YUYV").tobytes(), unplug=4, rate=20)
    steps = []
    with running([tiny / "tsm-edge-run"], environment, "--dump") as process:
        assert process.stdout
        while steps[-1:] != [1.0] or len(steps) < 2:
            row = np.frombuffer(process.stdout.read(4 * (CLASSES + 3 * CROP**2 + STEPS)), "<f4")
            steps.append(float(row[-1]))
        said = end(process)
    assert len(steps) >= 3
    assert "camera /dev/video7 is gone; it is waited for" in said and "camera /dev/video7 is back" in said


@pytest.mark.parametrize(
    ("formats", "settings", "arguments", "code", "says"),
    [
        ("YUYV 64x48", {"fault": "not-a-camera"}, (), 4, "is not a camera"),
        ("YUYV 64x48", {"fault": "metadata"}, (), 4, "no capture of video"),
        ("YUYV 64x48", {"fault": "busy"}, (), 4, "is busy: another program"),
        ("YUYV 64x48", {"fault": "denied"}, (), 4, "usermod -aG video"),
        ("pRAA 64x48;pBAA 8x8", {}, (), 4, "rpicam-vid -t 0 --codec yuv420"),
        ("YUYV 64x48 32x24;MJPG 1280x720", {}, ("--size", "800x600"), 2, "YUYV 64x48 32x24; MJPG 1280x720"),
    ],
)
def test_cameras_that_cannot_be_used(tiny, world, formats, settings, arguments, code, says):
    environment = world(formats, b"", **settings)
    refused(tiny, code, says, "/dev/video7", arguments=(*CAMERA, *arguments), environment=environment)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--camera", "/dev/video99"), 4, "there is no camera /dev/video99"),
        (("--camera", "98"), 4, "there is no camera /dev/video98"),
        (("--camera", "/dev/null"), 4, "/dev/null is not a camera"),
        (("--camera",), 2, "bad value for --camera"),
        (("--camera", "x" * 300), 2, "300 characters"),
        (("--camera", "/dev/\x1b[31m"), 4, "there is no camera"),
        (("--tensor", "--size", "4x4"), 2, "--size does not go"),
    ],
)
def test_names_that_are_none(tiny, arguments, code, says):
    refused(tiny, code, says, arguments=arguments)


@pytest.mark.skipif(importlib.util.find_spec("ziglang") is None, reason="the cross-compiler is not installed")
def test_on_aarch64_under_qemu(runtime, library, command, repository, tmp_path, world, good):
    """The program, the library and the stand-in of another processor; the same bytes as here."""
    emulator, root = shutil.which("qemu-aarch64"), Path("/usr/aarch64-linux-gnu")
    if emulator is None or not root.is_dir():
        pytest.skip("qemu-aarch64 or its C library is not installed: apt-get install qemu-user libc6-arm64-cross")
    includes = [f"-I{folder}" for folder in (runtime, runtime / "command")]
    bundle, stand_in = tmp_path / "bundle", tmp_path / "stand_in.so"
    bundle.mkdir()
    shared = ["-shared", "-fPIC", "-fvisibility=hidden"]
    for out, sources, flags in (
        (bundle / "libtsm.so", library, shared),
        (bundle / "tsm-edge-run", command, []),
        (stand_in, [HERE / "stand_in_v4l2.c"], shared[:2]),
    ):
        arguments = ["-target", "aarch64-linux-gnu.2.27", "-O1", *includes, *map(str, sources), *flags]
        arguments += ["-o", str(out), "-lm", "-ldl", "-lpthread"]
        subprocess.run([sys.executable, "-m", "ziglang", "cc", *arguments], check=True)
    files = {name: (bundle / name).read_bytes() for name in ("libtsm.so", "tsm-edge-run")}
    for name in ("tsm_edge.h", "plan.txt"):
        files[name] = b"nothing\n"
        (bundle / name).write_bytes(files[name])
    entries = {n: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for n, data in files.items()}
    target = {**good["target"], "arch": "aarch64", "glibc": "2.27"}
    (bundle / "manifest.json").write_text(json.dumps({**good, "target": target, "files": entries}))
    frame = picture("NV12")
    environment = world("NV12 64x48", frame.tobytes())
    del environment["LD_PRELOAD"]
    settings = [word for name, value in environment.items() for word in ("-E", f"{name}={value}")]
    program = [emulator, "-L", root, "-E", f"LD_PRELOAD={stand_in}", *settings, bundle / "tsm-edge-run"]
    assert np.array_equal(first_input(program, {}), preprocess(frame, HOW, format="nv12").ravel())
