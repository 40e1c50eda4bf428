"""tsm-edge-run --camera over the stand-in of the V4L2 calls: a camera for a test, and a running program."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cross_lab
import numpy as np
import pytest

from tsm_edge.signature import Preprocess

HERE = Path(__file__).resolve().parents[1] / "runtime"
CROP, CLASSES, STEPS = 20, 3, 5
HOW = Preprocess.square(24, CROP, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "rgb", 12.0)
WIDTH, HEIGHT = 64, 48
CAMERA = ("--camera", "/dev/video7")
#: bytes of a step of --dump
ROW = 4 * (CLASSES + 3 * CROP**2 + STEPS)


@pytest.fixture(scope="session")
def tiny_camera_bundle(make: Callable[..., Path], plain_program: Path) -> Path:
    """A bundle whose program runs under LD_PRELOAD, without a sanitizer."""
    return make(runner=plain_program)


@pytest.fixture(scope="session")
def aarch64_bundle(
    runtime: Path,
    library: list[Path],
    command: list[Path],
    good: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A bundle for AArch64 and glibc, which qemu-aarch64 runs."""
    cross_lab.emulator()
    return cross_lab.shared(tmp_path_factory.mktemp("aarch64"), runtime, library, command, good)


@pytest.fixture(scope="session")
def stand_in(build: Callable[..., Path]) -> Path:
    """The stand-in as a library."""
    return build("stand_in_v4l2.so", [HERE / "stand_in_v4l2.c"], "-shared", "-fPIC", "-Wno-sign-conversion")


@pytest.fixture
def world(stand_in: Path, tmp_path: Path) -> Callable[..., dict[str, str]]:
    """world(formats, *frames, **settings) -> the environment with such a camera."""

    def world(formats: str, *frames: bytes, **settings: object) -> dict[str, str]:
        file = tmp_path / "frames.bin"
        file.write_bytes(b"".join(struct.pack("<I", len(frame)) + frame for frame in frames))
        mine = {f"V4L2_{name.upper()}": str(value) for name, value in settings.items()}
        return {"LD_PRELOAD": str(stand_in), "V4L2_FORMATS": formats, "V4L2_FRAMES": str(file), **mine}

    return world


@contextmanager
def running(
    program: list[str | Path], environment: dict[str, str], *arguments: str, camera: tuple[str, ...] = CAMERA
) -> Iterator[subprocess.Popen[bytes]]:
    """The program, ended when the block is."""
    command = [*program, *camera, *arguments]
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
        data = process.stdout.read(ROW)
        end(process, signal.SIGINT)
    return np.frombuffer(data, "<f4")[CLASSES:-STEPS]


def picture(format: str) -> np.ndarray:
    """A frame of noise in a format of V4L2."""
    shape = {"YUYV": (HEIGHT, WIDTH, 2), "GREY": (HEIGHT, WIDTH)}.get(format, (HEIGHT * 3 // 2, WIDTH))
    return np.random.default_rng(9).integers(0, 256, shape, dtype=np.uint8)
