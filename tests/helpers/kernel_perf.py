"""Time the kernels of every CPU schedule on this machine, over the cases that the tests compare with numpy.

    python tests/helpers/kernel_lab.py --perf [WORD]      schedules and cases whose name holds WORD

One program holds all kernels and calls each over all of its items on one thread, its arguments warm in the cache, until
it has run for a while; the median of several rounds counts. A case of less than `LEAST` work is not timed: a call of it
is over before the clock can tell.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tsm_edge import target
from tsm_edge.compile.backends import cpu
from tsm_edge.compile.ir.ops import FrameMax, FrameShift, Join, Op, Transpose
from tsm_edge.compile.schedules import registry

#: multiply-accumulates, or numbers moved by what multiplies nothing; a few microseconds of a core
LEAST = 50_000
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
    if isinstance(op, Join):
        return op.pixels * (op.count + op.r_count)
    pixels = op.pixels if hasattr(op, "fold") else op.height * op.width  # type: ignore[union-attr]
    return int(pixels * op.channels)  # type: ignore[union-attr]


def timing_cases(rule: Any) -> list[Op]:
    """The cases of a schedule that are large enough to be timed."""
    return [case for case in rule.cases if work(case) >= LEAST]


def chosen(word: str) -> list[tuple[Any, Op]]:
    """Schedules and cases whose names hold a word."""
    pairs = [(rule, case) for rule in registry.rules("cpu") for case in timing_cases(rule)]
    return [(rule, case) for rule, case in pairs if word in f"{rule.name} {case.label}"]


def times(cases: list[tuple[Any, Op]], folder: Path) -> list[Timed]:
    """Build the kernels with the model's own parameters for this machine, and time them."""
    import kernel_lab

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


def main(word: str) -> None:
    """Print a table of the cases."""
    cases = chosen(word)
    if not cases:
        names = ", ".join(rule.name for rule in registry.rules("cpu"))
        raise SystemExit(f"no case holds '{word}'; the schedules: {names}")
    with tempfile.TemporaryDirectory() as folder:
        found = times(cases, Path(folder))
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
