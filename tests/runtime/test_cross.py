"""The sources compile without a warning for every kind of target, and a static bundle runs."""

from __future__ import annotations

import importlib.util
import json
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tsm_edge import bundle, frames
from tsm_edge.signature import Preprocess

HERE = Path(__file__).resolve().parent
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror")
#: what tiny_plan.c says
PREPROCESS = Preprocess.square(24, 20, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "rgb", 12.0)
GLIBC = ("aarch64-linux-gnu.2.27", "arm-linux-gnueabihf.2.28", "x86_64-linux-gnu.2.17")
needs_zig = pytest.mark.skipif(
    importlib.util.find_spec("ziglang") is None,
    reason="the cross-compiler is not installed: pip install ziglang",
)


def zig(target: str, runtime: Path, sources: list[Path], out: Path, *flags: str) -> Path:
    includes = [f"-I{folder}" for folder in (runtime, runtime / "command", runtime / "gpu")]
    arguments = [
        "-target",
        target,
        "-std=c11",
        "-O2",
        *WARNINGS,
        *includes,
        *map(str, sources),
        "-o",
        str(out),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "ziglang", "cc", *arguments, *flags],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out


def needed(file: Path) -> set[str]:
    """The shared libraries that a file asks for."""
    done = subprocess.run(["readelf", "-d", file], capture_output=True, text=True, check=True)
    return {line.split("[")[1].rstrip("]") for line in done.stdout.splitlines() if "(NEEDED)" in line}


@needs_zig
@pytest.mark.parametrize("target", GLIBC)
def test_shared(target, runtime, library, command, tmp_path):
    hidden = ("-fvisibility=hidden", "-fPIC", "-shared", "-lm", "-lpthread")
    built = [
        zig(target, runtime, library, tmp_path / "libtsm.so", *hidden),
        zig(target, runtime, command, tmp_path / "tsm-edge-run", "-ldl", "-lm", "-lpthread"),
    ]
    if shutil.which("readelf"):
        allowed = {"libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2"}
        loaders = {"ld-linux-aarch64.so.1", "ld-linux-armhf.so.3", "ld-linux-x86-64.so.2"}
        assert all(needed(file) <= allowed | loaders for file in built)


@needs_zig
@pytest.mark.parametrize("family", ["cuda", "opencl"])
@pytest.mark.parametrize("target", GLIBC)
def test_gpu(target, family, runtime, gpu_library, tmp_path):
    """Drivers are opened at run time: nothing but the C library is asked for."""
    flags = ("-fvisibility=hidden", "-fPIC", "-shared", "-lm", "-ldl", "-lpthread", "-D_GNU_SOURCE")
    built = zig(target, runtime, gpu_library(family), tmp_path / "libtsm.so", *flags)
    versions = re.findall(rb"GLIBC_(\d+)\.(\d+)", built.read_bytes())
    newest = tuple(map(int, target.rsplit(".", 2)[1:]))
    assert versions and max((int(major), int(minor)) for major, minor in versions) <= newest
    if shutil.which("readelf"):
        loaders = {"ld-linux-aarch64.so.1", "ld-linux-armhf.so.3", "ld-linux-x86-64.so.2"}
        assert needed(built) <= {"libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2"} | loaders


@pytest.fixture(params=["x86_64", "aarch64"])
def arch(request) -> str:
    return request.param


def emulator(arch: str) -> list[str]:
    if platform.machine() == arch:
        return []
    found = shutil.which(f"qemu-{arch}")
    if found is None:
        pytest.skip(f"qemu-{arch} is not installed: apt-get install qemu-user")
    return [found]


@needs_zig
def test_static(arch, runtime, library, command, repository, tmp_path):
    """Everything in one program: compiled, put into a bundle, checked and run."""
    runner = emulator(arch)
    sources = [*library, *(source for source in command if source.name != "cpu.c")]
    program = zig(
        f"{arch}-linux-musl", runtime, sources, tmp_path / "tsm-edge-run", "-static", "-DTSM_STATIC"
    )
    ok = repository / "tests" / "vectors" / "bundles" / "ok"
    (tmp_path / "libtsm.a").write_bytes(b"not read by a static command\n")
    for name in ("tsm_edge.h", "plan.txt"):
        shutil.copy(ok / name, tmp_path / name)
    manifest = json.loads((ok / "manifest.json").read_text(encoding="utf-8"))
    manifest["target"].update(arch=arch, libc="musl", glibc="", link="static")
    manifest["signature"]["inputs"][0]["shape"] = [1, 3, 20, 20]
    manifest["signature"]["outputs"][0]["shape"] = [1, 3]
    manifest["labels"] = []
    manifest["files"] = {path.name: entry(path) for path in tmp_path.iterdir()}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    frames = np.random.default_rng(0).normal(size=(2, 3, 20, 20)).astype(np.float32)
    for threads in ("1", "3"):
        arguments = [*runner, program, "--tensor", "--dump", "--threads", threads]
        done = subprocess.run(arguments, input=frames.tobytes(), capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        rows = np.frombuffer(done.stdout, "<f4").reshape(2, -1)
        assert np.array_equal(rows[:, 3:-5].reshape(frames.shape), frames)
    assert_same_picture([*runner, program])
    info = subprocess.run([*runner, program, "--info"], capture_output=True, text=True, check=True).stdout
    assert f"{arch}, musl, static" in info


def assert_same_picture(program: list[str | Path]) -> None:
    """The image path gives the same bits on every machine: no fused multiply-add, no other rounding."""
    rng = np.random.default_rng(1)
    for width, height in ((64, 48), (37, 53), (20, 20), (9, 7)):
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        arguments = [*program, "--raw", f"{width}x{height}", "--format", "rgb", "--dump"]
        done = subprocess.run(arguments, input=pixels.tobytes(), capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        seen = np.frombuffer(done.stdout, "<f4")[3:-5].reshape(3, 20, 20)
        assert np.array_equal(seen, frames.preprocess(pixels, PREPROCESS, format="rgb")[0]), (width, height)
    planes = rng.integers(0, 256, (72, 64), dtype=np.uint8)
    stream = b"YUV4MPEG2 W64 H48 F12:1 C420jpeg\nFRAME\n" + planes.tobytes()
    for arguments, data in ((["--raw", "64x48", "--format", "yuv420"], planes.tobytes()), (["--input", "-"], stream)):
        done = subprocess.run(
            [*program, *arguments, "--dump"], input=data, capture_output=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        seen = np.frombuffer(done.stdout, "<f4")[3:-5].reshape(3, 20, 20)
        assert np.array_equal(seen, frames.preprocess(planes, PREPROCESS, format="yuv420")[0])


def entry(path: Path) -> dict[str, object]:
    return {"sha256": bundle.sha256_of(path), "bytes": path.stat().st_size}
