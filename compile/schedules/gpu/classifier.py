"""The classifier on a GPU: a matrix-vector product (one pixel), bound by reading the weights once.

Pattern: pointwise, one pixel, no shift and no residual.

1. A group computes `Params.outputs` channels; its threads walk the reduction in adjacent vectors over weights packed as
   [CO][CI], so that every load of the weights is coalesced.
2. Each thread keeps one sum per channel; a tree reduction in shared memory adds them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tvm import tirx

from ...ir.dtype import FLOAT32
from ...ir.ops import Conv, Op
from ...kernels.gpu import builder as gpu
from ...kernels.gpu import tiling
from ...kernels.gpu.builder import Expr, Launch, Memory
from ...kernels.gpu.tiling import Machine
from ..pointers import conv_pointers
from ..rule import Schedule
from . import _rule

CASES = (Conv(1, 1, 1280, 27), Conv(1, 1, 7, 1), Conv(1, 1, 512, 1000, low=0.0), Conv(1, 1, 130, 6, high=0.5))


def claims(op: Op) -> bool:
    """A pointwise convolution of one pixel without shift and residual."""
    return (
        isinstance(op, Conv)
        and op.pointwise
        and op.pixels == 1
        and not (op.fold_in or op.fold_out or op.residual)
    )


@dataclass(frozen=True)
class Params:
    """Threads of a group (a power of two), output channels of a group, channels of one load."""

    threads: int
    outputs: int
    lanes: int

    @classmethod
    def from_machine(cls, machine: Machine, op: Conv) -> Params:
        lanes = gpu.width_of(op.channels)
        threads = 32
        while threads * lanes * 2 < op.channels and threads < min(128, machine.group_threads):
            threads *= 2
        # with many channels, more of them per group, so that the vector is read less often
        many = op.out_channels // (machine.units * 16)
        return cls(threads, next(n for n in (4, 2, 1) if n <= max(1, many)), lanes)


def schedule(
    op: Conv, params: Params, machine: Machine, weight: np.ndarray, bias: np.ndarray
) -> _rule.Kernel:
    """weight: [CO, CI, 1, 1]; bias: [CO]."""
    groups = gpu.ceil_div(op.out_channels, params.outputs)
    rows = groups * params.outputs
    packed = np.zeros((rows, op.channels), op.types.w.numpy)
    packed[: op.out_channels] = weight.reshape(op.out_channels, op.channels)
    constants = {"w": packed.ravel(), "b": bias.astype(np.float32)}
    shared = params.threads * params.outputs
    vectors = op.channels // params.lanes

    def body(memory: dict[str, Memory], thread: Expr, group: tuple[Expr, Expr, Expr]) -> None:
        x, w = gpu.registers(params.lanes), gpu.registers(params.lanes)
        sums, place = gpu.registers(params.outputs), gpu.shared(shared)
        gpu.fill(sums, 0, params.outputs, 0.0)
        first = gpu.bind(group[0] * params.outputs)
        with gpu.loop(gpu.ceil_div(vectors, params.threads)) as step:
            vector = gpu.bind(step * params.threads + thread)

            def products() -> None:
                memory["x"].load(x, 0, vector * params.lanes, params.lanes)
                for index in range(params.outputs):
                    base = (first + index) * op.channels + vector * params.lanes
                    memory["w"].load(w, 0, base, params.lanes)
                    for lane in range(params.lanes):
                        gpu.assign(sums, index, sums[index] + x[lane] * w[lane])

            gpu.branch(vectors % params.threads == 0 or vector < vectors, products)
        add_up(place, sums, params.outputs, params.threads, thread)

        def finish() -> None:
            result = gpu.registers(1)
            gpu.take(result, 0, place, thread * params.threads, 1)
            _rule.epilogue(op, memory).write(result, 0, 0, first + thread, 1)

        gpu.branch(tirx.And(thread < params.outputs, first + thread < op.out_channels), finish)

    return _rule.Kernel(
        op,
        "classifier_gpu",
        conv_pointers(op, packed.size, bias.size),
        Launch((groups, 1, 1), params.threads, shared * FLOAT32.bytes),
        body,
        constants=constants,
        note=f"{params.outputs} by {params.threads}",
        instructions=gpu.ceil_div(vectors, params.threads) * params.outputs * 4 * params.lanes + 150,
        parallel=tiling.WINDOW_PARALLEL,
    )


def add_up(place: gpu.Buffer, sums: gpu.Buffer, count: int, threads: int, thread: Expr) -> None:
    """place[i * threads] = the sum of sums[i] over the group's threads, a power of two."""
    for index in range(count):
        gpu.put(place, index * threads + thread, sums, index, 1)
    gpu.barrier()
    other = gpu.registers(2)
    width = threads // 2
    while width:

        def halve(width: int = width) -> None:
            for index in range(count):
                gpu.take(other, 0, place, index * threads + thread, 1)
                gpu.take(other, 1, place, index * threads + thread + width, 1)
                gpu.assign(other, 0, other[0] + other[1])
                gpu.put(place, index * threads + thread, other, 0, 1)

        gpu.branch(thread < width, halve)
        gpu.barrier()
        width //= 2


SCHEDULE = Schedule("classifier_gpu", claims, Params.from_machine, schedule, CASES)
