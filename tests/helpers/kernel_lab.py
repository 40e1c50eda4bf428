"""Run scheduled kernels outside a bundle, here or under an emulator, and compute the same plainly in numpy.

python tests/helpers/kernel_lab.py --perf [WORD]      time the same cases (kernel_perf.py)
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import clip_oracles
import numpy as np
from clip_oracles import frames_of

from tsm_edge.compile.backends import cpu
from tsm_edge.compile.ir.dtype import FLOAT16, FLOAT32, DType, Types
from tsm_edge.compile.ir.ops import (
    Conv,
    Copy,
    FrameMax,
    FrameShift,
    GlobalPool,
    InvertedResidual,
    Join,
    LayerNorm,
    MaxPool,
    Op,
    Transpose,
    VolumeConv,
)
from tsm_edge.compile.kernels.cpu.tiling import Machine
from tsm_edge.compile.schedules import registry
from tsm_edge.compile.schedules.cpu import Kernel
from tsm_edge.target import EdgeTarget

#: calls every kernel twice, over the halves of its items, reading arguments from and writing them to files; the bytes
#: before and after every argument are NaN of one pattern, as halves too: read they spoil the result, written they end
#: the program
HARNESS = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
{prototypes}
enum {{ GUARD = 64 }};
static const uint8_t pattern[2] = {{0xc5, 0xff}};
static __attribute__((noinline)) void *take(FILE *f, long bytes) {{
    uint8_t *p = aligned_alloc(64, ((size_t)bytes + 2 * GUARD + 63) / 64 * 64);
    if (!p) exit(9);
    for (long i = 0; i < bytes + 2 * GUARD; ++i) p[i] = pattern[i % 2];
    if (fread(p + GUARD, 1, (size_t)bytes, f) != (size_t)bytes) exit(9);
    return p + GUARD;
}}
static __attribute__((noinline)) void give(const void *argument, long bytes, const char *name, FILE *f) {{
    const uint8_t *p = (const uint8_t *)argument - GUARD;
    for (long i = 0; i < GUARD; ++i) {{
        const long after = GUARD + bytes + i;
        if (p[i] != pattern[i % 2]) {{ fprintf(stderr, "%s: written before it\\n", name); exit(8); }}
        if (p[after] != pattern[after % 2]) {{ fprintf(stderr, "%s: written after it\\n", name); exit(8); }}
    }}
    if (fwrite(argument, 1, (size_t)bytes, f) != (size_t)bytes) exit(9);
}}
int main(int argc, char **argv) {{
    (void)argc;
    FILE *in = fopen(argv[1], "rb"), *out = fopen(argv[2], "wb");
{calls}
    return fclose(out);
}}
"""


def weights_for(op: Op, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Random weights and bias of every convolution; nothing for other operators."""
    if isinstance(op, InvertedResidual):
        return tuple(array for conv in op.convs for array in weights_for(conv, rng))
    if isinstance(op, VolumeConv):
        taps = [weights_for(op.conv, rng) for _ in range(op.depth)]
        return np.stack([weight for weight, _ in taps], axis=2), taps[0][1]
    if isinstance(op, LayerNorm):
        return rng.standard_normal(op.channels).astype(np.float32), rng.standard_normal(op.channels).astype(np.float32)
    if not isinstance(op, Conv):
        return ()
    fan_in = op.channels // op.groups * op.kernel[0] * op.kernel[1]
    weight = rng.standard_normal((op.out_channels, op.channels // op.groups, *op.kernel)).astype(np.float32)
    return weight / np.float32(fan_in**0.5), rng.standard_normal(op.out_channels).astype(np.float32)


def arguments_for(kernel: Kernel, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Random tensors, the packed constants, and NaN wherever the kernel must write."""
    values = {}
    for name, pointer in kernel.pointers.items():
        size, kind = pointer.size, pointer.dtype.numpy
        if name in kernel.constants:
            assert kernel.constants[name].dtype == kind
            values[name] = kernel.constants[name]
        elif name in ("y", "next"):
            values[name] = np.full(size, np.nan, kind)
        else:
            values[name] = rng.standard_normal(size).astype(kind)
    return values


POISONS = (np.nan, np.inf, -np.inf)


def poisoned(values: dict[str, np.ndarray], index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A copy of the arguments with one number of x, residual and state that is not finite: NaN, inf, -inf by turns."""
    copies = {name: array.copy() for name, array in values.items()}
    for turn, name in enumerate(("x", "r", "state")):
        if name in copies and (turn == 0 or index % 2):
            copies[name][rng.integers(copies[name].size)] = POISONS[(index + turn) % len(POISONS)]
    return copies


def check_poisoned(rule: str, got: np.ndarray, wanted: np.ndarray, rounding: float, what: str) -> None:
    """Assert that NaN and infinity came out where arithmetic and clamps say so.

    Winograd's transforms take differences within a tile, and tiles on a GPU multiply what they read beyond their part
    with zeros: there an infinity may become NaN, and NaN may fill its tile.
    """
    assert np.isnan(got[np.isnan(wanted)]).all(), f"{rule} {what}: NaN was lost"
    same = np.isfinite(wanted) & np.isfinite(got)
    largest = max(1.0, np.abs(wanted[np.isfinite(wanted)]).max(initial=0))
    np.testing.assert_allclose(
        got[same], wanted[same], rtol=0, atol=rounding * largest, err_msg=f"{rule} {what}"
    )
    others = ~same & ~np.isnan(wanted)
    if rule.startswith("winograd") or rule.endswith("_gpu"):
        others &= ~np.isnan(got)
    np.testing.assert_array_equal(got[others], wanted[others], err_msg=f"{rule} {what}")


def build(functions: dict[str, Any], source: str, target: EdgeTarget, folder: Path) -> None:
    """Link kernels with a C program that calls them: `folder`/lab."""
    (folder / "kernels.o").write_bytes(cpu.build_object(functions, target))
    (folder / "main.c").write_text(source)
    version = f".{target.glibc}" if target.glibc else ""
    subprocess.run(
        [
            sys.executable,
            "-m",
            "ziglang",
            "cc",
            "-target",
            target.triple + version,
            "-O1",
            "-o",
            "lab",
            "main.c",
            "kernels.o",
            "-lm",
        ],
        cwd=folder,
        check=True,
    )


def run(
    cases: list[tuple[Kernel, dict[str, np.ndarray]]], target: EdgeTarget, folder: Path, command: list[str]
) -> None:
    """Build all kernels with one program, run it, and leave what they wrote in the argument dicts."""
    names = {
        id(kernel): f"k{i}" for i, (kernel, _) in enumerate(cases)
    }  # of several cases with one kernel the last
    kernels = {names[id(kernel)]: kernel for kernel, _ in cases}
    functions = {name: kernel.build() for name, kernel in kernels.items()}
    prototypes = "\n".join(
        f"void {name}({'void *, ' * len(kernel.pointers)}int32_t, int32_t);"
        for name, kernel in kernels.items()
    )
    calls = "\n".join(_call(i, case, names[id(case[0])]) for i, case in enumerate(cases))
    build(functions, HARNESS.format(prototypes=prototypes, calls=calls), target, folder)
    with open(folder / "in.bin", "wb") as file:
        for kernel, values in cases:
            for name in kernel.pointers:
                file.write(values[name].tobytes())
    program = [*command, str(folder / "lab"), str(folder / "in.bin"), str(folder / "out.bin")]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr or f"the kernels ended with {done.returncode}"
    flat = (folder / "out.bin").read_bytes()
    at = 0
    for kernel, values in cases:
        for name, pointer in kernel.pointers.items():
            values[name] = np.frombuffer(flat, pointer.dtype.numpy, pointer.size, at)
            at += pointer.bytes
    assert at == len(flat)


def _call(index: int, case: tuple[Kernel, dict[str, np.ndarray]], function: str) -> str:
    kernel = case[0]
    names = [f"a{index}_{name}" for name in kernel.pointers]
    takes = [
        f"    void *{name} = take(in, {pointer.bytes}L);"
        for name, pointer in zip(names, kernel.pointers.values(), strict=True)
    ]
    half = kernel.items // 2
    spans = [(half, kernel.items), (0, half)]  # out of order, as threads may
    calls = [f"    {function}({', '.join(names)}, {a}, {b});" for a, b in spans]
    writes = [
        f'    give({name}, {pointer.bytes}L, "{kernel.rule} {kernel.op.label}, {role}", out);'
        for name, (role, pointer) in zip(names, kernel.pointers.items(), strict=True)
    ]
    return "\n".join([*takes, *calls, *writes])


def schedule(op: Op, machine: Machine, rng: np.random.Generator) -> tuple[Kernel, tuple[np.ndarray, ...]]:
    """The kernel of the schedule that takes `op` on a machine, and the plain weights."""
    weights = weights_for(op, rng)
    kernel = registry.apply("cpu", op, machine, *weights)
    assert kernel is not None, f"nobody claims {op}"
    return kernel, weights


def typed(op: Op, dtype: DType) -> Op:
    """The operator with all its tensors stored in a type; the mean over an image leaves floats, as in a network."""
    if isinstance(op, InvertedResidual):
        expand = None if op.expand is None else typed(op.expand, dtype)
        return InvertedResidual(expand, typed(op.depthwise, dtype), typed(op.project, dtype))
    if isinstance(op, VolumeConv):
        return replace(op, conv=typed(op.conv, dtype))
    whole = Types(*([dtype] * len(fields(Types))))
    return replace(op, types=replace(whole, y=FLOAT32) if isinstance(op, GlobalPool) else whole)


def every_kernel(
    machine: Machine, rng: np.random.Generator, more: list[Op]
) -> list[tuple[Kernel, tuple[np.ndarray, ...]]]:
    """The CASES of every schedule with that schedule, and `more` with whoever takes them.

    Each case is scheduled as the model wants it and, drawn at random, as a search by measurement might want it.
    """
    found = []
    for rule in registry.rules("cpu"):
        for op in (typed(case, machine.storage) for case in rule.cases):
            weights = weights_for(op, rng)
            own, *others = registry.variants(rule, op, machine)
            drawn = [others[rng.integers(len(others))]] if others else []
            for params in (own, *drawn):
                found.append((registry.kernel_of(rule, op, params, machine, *weights), weights))
    return found + [schedule(typed(op, machine.storage), machine, rng) for op in more]


def by_pixel(array: np.ndarray, channels: int, blocked: bool, lanes: int) -> np.ndarray:
    """An image in blocks of channels as [pixels, channels]; any other as it is."""
    if not blocked:
        return array
    return array.reshape(channels // lanes, -1, lanes).transpose(1, 0, 2).reshape(-1, channels)


def straight(first: Conv, last: Conv, values: dict[str, np.ndarray], lanes: int) -> dict[str, np.ndarray]:
    """The arguments with x and the residual by pixel."""
    plain = values | {"x": by_pixel(values["x"], first.channels, first.blocked_in, lanes)}
    if last.residual:
        plain["r"] = by_pixel(values["r"], last.out_channels, last.blocked_out, lanes)
    return plain


def expected(
    op: Op, values: dict[str, np.ndarray], weights: tuple[np.ndarray, ...], lanes: int = 0
) -> np.ndarray:
    """What the operator computes, in float64 numpy, NHWC."""
    x = values["x"].astype(np.float64)
    if isinstance(op, Conv):
        return conv(op, straight(op, op, values, lanes), *weights)
    if isinstance(op, clip_oracles.CLIP):
        return clip_oracles.expected(op, values)
    if isinstance(op, VolumeConv):
        return volume(op, values, *weights)
    if isinstance(op, InvertedResidual):
        return block(op, straight(op.convs[0], op.project, values, lanes), weights)
    if isinstance(op, GlobalPool):
        here = op.height * op.width * op.channels
        frames = [x[frame * op.pitch :][:here] for frame in range(op.frames)]
        return np.stack(frames).reshape(-1, op.channels).mean(axis=0)
    if isinstance(op, (FrameShift, FrameMax)):
        return over_frames(op, x)
    if isinstance(op, Copy):
        return x.reshape(op.pixels, op.channels)[:, : op.fold]
    if isinstance(op, Join):
        parts = [x.reshape(op.pixels, op.channels)[:, op.begin : op.begin + op.count]]
        if op.r_count:
            r = values["r"].astype(np.float64).reshape(op.pixels, op.r_channels)
            parts.append(r[:, op.r_begin : op.r_begin + op.r_count])
        return np.concatenate(parts, axis=1)
    if isinstance(op, Transpose):
        return x.reshape(op.rows, op.columns).T
    assert isinstance(op, MaxPool)
    padded = np.pad(
        x.reshape(op.height, op.width, op.channels),
        (op.pad[::2], op.pad[1::2], (0, 0)),
        constant_values=-np.inf,
    )
    return np.max(
        [padded[window(op, ky, kx)] for ky in range(op.kernel[0]) for kx in range(op.kernel[1])], axis=0
    )


def volume(op: VolumeConv, values: dict[str, np.ndarray], weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The convolution along time, frame by frame and tap by tap."""
    one = op.conv
    size = one.height * one.width * one.channels
    frames = frames_of(values["x"].astype(np.float64), op.frames, op.pitch, size)
    before = frames_of(values.get("r", values["y"]), op.out_frames, op.out_pitch, one.pixels * one.out_channels)
    plain = replace(one, residual=False, low=None, high=None)
    results = []
    for index in range(op.out_frames):
        total = np.zeros((one.out_height, one.out_width, one.out_channels)) + bias
        for tap in range(op.depth):
            frame = index * op.step - op.lead + tap
            if 0 <= frame < op.frames:
                total = total + conv(plain, {"x": frames[frame]}, weight[:, :, tap], np.zeros_like(bias))
        if one.residual:
            total = total + before[index].reshape(total.shape)
        low, high = (-np.inf if one.low is None else one.low), (np.inf if one.high is None else one.high)
        results.append(np.clip(total, low, high))
    return np.stack(results)


def over_frames(op: FrameShift | FrameMax, x: np.ndarray) -> np.ndarray:
    """What an operator on the frames of a clip computes; NaN between the frames, which nobody writes."""
    if isinstance(op, FrameMax):
        clip = [x[frame * op.pitch :][: op.size] for frame in range(op.frames)]
        rows = [np.max([clip[at] for at in op.window(frame)], axis=0) for frame in range(op.out_frames)]
    else:
        size = op.pixels * op.channels
        clip = [x[t * op.pitch :][:size].reshape(op.pixels, op.channels) for t in range(op.frames)]
        rows = []
        for t in range(op.frames):
            row = clip[t].copy()
            for begin, count, at in ((0, op.future, t + 1), (op.future, op.past, t - 1)):
                where = slice(begin, begin + count)
                if 0 <= at < op.frames or op.padding == "circulant":
                    row[:, where] = clip[at % op.frames][:, where]
                elif op.padding == "zero":
                    row[:, where] = 0
            rows.append(row[:, : op.width].ravel())
    y = np.full((len(rows) - 1) * op.out_pitch + rows[0].size, np.nan)
    for t, row in enumerate(rows):
        y[t * op.out_pitch :][: row.size] = row
    return y


def block(op: InvertedResidual, values: dict[str, np.ndarray], weights: tuple[np.ndarray, ...]) -> np.ndarray:
    """The block's convolutions one after the other."""
    flow = dict(values)
    for index, part in enumerate(op.convs):
        flow["x"] = conv(part, flow, *weights[2 * index : 2 * index + 2])
    return flow["x"]


def conv(op: Conv, values: dict[str, np.ndarray], weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The convolution tap by tap, with the state in the first channels of x."""
    x = values["x"].astype(np.float64).reshape(op.height, op.width, op.channels)
    if op.fold_in:
        x[..., : op.fold_in] = values["state"].reshape(op.height, op.width, op.fold_in)
    padded = np.pad(x, (op.pad[::2], op.pad[1::2], (0, 0)))
    total = np.zeros((op.out_height, op.out_width, op.out_channels)) + bias
    for ky in range(op.kernel[0]):
        for kx in range(op.kernel[1]):
            taps = padded[window(op, ky, kx)]
            tap = weight[:, :, ky, kx].astype(np.float64)
            total += taps * tap[:, 0] if op.depthwise else taps @ tap.T
    if op.residual:
        total += values["r"].reshape(total.shape)
    low, high = (-np.inf if op.low is None else op.low), (np.inf if op.high is None else op.high)
    return np.clip(total, low, high)


def window(op: Conv | MaxPool, ky: int, kx: int) -> tuple[slice, slice]:
    """The input pixels that tap (ky, kx) of every output reads, in the padded image."""
    rows = slice(ky, ky + (op.out_height - 1) * op.stride[0] + 1, op.stride[0])
    return rows, slice(kx, kx + (op.out_width - 1) * op.stride[1] + 1, op.stride[1])


def result(op: Op, values: dict[str, np.ndarray], wanted: np.ndarray, lanes: int) -> np.ndarray:
    """What a kernel wrote, by pixel, in the shape of the oracle's."""
    last = op.project if isinstance(op, InvertedResidual) else op
    out = clip_oracles.written(last, values["y"])
    if isinstance(last, VolumeConv):
        size = last.conv.pixels * last.conv.out_channels
        out = np.concatenate(frames_of(out, last.out_frames, last.out_pitch, size))
    if isinstance(last, Conv):
        out = by_pixel(out, last.out_channels, last.blocked_out, lanes)
    return out.reshape(wanted.shape)


#: largest error of a result, relative to the largest number: one rounding of 2**-11 a step of a short sum
ROUNDING = {FLOAT32: 3e-6, FLOAT16: 8e-3}


def check(
    op: Op,
    values: dict[str, np.ndarray],
    weights: tuple[np.ndarray, ...],
    lanes: int,
    storage: DType,
) -> None:
    """Assert that outputs and the next state are right to the type's rounding. lanes: channels of a block."""
    wanted = expected(op, values, weights, lanes)
    got = result(op, values, wanted, lanes)
    largest = max(1.0, np.abs(wanted).max())
    np.testing.assert_allclose(got, wanted, rtol=0, atol=ROUNDING[storage] * largest, err_msg=str(op))
    fold = getattr(op.project if isinstance(op, InvertedResidual) else op, "fold_out", 0)
    if fold:
        np.testing.assert_array_equal(values["next"].reshape(*got.shape[:2], fold), got[..., :fold])


def check_all(
    kernels: list[tuple[Kernel, tuple[np.ndarray, ...]]],
    machine: Machine,
    target: EdgeTarget,
    folder: Path,
    command: list[str],
    rng: np.random.Generator,
) -> None:
    """Build, run and check a machine's kernels, each on random numbers and once more with some not finite."""
    cases = [(kernel, arguments_for(kernel, rng)) for kernel, _ in kernels]
    spoilt = [(kernel, poisoned(values, index, rng)) for index, (kernel, values) in enumerate(cases)]
    lanes, storage = machine.lanes, machine.storage
    run([*cases, *spoilt], target, folder, command)
    for (kernel, values), (_, weights) in zip(cases, kernels, strict=True):
        check(kernel.op, values, weights, lanes, storage)
    for (kernel, values), (_, weights) in zip(spoilt, kernels, strict=True):
        with np.errstate(invalid="ignore"):
            wanted = expected(kernel.op, values, weights, lanes)
        got = result(kernel.op, values, wanted, lanes).astype(np.float64)
        check_poisoned(kernel.rule, got, wanted, ROUNDING[storage], str(kernel.op))


if __name__ == "__main__":
    if sys.argv[1:2] != ["--perf"] or len(sys.argv) > 3:
        sys.exit(__doc__)
    import kernel_perf

    kernel_perf.main("".join(sys.argv[2:]))
