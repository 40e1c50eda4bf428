"""The C unit tests, under the address, undefined-behaviour and thread sanitizers."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
SANITIZERS = ("address,undefined", "thread")
WRAP = "-Wl," + ",".join(f"--wrap={name}" for name in ("malloc", "calloc", "posix_memalign"))
ENVIRONMENT = {
    **os.environ,
    "TSAN_OPTIONS": "halt_on_error=1",
    "ASAN_OPTIONS": "detect_stack_use_after_return=1",
}


def run(program: Path) -> str:
    """Run a unit test and return what it printed."""
    done = subprocess.run(
        [program], capture_output=True, text=True, env=ENVIRONMENT, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def pool_sources(runtime):
    """What the thread pool is made of."""
    return [runtime / "threads.c", runtime / "placement.c"]


@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_streams(build, library, sanitizer):
    flags = (f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all", WRAP)
    assert run(build("unit_stream", [HERE / "unit_stream.c", *library], *flags)).count("ok ") == 10


@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_pool(build, runtime, sanitizer):
    flags = (f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all")
    program = build("unit_pool", [HERE / "unit_pool.c", *pool_sources(runtime)], *flags)
    assert run(program).count("ok ") == 9


@pytest.mark.parametrize("flags", [(), ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")])
def test_memory(build, runtime, flags):
    """A sanitizer sees what is beyond a small block; its malloc has no memory that was in use."""
    program = build("unit_memory", [HERE / "unit_memory.c", runtime / "memory.c"], *flags)
    assert run(program).count("ok ") == 6


def test_formats(build, runtime):
    names = ("json.c", "json_text.c", "printable.c", "sha256.c")
    sources = [HERE / "unit_formats.c", *(runtime / "command" / name for name in names)]
    program = build("unit_formats", sources, "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    assert run(program).count("ok ") == 11


def test_the_example_announces(build, library):
    """Two seconds at 30 frames a second: 24 steps, and the class whose weight grows with the steps once."""
    program = build("example", [HERE / "example.c", *library])
    frames = bytes(480 * 640 * 3) * 60
    done = subprocess.run([program, "30"], input=frames, capture_output=True, check=True)
    assert done.stdout.decode() == "0.23 s  café  88 %\n" and done.stderr == b""
    assert subprocess.run([program], capture_output=True, check=False).returncode == 2


def test_only_the_interface_is_visible(build, library, runtime):
    program = build("libtsm.so", library, "-shared", "-fPIC", "-fvisibility=hidden")
    listing = subprocess.run(
        ["nm", "-D", "--defined-only", program], capture_output=True, text=True, check=True
    ).stdout
    visible = {line.split()[-1] for line in listing.splitlines()}
    header = (runtime / "tsm_edge.h").read_text()
    declared = {part.split("(")[0].split()[-1].lstrip("*") for part in header.split("\nTSM_API ")[1:]}
    assert visible == declared and len(declared) == 33


@pytest.mark.parametrize("language", ["-std=c99", "-xc++"])
def test_the_header_stands_alone(gcc, runtime, tmp_path, language):
    """C99 and C++ programs include it first, without anything else."""
    source = tmp_path / "user.c"
    source.write_text('#include "tsm_edge.h"\nint main(void) { return TSM_OK; }\n')
    arguments = [
        gcc,
        language,
        "-Wall",
        "-Wextra",
        "-Wpedantic",
        "-Werror",
        "-fsyntax-only",
        f"-I{runtime}",
        source,
    ]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if language == "-xc++" and "cc1plus" in done.stderr:
        pytest.skip("this gcc has no C++: install g++")
    assert done.returncode == 0, done.stderr


def test_dispatch_reports(build, runtime):
    program = build("dispatch", [HERE / "dispatch.c", *pool_sources(runtime)], "-O2")
    done = subprocess.run([program, "2", "8", "10"], capture_output=True, text=True, check=True)
    assert '"threads": 2' in done.stdout
