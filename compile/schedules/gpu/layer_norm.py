"""Layer norm over the channels of a position on a GPU, with the ReLU and the sum behind it.

A group takes a position; its threads add up their vectors, and each reads the sums of all from shared memory.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from tvm import tirx

from ...ir.ops import LayerNorm, Op
from ...kernels.gpu import builder as gpu
from ...kernels.gpu.builder import Buffer, Expr, Launch, Memory
from ...kernels.gpu.tiling import Machine
from .. import cases
from ..boxes import number
from ..pointers import typed
from ..rule import Schedule
from . import _rule

CASES = cases.LAYER_NORM
THREADS = 32


def claims(op: Op) -> bool:
    """All of them."""
    return isinstance(op, LayerNorm)


def sum_of_all(own: Buffer, thread: Expr) -> Expr:
    """The sum of one register of every thread of the group."""
    place, total, value = gpu.shared(THREADS), gpu.registers(1), gpu.registers(1)
    gpu.put(place, thread, own, 0, 1)
    gpu.barrier()
    gpu.fill(total, 0, 1, 0.0)
    with gpu.loop(THREADS) as other:
        gpu.take(value, 0, place, other, 1)
        gpu.assign(total, 0, total[0] + value[0])
    return total[0]


def schedule(
    op: LayerNorm, params: _rule.Params, machine: Machine, scale: np.ndarray, shift: np.ndarray
) -> _rule.Kernel:
    """x [frames, pixels, channels], w, b, r -> y of the shape of x; a group for each position of each frame."""
    channels, lanes = op.channels, gpu.width_of(op.channels)
    vectors, size = channels // lanes, op.pixels * channels
    out = (op.frames - 1) * op.out_pitch + size
    read = (op.frames - 1) * op.pitch + size
    sizes = {"x": read, "w": channels, "b": channels, "r": out if op.residual else 0, "y": out}
    constants = {"w": scale.astype(op.types.w.numpy), "b": shift.astype(op.types.b.numpy)}
    share = number(1 / channels)

    def body(memory: dict[str, Memory], thread: Expr, group: tuple[Expr, Expr, Expr]) -> None:
        source = gpu.bind(group[1] * op.pitch + group[0] * channels)
        target = gpu.bind(group[1] * op.out_pitch + group[0] * channels)
        value, more, own = gpu.registers(lanes), gpu.registers(lanes), gpu.registers(1)

        def each(emit: Callable[[Expr, int], None], begin: Callable[[Expr], None] = lambda first: None) -> None:
            with gpu.loop(gpu.ceil_div(vectors, THREADS)) as step:
                vector = gpu.bind(step * THREADS + thread)

                def one() -> None:
                    memory["x"].load(value, 0, source + vector * lanes, lanes)
                    begin(vector * lanes)
                    for lane in range(lanes):
                        emit(vector * lanes, lane)

                gpu.branch(vectors % THREADS == 0 or vector < vectors, one)

        gpu.fill(own, 0, 1, 0.0)
        each(lambda first, lane: gpu.assign(own, 0, own[0] + value[lane]))
        mean = gpu.bind(sum_of_all(own, thread) * share)
        gpu.fill(own, 0, 1, 0.0)
        each(lambda first, lane: gpu.assign(own, 0, own[0] + (value[lane] - mean) * (value[lane] - mean)))
        variance = sum_of_all(own, thread) * share
        factor = gpu.bind(number(1) / tirx.sqrt(variance + number(op.epsilon)))

        def write(first: Expr) -> None:
            memory["w"].load(more, 0, first, lanes)
            for lane in range(lanes):
                gpu.assign(value, lane, (value[lane] - mean) * factor * more[lane])
            memory["b"].load(more, 0, first, lanes)
            for lane in range(lanes):
                gpu.assign(value, lane, value[lane] + more[lane])
            gpu.clamp(value, 0, lanes, 0.0 if op.relu else None, None)
            if op.residual:
                memory["r"].load(more, 0, target + first, lanes)
                for lane in range(lanes):
                    gpu.assign(value, lane, value[lane] + more[lane])
            memory["y"].store(target + first, value, 0, lanes)

        each(lambda first, lane: None, write)

    launch = Launch((op.pixels, op.frames, 1), THREADS, 2 * THREADS * 4)
    instructions = 3 * gpu.ceil_div(vectors, THREADS) * (8 + 4 * lanes) + 4 * THREADS
    types = typed(sizes, op.types)
    return _rule.Kernel(
        op, "layer_norm_gpu", types, launch, body, constants, instructions=instructions, parallel=0.25
    )


SCHEDULE = Schedule("layer_norm_gpu", claims, _rule.Params.from_machine, schedule, CASES)
