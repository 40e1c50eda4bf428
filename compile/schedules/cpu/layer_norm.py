"""Layer norm over the channels of a position on a CPU, with the ReLU and the sum behind it.

A work item is a position: its mean, the mean square of what is left, and the result are three walks over its channels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from tvm import tirx

from ...ir.ops import LayerNorm, Op
from ...ir.plan import Cycles
from ...kernels.cpu import builder as tir
from ...kernels.cpu import cost
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.tiling import Machine
from .. import cases
from ..pointers import typed
from ..rule import NoParams, Schedule
from ._rule import Kernel

CASES = cases.LAYER_NORM


def claims(op: Op) -> bool:
    """All of them."""
    return isinstance(op, LayerNorm)


def total(channels: int, machine: Machine, value: Callable[[Expr, int], Expr]) -> Expr:
    """The sum of `value(first channel, lanes)` over all channels."""
    sums = tir.local(machine.lanes)
    tir.store(sums, 0, tir.constant(0.0, machine.lanes), machine.lanes)

    def more(channel: Expr, lanes: int) -> None:
        tir.store(sums, 0, tir.load(sums, 0, lanes) + value(channel, lanes), lanes)

    tir.each_vector(channels, machine.lanes, more)
    parts = [tir.load(sums, lane, 1) for lane in range(machine.lanes)]
    return tir.bind(sum(parts[1:], start=parts[0]))


def schedule(op: LayerNorm, params: NoParams, machine: Machine, scale: np.ndarray, shift: np.ndarray) -> Kernel:
    """x [frames, pixels, channels], w, b, r -> y of the shape of x."""
    channels = op.channels
    size = (op.frames - 1) * op.out_pitch + op.pixels * channels
    sizes = {
        "x": (op.frames - 1) * op.pitch + op.pixels * channels,
        "w": channels,
        "b": channels,
        "r": size if op.residual else 0,
        "y": size,
    }
    pointers = typed(sizes, op.types)
    constants = {"w": scale.astype(op.types.w.numpy), "b": shift.astype(op.types.b.numpy)}

    def body(*arguments: Buffer) -> None:
        *tensors, begin, end = arguments
        held = dict(zip(pointers, tensors, strict=True))
        share = tir.constant(1 / channels)

        def position(source: Expr, target: Expr) -> None:
            def read(channel: Expr, lanes: int) -> Expr:
                return tir.load(held["x"], source + channel, lanes)

            mean = tir.bind(total(channels, machine, read) * share)

            def square(channel: Expr, lanes: int) -> Expr:
                left = tir.bind(read(channel, lanes) - tir.splat(mean, lanes))
                return left * left

            variance = total(channels, machine, square) * share
            factor = tir.bind(tir.constant(1.0) / tirx.sqrt(variance + tir.constant(op.epsilon)))

            def write(channel: Expr, lanes: int) -> None:
                left = (read(channel, lanes) - tir.splat(mean, lanes)) * tir.splat(factor, lanes)
                value = left * tir.load(held["w"], channel, lanes) + tir.load(held["b"], channel, lanes)
                value = tir.clip(value, 0.0 if op.relu else None, None, lanes, machine.clamp)
                if op.residual:
                    value = value + tir.load(held["r"], target + channel, lanes)
                tir.store(held["y"], target + channel, value, lanes)

            tir.each_vector(channels, machine.lanes, write)

        with tir.loop(begin, end) as item:
            frame, at = tir.bind(item // op.pixels), tir.bind(item % op.pixels * channels)
            position(tir.bind(frame * op.pitch + at), tir.bind(frame * op.out_pitch + at))

    work = Cycles(cost.moved(4 * op.frames * op.pixels * channels))
    return Kernel(op, "layer_norm_cpu", pointers, op.frames * op.pixels, body, constants, work=work)


SCHEDULE = Schedule("layer_norm_cpu", claims, NoParams.from_machine, schedule, CASES)
