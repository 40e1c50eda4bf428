"""Run 8-bit kernels outside a bundle under an emulator, and compute the same in the integer reference."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tsm_edge.compile.backends import cpu
from tsm_edge.compile.ir.ops import QConv, QMaxPool, QMean, Quantise
from tsm_edge.compile.quantize import integer, scheme
from tsm_edge.compile.quantize.windows import windows
from tsm_edge.compile.schedules import registry
from tsm_edge.compile.schedules.rule import Schedule
from tsm_edge.target import EdgeTarget

#: calls every kernel over the halves of its items, the second first; bytes around each argument must stay
HARNESS = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
{prototypes}
enum {{ GUARD = 64, PATTERN = 0x5a }};
static int8_t *take(FILE *f, long n) {{
    int8_t *p = aligned_alloc(64, (size_t)(n + 2 * GUARD + 63) / 64 * 64);
    if (!p) exit(9);
    for (long i = 0; i < n + 2 * GUARD; i++) p[i] = PATTERN;
    if (fread(p + GUARD, 1, (size_t)n, f) != (size_t)n) exit(9);
    return p + GUARD;
}}
static void give(const int8_t *p, long n, const char *name, FILE *f) {{
    for (int i = 1; i <= GUARD; i++)
        if (p[-i] != PATTERN || p[n - 1 + i] != PATTERN) {{ fprintf(stderr, "%s: written outside\\n", name); exit(8); }}
    if (fwrite(p, 1, (size_t)n, f) != (size_t)n) exit(9);
}}
int main(int argc, char **argv) {{
    (void)argc;
    FILE *in = fopen(argv[1], "rb"), *out = fopen(argv[2], "wb");
{calls}
    return fclose(out);
}}
"""


@dataclass
class Case:
    """A kernel, its arguments, and what it must write."""

    kernel: Any
    arguments: dict[str, np.ndarray]
    expected: dict[str, np.ndarray]


def cases(device: EdgeTarget, rng: np.random.Generator) -> list[Case]:
    """The CASES of every 8-bit schedule."""
    machine = cpu.machine(device)
    return [case_of(rule, op, machine, rng) for rule in registry.rules("cpu_int8") for op in rule.cases]


def case_of(rule: Schedule, op: Any, machine: Any, rng: np.random.Generator) -> Case:
    """One case with random numbers, which reach both ends of their types."""
    if isinstance(op, QConv):
        return convolution(rule, op, machine, rng)
    kernel = registry.kernel_of(rule, op, rule.best(machine, op), machine)
    if isinstance(op, Quantise):
        x = (rng.standard_normal(op.size) * op.step * 100).astype(np.float32)
        x[:4] = np.array([0.5, -1.5, 1e9, -1e9])[: x.size] * op.step
        expected = scheme.Scale(op.step, op.zero).quantised(x)
    elif isinstance(op, QMean):
        x = rng.integers(-128, 128, (op.pixels, 1, op.channels)).astype(np.int8)
        expected = integer.mean(scheme.Scale(op.step, op.zero), x)
    else:
        assert isinstance(op, QMaxPool)
        pool = op.pool
        x = rng.integers(-128, 128, (pool.height, pool.width, pool.channels)).astype(np.int8)
        expected = windows(x, pool.kernel, pool.stride, pool.pad, -128).max((3, 4))
        return Case(kernel, {"x": x}, {"y": expected, "next": expected[..., : pool.fold_out]})
    return Case(kernel, {"x": x}, {"y": expected})


def convolution(rule: Schedule, op: QConv, machine: Any, rng: np.random.Generator) -> Case:
    """A layer whose sums fill the range of a byte."""
    conv = op.conv
    weight = rng.integers(-127, 128, (conv.out_channels, conv.channels // conv.groups, *conv.kernel)).astype(np.int8)
    bias = rng.integers(-3000, 3000, conv.out_channels).astype(np.int32)
    spread = 128 * 74 * conv.taps**0.5 / (256 if op.share else 1)
    multiplier = rng.uniform(0.3, 1.5, conv.out_channels) * 60 / spread * 2.0**31
    layer = scheme.Layer(
        weight, bias, np.minimum(multiplier, 2.0**31 - 1).astype(np.int32), op.x_zero, op.share, op.r_zero
    )
    kernel = registry.kernel_of(rule, op, rule.best(machine, op), machine, weight, bias, layer.multiplier)
    shape = (conv.height, conv.width)
    x = rng.integers(-128, 128, (*shape, conv.channels)).astype(np.int8)
    arguments = {"x": x, **kernel.constants}
    if conv.fold_in:
        arguments["state"] = rng.integers(-128, 128, (*shape, conv.fold_in)).astype(np.int8)
    if conv.residual:
        out = (conv.out_height, conv.out_width, conv.out_channels)
        arguments["r"] = rng.integers(-128, 128, out).astype(np.int8)
    state, residual = arguments.get("state"), arguments.get("r")
    y = integer.convolution(layer, x, state, residual, conv.stride, conv.pad, conv.groups)
    return Case(kernel, arguments, {"y": y, "next": y[..., : conv.fold_out]})


def check(found: list[Case], device: EdgeTarget, folder: Path, command: list[str]) -> None:
    """Build all kernels with one program, run it, and compare every byte."""
    names = [f"k{index}" for index in range(len(found))]
    functions = {name: case.kernel.build() for name, case in zip(names, found, strict=True)}
    (folder / "kernels.o").write_bytes(cpu.build_object(functions, device))
    prototypes = "\n".join(
        f"void {name}({'void *, ' * len(case.kernel.pointers)}int32_t, int32_t);"
        for name, case in zip(names, found, strict=True)
    )
    calls = "\n".join(call(name, case) for name, case in zip(names, found, strict=True))
    (folder / "main.c").write_text(HARNESS.format(prototypes=prototypes, calls=calls))
    zig = [sys.executable, "-m", "ziglang", "cc", "-target", f"{device.triple}.{device.glibc}", "-O1"]
    subprocess.run([*zig, "-o", "lab", "main.c", "kernels.o"], cwd=folder, check=True)
    with open(folder / "in.bin", "wb") as file:
        for case in found:
            for name, pointer in case.kernel.pointers.items():
                data = case.arguments[name].tobytes() if name in case.arguments else bytes(pointer.bytes)
                assert len(data) == pointer.bytes, (case.kernel.op, name)
                file.write(data)
    program = [*command, str(folder / "lab"), str(folder / "in.bin"), str(folder / "out.bin")]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr or f"the kernels ended with {done.returncode}"
    data, at = (folder / "out.bin").read_bytes(), 0
    for case in found:
        for name, pointer in case.kernel.pointers.items():
            if name in case.expected:
                got = np.frombuffer(data[at : at + pointer.bytes], pointer.dtype.numpy)
                wrong = np.flatnonzero(got != case.expected[name].ravel())
                assert not wrong.size, f"{case.kernel.rule} {case.kernel.op}: {wrong.size} of {name}, from {wrong[0]}"
            at += pointer.bytes
    assert at == len(data)


def call(function: str, case: Case) -> str:
    """The statements of one case."""
    pointers = case.kernel.pointers
    names = [f"{function}_{name}" for name in pointers]
    half, items = case.kernel.items // 2, case.kernel.items
    takes = [
        f"    int8_t *{name} = take(in, {p.bytes}L);" for name, p in zip(names, pointers.values(), strict=True)
    ]
    calls = [f"    {function}({', '.join(names)}, {a}, {b});" for a, b in ((half, items), (0, half))]
    gives = [
        f'    give({name}, {p.bytes}L, "{case.kernel.rule} {case.kernel.op.label} {role}", out);'
        for name, (role, p) in zip(names, pointers.items(), strict=True)
    ]
    return "\n".join([*takes, *calls, *gives])
