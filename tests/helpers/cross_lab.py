"""Bundles around tiny_plan.c for another processor, built with the project's own cross-compiler."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SYSROOT = Path("/usr/aarch64-linux-gnu")


def zig(language: str, *arguments: str | Path) -> None:
    """Run `zig cc` or `zig c++`; skipped where the compiler is not installed."""
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip("the cross-compiler is not installed: pip install ziglang")
    done = subprocess.run(
        [sys.executable, "-m", "ziglang", language, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def emulator() -> list[str | Path]:
    """What stands before an AArch64 program of glibc; skipped where it is not installed."""
    found = shutil.which("qemu-aarch64")
    if found is None or not SYSROOT.is_dir():
        pytest.skip(
            "qemu-aarch64 or its C library is not installed: apt-get install qemu-user libc6-arm64-cross"
        )
    return [found, "-L", SYSROOT]


def seal(folder: Path, good: dict[str, Any], **target: str) -> Path:
    """Make the folder a bundle: its manifest is ``good`` with these facts of the target and the files there."""
    for name in ("tsm_edge.h", "plan.txt"):
        (folder / name).write_bytes(b"nothing\n")
    files = {
        path.name: {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "bytes": path.stat().st_size}
        for path in folder.iterdir()
    }
    manifest = {**good, "target": {**good["target"], **target}, "files": files}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def shared(
    folder: Path, runtime: Path, library: list[Path], command: list[Path], good: dict[str, Any]
) -> Path:
    """A bundle for AArch64 and glibc 2.27."""
    includes = [f"-I{place}" for place in (runtime, runtime / "command")]
    for name, sources, flags in (
        ("libtsm.so", library, ["-shared", "-fPIC", "-fvisibility=hidden"]),
        ("tsm-edge-run", command, []),
    ):
        arguments = ["-target", "aarch64-linux-gnu.2.27", "-O2", *includes, *sources, *flags]
        zig("cc", *arguments, "-o", folder / name, "-lm", "-ldl", "-lpthread")
    return seal(folder, good, arch="aarch64", glibc="2.27")


def static(
    folder: Path, arch: str, runtime: Path, library: list[Path], command: list[Path], good: dict[str, Any]
) -> Path:
    """A bundle of one program without a C library beside it."""
    sources = [*library, *(source for source in command if source.name != "cpu.c")]
    includes = [f"-I{place}" for place in (runtime, runtime / "command")]
    arguments = ["-target", f"{arch}-linux-musl", "-O2", "-static", "-DTSM_STATIC", *includes, *sources]
    zig("cc", *arguments, "-o", folder / "tsm-edge-run")
    (folder / "libtsm.a").write_bytes(b"not read by a static command\n")
    return seal(folder, good, arch=arch, libc="musl", glibc="", link="static")
