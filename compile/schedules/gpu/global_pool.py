"""Global average pooling, also over the frames of a clip, on a GPU.

A group computes `vectors` vectors of channels with `vectors` x `stripes` threads; each sums every `stripes`-th pixel,
and the partial sums are added in shared memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from ...ir.dtype import FLOAT32
from ...ir.ops import GlobalPool, Op
from ...kernels.gpu import builder as gpu
from ...kernels.gpu import tiling
from ...kernels.gpu.builder import Expr, Launch, Memory
from ...kernels.gpu.tiling import Machine
from .. import cases
from ..pointers import typed
from ..rule import Schedule
from . import _rule

CASES = cases.GLOBAL_POOL


def claims(op: Op) -> bool:
    """Every global mean."""
    return isinstance(op, GlobalPool)


@dataclass(frozen=True)
class Params:
    """Channels of a vector, vectors of a group, and threads that share a vector's pixels (a power of two)."""

    lanes: int
    vectors: int
    stripes: int

    @classmethod
    def from_machine(cls, machine: Machine, op: GlobalPool) -> Params:
        lanes = min(2, gpu.width_of(op.channels))
        stripes = 1
        while stripes * 4 <= op.frames * op.height * op.width and stripes < 8:
            stripes *= 2
        return cls(lanes, min(32, op.channels // lanes), stripes)


def schedule(op: GlobalPool, params: Params, machine: Machine) -> _rule.Kernel:
    """x: [frames, pixels, channels], the frames `pitch` apart; y: [channels]."""
    here = op.height * op.width
    pixels, lanes, vectors = op.frames * here, params.lanes, params.vectors
    total = op.channels // lanes
    threads = vectors * params.stripes
    launch = Launch((gpu.ceil_div(total, vectors), 1, 1), threads, threads * lanes * FLOAT32.bytes)

    def start_of(pixel: Expr) -> Expr:
        if op.frames == 1:
            return pixel * op.channels
        return pixel // here * op.pitch + pixel % here * op.channels

    def body(memory: dict[str, Memory], thread: Expr, group: tuple[Expr, Expr, Expr]) -> None:
        sums, value, place = gpu.registers(lanes), gpu.registers(lanes), gpu.shared(threads * lanes)
        vector = gpu.bind(tirx.min(group[0] * vectors + thread % vectors, total - 1))
        stripe = gpu.bind(thread // vectors)
        gpu.fill(sums, 0, lanes, 0.0)
        with gpu.loop(gpu.ceil_div(pixels, params.stripes)) as step:
            pixel = gpu.bind(step * params.stripes + stripe)

            def more() -> None:
                memory["x"].load(value, 0, start_of(pixel) + vector * lanes, lanes)
                for lane in range(lanes):
                    gpu.assign(sums, lane, sums[lane] + value[lane])

            gpu.branch(pixels % params.stripes == 0 or pixel < pixels, more)
        gpu.put(place, thread * lanes, sums, 0, lanes)
        gpu.barrier()

        def finish() -> None:
            for other in range(1, params.stripes):
                gpu.take(value, 0, place, (thread + other * vectors) * lanes, lanes)
                for lane in range(lanes):
                    gpu.assign(sums, lane, sums[lane] + value[lane])
            for lane in range(lanes):
                gpu.assign(sums, lane, sums[lane] * tirx.const(1.0 / pixels, gpu.FLOAT))
            memory["y"].store((group[0] * vectors + thread) * lanes, sums, 0, lanes)

        gpu.branch(tirx.And(thread < vectors, group[0] * vectors + thread < total), finish)

    pointers = typed({"x": (op.frames - 1) * op.pitch + here * op.channels, "y": op.channels}, op.types)
    return _rule.Kernel(
        op,
        "global_pool_gpu",
        pointers,
        launch,
        body,
        note=f"{vectors * lanes} by {params.stripes}",
        instructions=gpu.ceil_div(pixels, params.stripes) * (6 + 2 * lanes) + 100,
        parallel=tiling.WINDOW_PARALLEL,
    )


SCHEDULE = Schedule("global_pool_gpu", claims, Params.from_machine, schedule, CASES)
