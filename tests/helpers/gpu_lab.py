"""Runs GPU schedules on an OpenCL device and gives what they wrote back to the numpy oracle of `kernel_lab`."""

from __future__ import annotations

from dataclasses import replace

import kernel_lab
import numpy as np
import opencl_lab

from tsm_edge.compile.backends import opencl
from tsm_edge.compile.ir.dtype import FLOAT16, DType, Types
from tsm_edge.compile.ir.ops import InvertedResidual, Op, VolumeConv, with_types
from tsm_edge.compile.kernels.gpu.tiling import Machine
from tsm_edge.compile.schedules import registry
from tsm_edge.compile.schedules.gpu import Kernel

Weights = tuple[np.ndarray, ...]


def schedule(op: Op, machine: Machine, rng: np.random.Generator) -> tuple[Kernel, Weights]:
    """The kernel of the schedule that claims `op`, and the plain weights as they are stored."""
    weights = kernel_lab.weights_for(op, rng)
    kernel = registry.apply("gpu", op, machine, *weights)
    assert kernel is not None, f"nobody claims {op}"
    if op.types.w is FLOAT16 and weights:  # the bias stays in float32
        weights = (weights[0].astype(np.float16).astype(np.float32), *weights[1:])
    return kernel, weights


def arguments_for(kernel: Kernel, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Random tensors as they are stored, the packed constants, and NaN wherever the kernel must write."""
    values = {}
    for name, pointer in kernel.pointers.items():
        size, kind = pointer.size, pointer.dtype.numpy
        if name in kernel.constants:
            values[name] = kernel.constants[name]
            assert values[name].dtype == kind
        elif name in ("y", "next"):
            values[name] = np.full(size, np.nan, kind)
        else:
            values[name] = rng.standard_normal(size).astype(kind)
    return values


def stored(ops: list[Op], machine: Machine, **others: DType) -> list[Op]:
    """The operators with their operands as a machine stores them, but for `others`."""
    types = replace(Types.stored(machine.storage), **others)
    return [typed(op, types) for op in ops if not isinstance(op, InvertedResidual)]


def typed(op: Op, types: Types) -> Op:
    """The operator with operands of these types."""
    if isinstance(op, VolumeConv):
        return with_types(op, types)
    return replace(op, types=types)


def run(device: opencl_lab.Device, ops: list[Op], machine: Machine, seed: int) -> None:
    """Build all kernels as one program, run each once and check it."""
    rng = np.random.default_rng(seed)
    cases = [schedule(op, machine, rng) for op in ops]
    program = device.build(
        opencl.program({f"k{i}": k.build() for i, (k, _) in enumerate(cases)}), opencl.OPTIONS
    )
    for index, (kernel, weights) in enumerate(cases):
        values = arguments_for(kernel, rng)
        arrays = [values[name] for name in kernel.pointers]
        after = device.run(program, f"k{index}", arrays, kernel.launch.grid, kernel.launch.threads)
        check(kernel, values, dict(zip(kernel.pointers, after, strict=True)), weights)
        spoilt = kernel_lab.poisoned(values, index, rng)
        arrays = [spoilt[name] for name in kernel.pointers]
        after = device.run(program, f"k{index}", arrays, kernel.launch.grid, kernel.launch.threads)
        check_poisoned(kernel, spoilt, dict(zip(kernel.pointers, after, strict=True)), weights)


def check_poisoned(
    kernel: Kernel,
    before: dict[str, np.ndarray],
    after: dict[str, np.ndarray],
    weights: Weights,
) -> None:
    """NaN and infinity come out as arithmetic and clamps say."""
    with np.errstate(invalid="ignore"):
        wanted = kernel_lab.expected(kernel.op, {n: v.astype(np.float32) for n, v in before.items()}, weights)
    got = kernel_lab.result(kernel.op, after, wanted, 0).astype(np.float64)
    rounding = 3e-6 if after["y"].dtype == np.float32 else 6e-4
    kernel_lab.check_poisoned(kernel.rule, got, wanted, rounding, f"{kernel.op} {kernel.note}")


def check(
    kernel: Kernel,
    before: dict[str, np.ndarray],
    after: dict[str, np.ndarray],
    weights: Weights,
) -> None:
    """Outputs and the next state are right to the rounding of their storage; what was only read is as it was."""
    op = kernel.op
    wanted = kernel_lab.expected(op, {n: v.astype(np.float32) for n, v in before.items()}, weights)
    got = kernel_lab.result(kernel.op, after, wanted, 0).astype(np.float64)
    rounding = 3e-6 if after["y"].dtype == np.float32 else 6e-4  # 2^-11 and the sum's own
    np.testing.assert_allclose(
        got, wanted, rtol=0, atol=rounding * max(1.0, np.abs(wanted).max()), err_msg=f"{op} {kernel.note}"
    )
    for name, value in before.items():
        if name not in ("y", "next"):
            np.testing.assert_array_equal(after[name], value, err_msg=f"{op}: {name} was written")
    fold = getattr(op, "fold_out", 0)
    if fold:
        stored = after["y"].reshape(wanted.shape)[..., :fold].astype(after["next"].dtype)
        np.testing.assert_array_equal(after["next"].reshape(stored.shape), stored)
