"""CUDA bundles without a GPU: the runtime over a stand-in for the driver (stand_in_cuda.c)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_lab import refused, run

HERE = Path(__file__).resolve().parent
PTX = '-DTINY_PROGRAM=".version 6.4\\n"'
DEVICE = {
    "api": "cuda",
    "compute_capability": 53,
    "ptx_isa": 64,
    "driver_cuda": 10020,
    "group_threads": 64,
    "shared_bytes": 256,
}
SANITIZED = ("-fno-sanitize-recover=all", PTX)


@pytest.fixture(scope="module")
def drivers(build, tmp_path_factory) -> dict[str, dict[str, str]]:
    """The environment in which each kind of driver is the one that is found."""

    def driver(*flags: str) -> dict[str, str]:
        library = build("libcuda.so.1", [HERE / "stand_in_cuda.c"], "-shared", "-fPIC", *flags)
        return {"LD_LIBRARY_PATH": str(library.parent)}

    broken = tmp_path_factory.mktemp("broken")
    (broken / "libcuda.so.1").write_text("no library")
    return {
        "graphs": driver(),
        "no graphs": driver("-DNO_GRAPHS"),
        "old": driver("-DNO_EVENTS"),
        "broken": {"LD_LIBRARY_PATH": str(broken)},
    }


def execute(program: Path, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [program, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# -- Streams -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sanitizer", ["address,undefined", "thread"])
def test_streams(build, gpu_library, drivers, sanitizer):
    """All that a CPU stream promises, with graphs and without."""
    flags = (f"-fsanitize={sanitizer}", *SANITIZED, '-DDEVICE_SAYS="compute capability 5.3"')
    wrap = "-Wl,--wrap=malloc,--wrap=calloc,--wrap=posix_memalign"
    program = build("unit_stream", [HERE / "unit_stream.c", *gpu_library("cuda")], *flags, wrap)
    for kind in ("graphs", "no graphs"):
        assert execute(program, **drivers[kind], TSAN_OPTIONS="halt_on_error=1").count("ok ") == 10


@pytest.fixture(scope="module")
def errors(build, gpu_library) -> Path:
    flags = ("-fsanitize=address,undefined", *SANITIZED, "-DTSM_GPU_PATIENCE_MS=400")
    return build("unit_gpu_errors", [HERE / "unit_gpu_errors.c", *gpu_library("cuda")], *flags)


@pytest.mark.parametrize("kind", ["graphs", "no graphs"])
@pytest.mark.parametrize("code", [1, 2, 719])
def test_every_call_fails_once(errors, drivers, kind, code):
    """Invalid value, out of memory, launch failed: a message with call and code, nothing left behind, no crash."""
    calls = int(execute(errors, "each", str(code), **drivers[kind]).split()[0])
    assert calls > 300


@pytest.mark.parametrize("mode", ["lost", "hang", "hang-at-first"])
@pytest.mark.parametrize("kind", ["graphs", "no graphs"])
def test_a_device_that_is_gone(errors, drivers, kind, mode):
    """From some call on every one fails, or no answer comes: errors without an end, but an end. What the driver does
    not give back is left, so leaks are not looked for."""
    execute(errors, mode, **drivers[kind], ASAN_OPTIONS="detect_leaks=0")


# -- Order and arguments of the calls ----------------------------------------------------------------------------------

STEP = [
    "cuMemcpyHtoDAsync_v2 4800",
    "cuLaunchKernel see 20,1,1 x 60,1,1 +0",
    "cuLaunchKernel mix_rows 1,20,1 x 60,1,1 +0",
    "cuLaunchKernel count 1,1,1 x 5,1,1 +0",
    "cuLaunchKernel score 3,1,1 x 64,1,1 +0",
    "cuMemcpyDtoHAsync_v2 12",
]
CLEAR = ["cuMemsetD8Async 0 10752", "cuMemsetD8Async 0 5632", "cuMemsetD8Async 0 5632"]


def calls_of(errors: Path, environment: dict[str, str]) -> list[str]:
    """Every call of one life, without those that only say which context is meant, and with polls as one."""
    lines = [line.strip() for line in execute(errors, "log", **environment).splitlines()]
    lines = [line for line in lines if "CtxP" not in line]
    return [line for i, line in enumerate(lines) if line != "cuStreamQuery" or lines[i - 1] != line]


def test_calls_with_graphs(errors, drivers):
    calls = calls_of(errors, drivers["graphs"])
    start = calls.index("cuInit 0")
    assert calls[start : start + 4] == ["cuInit 0", "cuDriverGetVersion", "cuDeviceGetCount", "cuDeviceGet 0"]
    load = calls.index("cuModuleLoadDataEx 2 options")
    assert calls[load - 1] == "cuDevicePrimaryCtxRetain 0"
    assert calls[load + 1] == "cuModuleGetFunction see"
    assert calls.count("cuMemcpyHtoD_v2 12") == 1, "weights go up once, for two streams"
    make = calls.index("cuStreamCreate 1")
    assert calls[make + 1 : make + 6] == [
        "cuMemAlloc_v2 10752",
        "cuMemAlloc_v2 5632",
        "cuMemAlloc_v2 5632",
        "cuMemAllocHost_v2 4800",
        "cuMemAllocHost_v2 12",
    ]
    capture = [
        "cuStreamBeginCapture_v2 1",
        *STEP,
        "cuStreamEndCapture",
        "cuGraphInstantiate 6 commands",
        "cuGraphDestroy",
    ]
    steps = ["cuGraphLaunch", "cuStreamQuery"]
    at = make + 6
    expected = [*capture, *capture, *CLEAR, "cuStreamQuery", *steps, *steps, *CLEAR, "cuStreamQuery"]
    assert calls[at : at + len(expected)] == expected
    assert calls[-1] == "cuDevicePrimaryCtxRelease 0"


def test_calls_without_graphs(errors, drivers):
    calls = calls_of(errors, drivers["no graphs"])
    at = calls.index("cuMemAllocHost_v2 12") + 1
    steps = [*STEP, "cuStreamQuery"]
    expected = [*CLEAR, "cuStreamQuery", *steps, *steps]
    assert calls[at : at + len(expected)] == expected
    timed = calls.index("cuEventRecord")
    marked = [line for call in STEP[1:5] for line in (call, "cuEventRecord")]
    assert calls[timed - 1 : timed + 10] == [STEP[0], "cuEventRecord", *marked, STEP[5]]


# -- The command -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundle(make, gpu_objects, good) -> Callable[..., Path]:
    """bundle(*macros) -> a CUDA bundle's folder."""
    target = {**good["target"], "family": "cuda", "fallback": "tiny-cpu"}

    def bundle(*macros: str) -> Path:
        return make(PTX, *macros, sources=gpu_objects("cuda"), target=target, device=DEVICE, backend="cuda")

    return bundle


@pytest.fixture(scope="module")
def tiny(bundle) -> Path:
    return bundle()


def test_info(tiny, drivers):
    says = "device    Stand-in X0, compute capability 5.3; driver of CUDA 10.2, with graphs\n"
    assert says in run(tiny, "--info", environment=drivers["graphs"]).stdout.decode()
    says = "driver of CUDA 10.2, without graphs: kernels are launched one by one\n"
    assert says in run(tiny, "--info", environment=drivers["no graphs"]).stdout.decode()


def test_bench(tiny, drivers):
    done = run(tiny, "--bench", "--frames", "5", "--per-op", environment=drivers["graphs"])
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["checks"] == {"finite": True, "repeatable": True}
    assert [op["kernel"] for op in report["ops"]] == ["see", "mix_rows", "count", "score"]
    assert report["ops"][0]["median_us"] == 125


def test_the_first_device_that_fits_is_taken(tiny, drivers):
    done = run(tiny, "--info", environment={**drivers["graphs"], "STAND_IN_CUDA": "devices=2"})
    assert b"Stand-in X1, compute capability 5.3" in done.stdout


FALLBACK = "hint: the CPU can run it: tsm-edge compile tiny --target tiny-cpu"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            "driver=10010",
            ("too old for the kernels of tiny-test (PTX 6.4)", "found: CUDA 10.1", "CUDA 10.2 and newer"),
        ),
        (
            "capability=50",
            ("found: compute capability 5.0 (Stand-in X0)", "allowed: compute capability 5.3 and newer"),
        ),
        ("devices=0", ("knows of no GPU", "found: 0 devices")),
        ("fail_at=1 fail_code=100", ("finds no GPU", "found: CUDA_ERROR_NO_DEVICE (100) from cuInit")),
        ("threads=32", ("threads of a work group", "found: 32 (Stand-in X0)", "allowed: 64 and more")),
        ("shared=128", ("bytes of local memory", "found: 128", "allowed: 256 and more")),
        ("kernel_threads=59", ("too few registers for kernel see", "found: 59 threads", "60 and more")),
    ],
)
def test_a_device_that_does_not_fit(tiny, drivers, options, says):
    refused(tiny, 4, *says, FALLBACK, environment={**drivers["graphs"], "STAND_IN_CUDA": options})


def test_a_driver_that_is_none(tiny, drivers):
    refused(tiny, 4, "There is no NVIDIA driver", "libcuda.so.1", FALLBACK, environment=drivers["broken"])
    refused(tiny, 4, "too old", "without cuEventCreate", "CUDA 8.0", FALLBACK, environment=drivers["old"])


@pytest.mark.parametrize(
    ("macro", "says"),
    [
        (
            '-DTINY_BAD_KERNEL="scores"',
            ("Kernel scores is not in the program.", "CUDA_ERROR_NOT_FOUND (500)"),
        ),
        ("-DTINY_ALIGN=100", ("multiples of 256 bytes", "offset 4800 of kernel mix_rows")),
        ("-DTINY_MIX_GROUP=70000", ("side 0 of the work groups of kernel mix_rows", "allowed: 70000")),
    ],
)
def test_a_plan_that_does_not_fit(bundle, drivers, macro, says):
    refused(bundle(macro), 4, *says, environment=drivers["graphs"])


def test_a_program_that_the_driver_refuses(make, gpu_objects, good, drivers):
    target = {**good["target"], "family": "cuda", "fallback": "tiny-cpu"}
    folder = make(
        sources=gpu_objects("cuda"), target=target, device=DEVICE, backend="cuda"
    )  # OpenCL C, no PTX
    says = (
        "refuses the kernels (PTX 6.4)",
        "CUDA_ERROR_INVALID_PTX (218)",
        "line 1; fatal: syntax",
        FALLBACK,
    )
    refused(folder, 4, *says, environment=drivers["graphs"])


def test_without_a_fallback_there_is_no_hint(bundle, drivers):
    text = refused(bundle('-DTINY_FALLBACK=""'), 4, "no NVIDIA driver", environment=drivers["broken"])
    assert "hint" not in text


# -- Python ------------------------------------------------------------------------------------------------------------

PROGRAM = """
import numpy, tsm_edge
from tsm_edge.errors import DeviceError
try:
    model = tsm_edge.open(FOLDER)
except DeviceError as error:
    raise SystemExit(f"{error.exit_code}: {error}")
with model.stream() as stream:
    frame = numpy.ones((1, 3, 20, 20), numpy.float32)
    rows = [stream.step_tensor(frame) for _ in range(2)]
    stream.profile()
    stream.step_tensor(frame)
    print(model.device)
    print(rows[1].tolist(), stream.states()["steps"].tolist(), [timing.ns for timing in stream.timings()])
    stream.set_states({"steps": numpy.full((1, 5), 10, numpy.float32)})
    stream.reset()
    print(stream.step_tensor(frame).tolist())
"""


def python(folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """In a process of its own: a stand-in that was loaded here would be every later test's driver."""
    code = PROGRAM.replace("FOLDER", repr(str(folder)))
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


def test_python_opens_a_gpu_bundle(tiny, drivers):
    done = python(tiny, drivers["graphs"])
    assert done.returncode == 0, done.stderr
    device, seen, reset = done.stdout.splitlines()
    assert device.startswith("Stand-in X0")
    assert seen == "[0.75, 2.75, 4.75] [[3.0, 3.0, 3.0, 3.0, 3.0]] [125000, 125000, 125000, 125000]"
    assert reset == "[0.5, 1.5, 2.5]"


def test_python_says_why_it_cannot(tiny, drivers):
    done = python(tiny, drivers["broken"])
    assert done.stderr.startswith("4: There is no NVIDIA driver on this machine.\n  found: ")
    assert FALLBACK in done.stderr
