"""Streams that are closed, forked or left at the end of the program while a thread steps: on the CPU and over the
stand-ins for the GPU drivers, in C under sanitizers and in Python."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

HERE = Path(__file__).resolve().parent
FAMILIES = ("cpu", "cuda", "opencl")
SANITIZERS = ("address,undefined", "thread")
#: a step of the stand-ins ends after so many questions, each with a sleep of 50 us and more
POLLS = "300"


class Device(NamedTuple):
    """sources, flags: of a program or library of the family. environment: where it finds its driver."""

    sources: list[Path]
    flags: tuple[str, ...]
    environment: dict[str, str]


@pytest.fixture(scope="module")
def devices(build, library, gpu_library) -> dict[str, Device]:
    cuda = build("libcuda.so.1", [HERE / "stand_in_cuda.c"], "-shared", "-fPIC").parent
    opencl = build("libOpenCL.so.1", [HERE / "stand_in_opencl.c"], "-shared", "-fPIC").parent

    def found_in(folder: Path) -> dict[str, str]:
        return {"LD_LIBRARY_PATH": str(folder), "STAND_IN_POLLS": POLLS, "XDG_CACHE_HOME": "/dev/null"}

    return {
        "cpu": Device(library, ("-DTINY_SLOW_MS=60",), {}),
        "cuda": Device(
            gpu_library("cuda"), ("-DGPU", '-DTINY_PROGRAM=".version 6.4\\n"'), found_in(cuda)
        ),
        "opencl": Device(gpu_library("opencl"), ("-DGPU",), found_in(opencl)),
    }


# -- C -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def unit(build, devices) -> Callable[[str, str], Path]:
    """unit(family, sanitizer) -> unit_life, built once."""
    made: dict[tuple[str, str], Path] = {}

    def unit(family: str, sanitizer: str) -> Path:
        if (family, sanitizer) not in made:
            device = devices[family]
            flags = (f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all", *device.flags)
            made[family, sanitizer] = build("unit_life", [HERE / "unit_life.c", *device.sources], *flags)
        return made[family, sanitizer]

    return unit


def execute(program: Path, environment: dict[str, str], *arguments: str, **more: str) -> str:
    sanitizers = {
        "TSAN_OPTIONS": "halt_on_error=1:report_thread_leaks=0",
        "ASAN_OPTIONS": "detect_stack_use_after_return=1:detect_leaks=0",
    }
    done = subprocess.run(
        [program, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **sanitizers, **environment, **more},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("sanitizer", SANITIZERS)
@pytest.mark.parametrize("family", FAMILIES)
def test_freeing_beside_a_step(unit, devices, family, sanitizer):
    assert execute(unit(family, sanitizer), devices[family].environment, "free").count("ok ") == 3


@pytest.mark.parametrize("family", FAMILIES)
def test_a_forked_child_in_c(unit, devices, family):
    """Not under the thread sanitizer: it does not follow threads of a forked child."""
    for threads in ("1", "3"):
        program = unit(family, "address,undefined")
        assert "ok fork" in execute(program, devices[family].environment, "fork", threads)


@pytest.mark.parametrize("sanitizer", SANITIZERS)
@pytest.mark.parametrize("family", FAMILIES)
def test_main_returns_while_threads_step(unit, devices, family, sanitizer):
    for streams in ("4",) if sanitizer == "thread" else ("1", "4"):
        execute(unit(family, sanitizer), devices[family].environment, "exit", streams, STAND_IN_POLLS="40")


# -- Python ------------------------------------------------------------------------------------------------------------

START = """
import atexit, os, signal, sys, threading, time
import numpy as np
import tsm_edge
from tsm_edge.errors import RuntimeFailure
frame = np.ones((1, 3, 20, 20), np.float32)
begun = threading.Semaphore(0)
stop = threading.Event()

def step_for_ever(stream):
    begun.release()
    try:
        while not stop.is_set():
            stream.step_tensor(frame)
    except RuntimeFailure as error:
        seen.append(str(error))

def start(streams):
    threads = [threading.Thread(target=step_for_ever, args=(stream,), daemon=True) for stream in streams]
    for thread in threads:
        thread.start()
    for thread in threads:
        begun.acquire()
    return threads

seen = []
folder, threads, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
"""
#: RUNS programs: each child by fork runs to the end of the script and through the interpreter's own end
END = (
    START
    + """
for _ in range(RUNS):
    if (child := os.fork()) == 0:
        signal.alarm(20)
        break
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status))
if child == 0:
    running = []
    if WAY == "join at exit":  # registered first, and so called last
        atexit.register(lambda: (stop.set(), [thread.join() for thread in running]))
    model = tsm_edge.open(folder)
    running += start([model.stream(threads) for _ in range(count)])
    if WAY == "with":
        with model:
            pass
"""
)
#: closed by two threads at once while others step, ask for states, times and the profile
CLOSE = (
    START
    + """
def look(stream):
    begun.release()
    while True:
        try:
            stream.profile()
            stream.timings()
            stream.states()
        except RuntimeFailure as error:
            if "closed" in str(error):
                return

for round in range(6):
    model = tsm_edge.open(folder)
    streams = [model.stream(threads) for _ in range(count)]
    others = start(streams)
    looking = [threading.Thread(target=look, args=(stream,)) for stream in streams]
    closing = [threading.Thread(target=model.close) for _ in range(2)]
    for thread in looking:
        thread.start()
    time.sleep(0.01 * (round % 3))
    for thread in closing:
        thread.start()
    for thread in others + looking + closing:
        thread.join(20)
        assert not thread.is_alive()
    assert not model._guard._release.alive
assert all("Two threads" in text or "closed" in text for text in seen), seen
"""
)
#: a signal handler closes the model in the middle of a step; the second time it also ends the program
SIGNAL = (
    START
    + """
def on_signal(number, frame):
    model.close()
    if leave:
        raise SystemExit(7)

signal.signal(signal.SIGALRM, on_signal)
for leave in (False, False, False, True):
    model = tsm_edge.open(folder)
    stream = model.stream(threads)
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    try:
        while True:
            stream.step_tensor(frame)
    except RuntimeFailure as error:
        assert "closed" in str(error), error
    assert not stream._guard._release.alive and not model._guard._release.alive
"""
)
FORK = (
    START
    + """
def as_a_child():
    signal.alarm(20)
    for stream in (resting, busy):
        try:
            stream.step_tensor(frame)
            raise SystemExit("an inherited stream steps")
        except RuntimeFailure as error:
            assert "forked from" in str(error), error
        stream.close()
    try:
        with tsm_edge.open(folder) if OPENS else model as own, own.stream(threads) as stream:
            assert stream.step_tensor(frame).tolist() == first
        assert CPU
    except RuntimeFailure as error:
        assert not CPU and "forked from" in str(error), error

model = tsm_edge.open(folder)
resting, busy = model.stream(threads), model.stream(threads)
first = resting.step_tensor(frame).tolist()
start([busy])
for OPENS in (False, True):
    if (child := os.fork()) == 0:
        as_a_child()
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
import multiprocessing
job = multiprocessing.get_context("fork").Process(target=as_a_child)
job.start()
job.join()
assert job.exitcode == 0
assert resting.step_tensor(frame)[2] == first[2] + 2.25
model.close()
"""
)


@pytest.fixture(scope="module")
def bundles(make, plain_program, good, devices) -> dict[str, Path]:
    """A bundle of each family; a step takes 2 ms and more."""

    def a_bundle(family: str) -> Path:
        device = devices[family]
        if family == "cpu":
            return make("-DTINY_SLOW_MS=2", sources=device.sources, runner=plain_program)
        target = {**good["target"], "family": family, "fallback": "tiny-cpu"}
        api = {"api": family, "group_threads": 64, "shared_bytes": 256}
        versions = {"compute_capability": 53, "ptx_isa": 64, "driver_cuda": 10020}
        api |= versions if family == "cuda" else dict.fromkeys(versions, 0)
        changes = {"target": target, "device": api, "backend": family}
        return make(*device.flags, sources=device.sources, runner=plain_program, **changes)

    return {family: a_bundle(family) for family in FAMILIES}


def python(code: str, bundle: Path, environment: dict[str, str], threads: int = 2, count: int = 1):
    """Run a program; return its exit code and what it said."""
    done = subprocess.run(
        [sys.executable, "-c", code, str(bundle), str(threads), str(count)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment, "STAND_IN_POLLS": "20"},
        timeout=100,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("way", ["nothing", "join at exit", "with"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_daemon_thread_steps_while_the_program_ends(bundles, devices, family, way):
    """Every one of the programs ends well, whether or not it closes what it opened."""
    for threads, count in ((1, 1), (3, 4)) if family == "cpu" else ((2, 3),):
        runs = 20 if family == "cpu" else 5
        code = END.replace("WAY", repr(way)).replace("RUNS", str(runs))
        ended = python(code, bundles[family], devices[family].environment, threads, count)
        assert ended == (0, "0\n" * runs, "")


@pytest.mark.parametrize("family", FAMILIES)
def test_closing_beside_steps_and_questions(bundles, devices, family):
    for threads, count in ((1, 1), (2, 4)) if family == "cpu" else ((2, 3),):
        code, _, said = python(CLOSE, bundles[family], devices[family].environment, threads, count)
        assert (code, said) == (0, "")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_signal_handler_closes_the_model(bundles, devices, family):
    code, _, said = python(SIGNAL, bundles[family], devices[family].environment)
    assert (code, said) == (7, "")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_forked_child(bundles, devices, family):
    code = f"CPU = {family == 'cpu'}\n{FORK}"
    for threads in (1, 3):
        assert python(code, bundles[family], devices[family].environment, threads) == (0, "", "")
