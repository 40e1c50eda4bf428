"""Time the kernels of every CPU and GPU schedule on this machine, over the cases that the tests compare with numpy.

    python tests/helpers/kernel_lab.py --perf [WORD]      schedules and cases whose name holds WORD

CPU: one program holds all kernels and calls each over all of its items on one thread, its arguments warm in the cache.
GPU: each kernel is launched in batches on the first OpenCL device; PoCL, which runs them on the CPU, only compares
versions of a kernel with each other. Both repeat until the clock resolves a round; the median of the rounds counts. A
case of less than `LEAST` work is not timed.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import gpu_lab
import kernel_lab
import numpy as np
import opencl_lab

from tsm_edge import target
from tsm_edge.compile.backends import cpu, opencl
from tsm_edge.compile.ir.ops import (
    Dequantise,
    FrameGather,
    FrameJoin,
    FrameMax,
    FrameShift,
    Join,
    LayerNorm,
    Op,
    OverlapMean,
    QMaxPool,
    Quantise,
    RegionMax,
    Transpose,
)
from tsm_edge.compile.ir.ops.regions import BINS, SAMPLES
from tsm_edge.compile.schedules import registry

#: multiply-accumulates, or numbers moved by what multiplies nothing; a few microseconds of a core
LEAST = 50_000
ROUNDS, LEAST_NS = 9, 5_000_000  # of a GPU kernel; PROGRAM has the same for a CPU
PROGRAM = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
{prototypes}
enum {{ ROUNDS = 9 }};
static const double LEAST_NS = 5e6;
static double now(void) {{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}}
static void *take(FILE *f, size_t bytes) {{
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!p || fread(p, 1, bytes, f) != bytes) exit(9);
    return p;
}}
static int less(const void *a, const void *b) {{ return (*(const double *)a > *(const double *)b) * 2 - 1; }}
#define TIME(call) do {{ \\
        double rounds[ROUNDS]; \\
        long calls = 1; \\
        for (double took = 0; took < LEAST_NS; calls *= took < LEAST_NS ? 2 : 1) {{ \\
            const double start = now(); \\
            for (long i = 0; i < calls; i++) call; \\
            took = now() - start; \\
        }} \\
        for (int r = 0; r < ROUNDS; r++) {{ \\
            const double start = now(); \\
            for (long i = 0; i < calls; i++) call; \\
            rounds[r] = (now() - start) / (double)calls; \\
        }} \\
        qsort(rounds, ROUNDS, sizeof *rounds, less); \\
        printf("%.1f %.1f\\n", rounds[ROUNDS / 2], rounds[0]); \\
    }} while (0)
int main(int argc, char **argv) {{
    FILE *in = argc > 1 ? fopen(argv[1], "rb") : NULL;
    if (!in) return 9;
{calls}
    return 0;
}}
"""


class Timed(NamedTuple):
    """One case: its kernel, and the nanoseconds of a call, the median of the rounds and the least."""

    kernel: Any
    median_ns: float
    least_ns: float


def work(op: Op) -> int:
    """Multiply-accumulates of an operator, or the numbers that it reads where it multiplies nothing."""
    if op.macs:
        return op.macs
    if isinstance(op, Transpose):
        return op.rows * op.columns
    if isinstance(op, FrameShift):
        return op.frames * op.pixels * op.width
    if isinstance(op, FrameMax):
        return op.kernel * op.out_frames * op.size
    if isinstance(op, FrameGather):
        return len(op.chosen) * op.size
    if isinstance(op, FrameJoin):
        return op.out_frames * op.size
    if isinstance(op, Join):
        return op.pixels * (op.count + op.r_count)
    if isinstance(op, (Quantise, Dequantise)):
        return op.size
    if isinstance(op, RegionMax):
        return op.frames * op.boxes * op.channels * (2 * BINS * SAMPLES) ** 2
    if isinstance(op, (LayerNorm, OverlapMean)):
        return op.frames * (op.pixels if isinstance(op, LayerNorm) else op.boxes) * op.channels
    op = op.pool if isinstance(op, QMaxPool) else op
    pixels = op.pixels if hasattr(op, "pixels") else op.height * op.width  # type: ignore[union-attr]
    return int(pixels * op.channels)  # type: ignore[union-attr]


def timing_cases(rule: Any) -> list[Op]:
    """The cases of a schedule that are large enough to be timed."""
    return [case for case in rule.cases if work(case) >= LEAST]


def chosen(word: str, family: str = "cpu") -> list[tuple[Any, Op]]:
    """Schedules and cases of a family whose names hold a word."""
    pairs = [(rule, case) for rule in registry.rules(family) for case in timing_cases(rule)]
    return [(rule, case) for rule, case in pairs if word in f"{rule.name} {case.label}"]


def times(cases: list[tuple[Any, Op]], folder: Path) -> list[Timed]:
    """Build the kernels with the model's own parameters for this machine, and time them."""
    device = target.load("local")
    machine, rng = cpu.machine(device), np.random.default_rng(0)
    kernels, arguments = [], []
    for rule, case in cases:
        params, *_ = registry.variants(rule, case, machine)
        kernels.append(registry.kernel_of(rule, case, params, machine, *kernel_lab.weights_for(case, rng)))
        values = kernel_lab.arguments_for(kernels[-1], rng)
        arguments.append({name: np.nan_to_num(array) for name, array in values.items()})
    prototypes, calls = [], []
    for index, (kernel, values) in enumerate(zip(kernels, arguments, strict=True)):
        prototypes.append(f"void k{index}({'void *, ' * len(values)}int32_t, int32_t);")
        names = [f"a{index}_{name}" for name in values]
        calls += [
            f"    void *{name} = take(in, {array.nbytes});" for name, array in zip(names, values.values())
        ]
        calls.append(f"    TIME(k{index}({', '.join(names)}, 0, {kernel.items}));")
    source = PROGRAM.format(prototypes="\n".join(prototypes), calls="\n".join(calls))
    functions = {f"k{index}": kernel.build() for index, kernel in enumerate(kernels)}
    kernel_lab.build(functions, source, device, folder)
    (folder / "in.bin").write_bytes(
        b"".join(array.tobytes() for each in arguments for array in each.values())
    )
    done = subprocess.run([folder / "lab", folder / "in.bin"], capture_output=True, text=True, check=True)
    lines = [tuple(map(float, line.split())) for line in done.stdout.splitlines()]
    return [Timed(kernel, *line) for kernel, line in zip(kernels, lines, strict=True)]


def gpu_times(device: opencl_lab.Device, cases: list[tuple[Any, Op]]) -> list[Timed]:
    """Build the kernels for an OpenCL device of the target `opencl` in its default precision, and time them."""
    facts = target.load("opencl")
    machine = opencl.machine(facts, opencl.precisions(facts)[0])
    rng = np.random.default_rng(0)
    kernels = []
    for (rule, _), case in zip(cases, gpu_lab.stored([case for _, case in cases], machine), strict=True):
        weights = kernel_lab.weights_for(case, rng)
        kernels.append(registry.kernel_of(rule, case, registry.variants(rule, case, machine)[0], machine, *weights))
    functions = {f"k{index}": kernel.build() for index, kernel in enumerate(kernels)}
    program = device.build(opencl.program(functions), opencl.OPTIONS)
    found = []
    for index, kernel in enumerate(kernels):
        arrays = list(gpu_lab.arguments_for(kernel, rng).values())
        launch = kernel.launch
        with device.prepared(program, f"k{index}", arrays, launch.grid, launch.threads) as (run, *_):
            run(1)  # PoCL compiles a kernel for its group size at the first launch
            found.append(Timed(kernel, *median_and_least(run)))
    return found


def median_and_least(run: Callable[[int], None]) -> tuple[float, float]:
    """Nanoseconds of a launch: the median and the least of `ROUNDS` rounds of `LEAST_NS` or more."""
    count, took = 1, 0
    while took < LEAST_NS:
        count *= 2
        took = timed(run, count)
    rounds = sorted(timed(run, count) / count for _ in range(ROUNDS))
    return rounds[ROUNDS // 2], rounds[0]


def timed(run: Callable[[int], None], count: int) -> int:
    """Nanoseconds of so many launches."""
    start = time.perf_counter_ns()
    run(count)
    return time.perf_counter_ns() - start


def main(word: str) -> None:
    """Print a table of the cases of each family that this machine can run."""
    cases, gpu_cases = chosen(word), chosen(word, "gpu")
    if not cases and not gpu_cases:
        names = ", ".join(rule.name for family in ("cpu", "gpu") for rule in registry.rules(family))
        raise SystemExit(f"no case holds '{word}'; the schedules: {names}")
    if cases:
        with tempfile.TemporaryDirectory() as folder:
            show("one thread of this machine", times(cases, Path(folder)))
    if gpu_cases:
        try:
            device = opencl_lab.Device()
        except opencl_lab.OpenCLError as error:
            print(f"GPU schedules are not timed: {error}")
        else:
            show(f"OpenCL: {device.name}", gpu_times(device, gpu_cases))


def show(where: str, found: list[Timed]) -> None:
    """Print the table of one device."""
    print(where)
    print(
        f"{'SCHEDULE':<22} {'CASE':<30} {'MEDIAN us':>10} {'LEAST us':>9} {'GMAC/s':>7} {'Gnumber/s':>9}  PARAMETERS"
    )
    for kernel, median, least in found:
        amount = f"{work(kernel.op) / median:.2f}"
        rates = (amount, "") if kernel.op.macs else ("", amount)
        print(
            f"{kernel.rule:<22} {kernel.op.label:<30} {median / 1e3:>10.2f} {least / 1e3:>9.2f} "
            f"{rates[0]:>7} {rates[1]:>9}  {kernel.note}"
        )
