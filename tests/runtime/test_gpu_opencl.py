"""OpenCL bundles on whatever OpenCL device is here, with a plan written by hand; in CI that is PoCL, on the CPU."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_lab import refused, run
from opencl_here import needs_a_device

from tsm_edge import bundle as bundles

HERE = Path(__file__).resolve().parent
FRAME = (3, 20, 20)
DEVICE = {
    "api": "opencl",
    "compute_capability": 0,
    "ptx_isa": 0,
    "driver_cuda": 0,
    "group_threads": 64,
    "shared_bytes": 256,
}
NEW, KEPT, NONE = (
    b"kernels compiled now and kept",
    b"kernels from the cache",
    b"compiled now; no cache can be written",
)


# -- Over a stand-in for the driver ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def errors(build, gpu_library) -> Path:
    """unit_gpu_errors beside the stand-in for a driver; nothing can be written where its cache would be."""
    stand_in = build("libOpenCL.so.1", [HERE / "stand_in_opencl.c"], "-shared", "-fPIC")
    flags = (
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
        "-DOPENCL",
        "-DTSM_GPU_PATIENCE_MS=400",
    )
    program = build("unit_gpu_errors", [HERE / "unit_gpu_errors.c", *gpu_library("opencl")], *flags)
    shutil.copy(stand_in, program.parent)
    Path(f"{program.parent}.cache").write_text("no folder")
    return program


def execute(program: Path, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [program, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "LD_LIBRARY_PATH": str(program.parent), **environment},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("code", [-5, -36])
def test_every_call_fails_once(errors, tmp_path, code, cached):
    """Out of resources, and a queue that is gone: a message with call and code, nothing left behind, no crash."""
    cache = str(tmp_path) if cached else "/dev/null"
    assert int(execute(errors, "each", str(code), XDG_CACHE_HOME=cache).split()[0]) > 300


@pytest.mark.parametrize("mode", ["lost", "hang", "hang-at-first"])
def test_a_device_that_is_gone(errors, mode):
    """As over CUDA: errors, but no hang; what the driver does not take back is left."""
    execute(errors, mode, XDG_CACHE_HOME="/dev/null", ASAN_OPTIONS="detect_leaks=0")


STEP = [
    "clEnqueueWriteBuffer 4800",
    "clEnqueueNDRangeKernel see 1200,1,1 / 60,1,1",
    "clEnqueueNDRangeKernel mix_rows 60,20,1 / 60,1,1",
    "clEnqueueNDRangeKernel count 5,1,1 / 5,1,1",
    "clEnqueueNDRangeKernel score 192,1,1 / 64,1,1",
    "clEnqueueReadBuffer 12",
    "clFlush",
]
CLEAR = [
    "clEnqueueFillBuffer 10752",
    "clEnqueueFillBuffer 5632",
    "clEnqueueFillBuffer 5632",
    "clEnqueueMarkerWithWaitList 0",
    "clFlush",
]


def test_a_long_version_is_read(errors):
    """Drivers answer nothing into too little room; the stand-in's version has more than 64 characters."""
    calls = [line.strip() for line in execute(errors, "log", XDG_CACHE_HOME="/dev/null").splitlines()]
    assert calls.count("clGetDeviceInfo 102f") == 2, "its size, then the text"


def test_calls(errors):
    """Both roles of the states are set up once; a step only enqueues, and nothing waits in the driver."""
    calls = [line.strip() for line in execute(errors, "log", XDG_CACHE_HOME="/dev/null").splitlines()]
    enqueued = [call for call in calls if call.startswith(("clEnqueue", "clFlush", "clCreateKernel"))]
    first = enqueued.index(CLEAR[0])
    assert enqueued[first : first + 19] == [*CLEAR, *STEP, *STEP]
    assert [call for call in enqueued[:first] if not call.startswith("clCreateKernel")] == []
    assert enqueued[:first].count("clCreateKernel score") == 3, (
        "looked at when opened, one for each role of the states"
    )
    assert sum(call.startswith("clBuildProgram") for call in calls) == 1
    assert calls.count("clCreateBuffer 12") == 1, "weights go up once, for two streams"
    assert calls.count("clCreateCommandQueue 2") == 2, "a queue for times, in the streams that asked for them"


# -- On the device of this machine -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundle(make, gpu_objects, good) -> Callable[..., Path]:
    """bundle(*macros) -> an OpenCL bundle's folder."""
    target = {**good["target"], "family": "opencl", "fallback": "tiny-cpu"}

    def bundle(*macros: str) -> Path:
        return make(*macros, sources=gpu_objects("opencl"), target=target, device=DEVICE, backend="opencl")

    return bundle


@pytest.fixture(scope="module")
def tiny(bundle) -> Path:
    return bundle()


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> dict[str, str]:
    """One cache for the tests that are not about it."""
    return {"XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}


def clip(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, *FRAME)).astype(np.float32)


def stepped(
    folder: Path, frames: np.ndarray, environment: dict[str, str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, state `seen` and state `steps` after each frame."""
    done = run(folder, "--tensor", "--dump", data=frames.tobytes(), environment=environment)
    assert done.returncode == 0, done.stderr
    rows = np.frombuffer(done.stdout, "<f4").reshape(len(frames), -1)
    return rows[:, :3], rows[:, 3:-5].reshape(frames.shape), rows[:, -5:]


# -- Streams -----------------------------------------------------------------------------------------------------------


@needs_a_device
@pytest.mark.parametrize("half", [0, 1])
def test_streams(build, gpu_library, home, half):
    """All that a CPU stream promises; float16 in the states costs 2^-12 of their values there. Leaks of the driver and
    its compiler would be taken for ours: the stand-in of test_gpu_cuda.py looks for those of the common part."""
    flags = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", '-DDEVICE_SAYS="OpenCL"')
    macros = (f"-DTINY_HALF={half}", f"-DSTATE_ERROR={2.0**-12 * half}f")
    wrap = "-Wl,--wrap=malloc,--wrap=calloc,--wrap=posix_memalign"
    program = build("unit_stream", [HERE / "unit_stream.c", *gpu_library("opencl")], *flags, *macros, wrap)
    done = subprocess.run(
        [program],
        capture_output=True,
        text=True,
        env={**os.environ, **home, "ASAN_OPTIONS": "detect_leaks=0"},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0 and done.stdout.count("ok ") == 10, done.stdout + done.stderr


@needs_a_device
@pytest.mark.parametrize("half", [0, 1])
def test_scores_and_states_over_frames(bundle, home, half):
    frames = clip(8)
    scores, seen, steps = stepped(bundle(f"-DTINY_HALF={half}"), frames, home)
    stored = frames.astype(np.float16).astype(np.float32) if half else frames
    before = np.concatenate([np.zeros_like(stored[:1]), stored[:-1]])
    counts = np.arange(1, 9)[:, None]
    assert np.array_equal(seen, stored), "rounded once to what is stored, and not more"
    assert np.array_equal(steps, np.repeat(counts, 5, axis=1))
    mixed = frames.astype(np.float64) * 0.5 + before * 0.25
    np.testing.assert_allclose(scores, mixed.mean(axis=(2, 3)) + counts * np.arange(3), atol=1e-5)


@needs_a_device
def test_info_and_bench(tiny, home):
    text = run(tiny, "--info", environment=home).stdout.decode()
    device = next(line for line in text.splitlines() if line.startswith("device "))
    assert "OpenCL" in device and "driver" in device and "kernels" in device
    done = run(tiny, "--bench", "--frames", "3", "--per-op", environment=home)
    assert done.returncode == 0, done.stderr
    assert b'"repeatable": true' in done.stdout and b'"kernel": "mix_rows"' in done.stdout


# -- The cache ---------------------------------------------------------------------------------------------------------


def info(folder: Path, environment: dict[str, str]) -> bytes:
    done = run(folder, "--info", environment=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def only_file(cache: Path) -> Path:
    (file,) = (cache / "tsm-edge").iterdir()
    return file


@needs_a_device
def test_a_program_is_compiled_once(tiny, tmp_path):
    environment = {"XDG_CACHE_HOME": str(tmp_path)}
    assert NEW in info(tiny, environment)
    file = only_file(tmp_path)
    assert file.suffix == ".clbin" and file.stat().st_mode & 0o777 == 0o600
    written = file.stat().st_mtime_ns
    assert KEPT in info(tiny, environment)
    assert np.array_equal(stepped(tiny, clip(2), environment)[1], clip(2))
    assert file.stat().st_mtime_ns == written


def damaged(data: bytes) -> list[bytes]:
    """One byte changed in the head, the key and the binary; cut, and something else altogether."""
    changed = [data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in (17, 40, len(data) // 2)]
    return [*changed, data[:-1], b"a text\n"]


@needs_a_device
def test_a_damaged_file_is_replaced(tiny, tmp_path):
    environment = {"XDG_CACHE_HOME": str(tmp_path)}
    info(tiny, environment)
    file = only_file(tmp_path)
    good = file.read_bytes()
    for bad in damaged(good):
        file.write_bytes(bad)
        assert NEW in info(tiny, environment)
        assert only_file(tmp_path).read_bytes()[:8] == good[:8]
    assert KEPT in info(tiny, environment)


@needs_a_device
def test_a_pipe_in_its_place_is_replaced(tiny, tmp_path):
    """To open it would wait for somebody who writes."""
    environment = {"XDG_CACHE_HOME": str(tmp_path)}
    info(tiny, environment)
    file = only_file(tmp_path)
    file.unlink()
    os.mkfifo(file)
    assert NEW in info(tiny, environment)
    assert KEPT in info(tiny, environment)


def fnv(data: bytes) -> int:
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % (1 << 64)
    return value


@needs_a_device
def test_a_binary_that_the_driver_refuses_is_replaced(tiny, tmp_path):
    """Whole by its sum, and of the right key, but no program: as after an update that kept the version's name."""
    environment = {"XDG_CACHE_HOME": str(tmp_path)}
    info(tiny, environment)
    file = only_file(tmp_path)
    magic, rest = file.read_bytes()[:8], file.read_bytes()[32:]
    key_bytes = int.from_bytes(file.read_bytes()[8:16], "little")
    key, binary = rest[:key_bytes], b"no program" * 30
    head = b"".join(number.to_bytes(8, "little") for number in (key_bytes, len(binary), fnv(key + binary)))
    file.write_bytes(magic + head + key + binary)
    assert NEW in info(tiny, environment)
    assert KEPT in info(tiny, environment)


@needs_a_device
def test_other_programs_have_other_files(tiny, bundle, tmp_path):
    environment = {"XDG_CACHE_HOME": str(tmp_path)}
    assert NEW in info(tiny, environment) and NEW in info(bundle("-DTINY_HALF=1"), environment)
    assert len(list((tmp_path / "tsm-edge").iterdir())) == 2


@needs_a_device
def test_without_a_home_it_lies_beside_the_bundle(bundle, tmp_path):
    folder = bundle()
    environment = {"XDG_CACHE_HOME": "not/absolute", "HOME": "", "POCL_CACHE_DIR": str(tmp_path)}
    assert NEW in info(folder, environment)
    (file,) = Path(f"{folder}.cache").iterdir()
    assert file.suffix == ".clbin"
    assert KEPT in info(folder, environment)
    assert [path.name for path in folder.iterdir() if path.suffix == ".clbin"] == []


@needs_a_device
def test_no_place_is_no_error(bundle, tmp_path):
    folder = bundle()
    Path(f"{folder}.cache").write_text("a file where the folder would be")
    (tmp_path / "tsm-edge").write_text("another one")
    environment = {"XDG_CACHE_HOME": str(tmp_path)}
    for _ in range(2):
        assert NONE in info(folder, environment)


@needs_a_device
def test_a_full_disk_leaves_no_part_of_a_file(tiny, tmp_path):
    environment = {"XDG_CACHE_HOME": str(tmp_path)}
    command = f'ulimit -f 8; trap "" XFSZ; exec "{tiny}/tsm-edge-run" --info'
    done = subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        env={
            **os.environ,
            **environment,
            "ASAN_OPTIONS": "detect_leaks=0:verify_asan_link_order=0",
            "POCL_CACHE_DIR": "/proc",
        },
        check=False,
    )
    files = list((tmp_path / "tsm-edge").iterdir()) if (tmp_path / "tsm-edge").is_dir() else []
    assert files == [], done.stderr


# -- Refusals ----------------------------------------------------------------------------------------------------------

FALLBACK = "hint: the CPU can run it: tsm-edge compile tiny --target tiny-cpu"


@needs_a_device
@pytest.mark.parametrize(
    ("macro", "says"),
    [
        ("-DTINY_GROUP=1000000", ("threads of a work group", "allowed: 1000000 and more", FALLBACK)),
        ("-DTINY_SHARED=1000000000", ("bytes of local memory", "allowed: 1000000000 and more", FALLBACK)),
        ("-DTINY_MIX_GROUP=1000000", ("side 0 of the work groups of kernel mix_rows", FALLBACK)),
        ("-DTINY_ALIGN=20", ("arguments at other addresses", "of kernel", FALLBACK)),
        (
            '-DTINY_BAD_KERNEL="scores"',
            ("Kernel scores is not in the program.", "CL_INVALID_KERNEL_NAME (-46)"),
        ),
    ],
)
def test_a_plan_that_does_not_fit(bundle, home, macro, says):
    refused(bundle(macro), 4, *says, environment=home)


@needs_a_device
def test_a_program_that_does_not_compile(bundle, home):
    """PoCL's compiler also writes to stderr itself."""
    done = run(bundle('-DTINY_PROGRAM="kernel void f() { oops; }"'), "--info", environment=home)
    text = done.stderr.decode()
    assert done.returncode == 4 and "does not compile the kernels" in text and FALLBACK in text
    assert "CL_BUILD_PROGRAM_FAILURE (-11)" in text and "oops" in text


@needs_a_device
def test_no_driver(tiny, home, tmp_path):
    says = (
        "There is no OpenCL driver",
        "libOpenCL.so.1: it knows of no driver",
        "OpenCL 1.2 and newer",
        FALLBACK,
    )
    refused(tiny, 4, *says, environment={**home, "OCL_ICD_VENDORS": str(tmp_path)})


@needs_a_device
def test_no_loader(tiny, home, tmp_path):
    for name in ("libOpenCL.so.1", "libOpenCL.so"):
        (tmp_path / name).write_text("no library")
    says = ("There is no OpenCL driver", "no libOpenCL.so.1, libOpenCL.so or libmali.so", FALLBACK)
    refused(tiny, 4, *says, environment={**home, "LD_LIBRARY_PATH": str(tmp_path)})


@needs_a_device
def test_a_bundle_with_a_cache_beside_it_is_still_whole(tiny):
    """The format allows no unlisted file inside; the manifest is checked in C at every run above, here in Python."""
    assert bundles.verify(tiny).target.family == "opencl"
