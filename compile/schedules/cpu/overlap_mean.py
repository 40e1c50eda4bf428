"""Means over the regions that a box overlaps in a neighbouring frame, on a CPU.

A work item is a box. How much it overlaps each box of the other frame is computed again in every layer, 20 operations
for a pair, and kept in the thread's scratch while the regions are added up, four vectors of channels at a time.
"""

from __future__ import annotations

from functools import partial

from ...ir.dtype import FLOAT32, Pointer
from ...ir.ops import Op, OverlapMean
from ...ir.plan import Cycles
from ...kernels.cpu import builder as tir
from ...kernels.cpu import cost
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.tiling import Machine
from .. import cases
from ..boxes import intersection_over_union
from ..pointers import typed
from ..rule import NoParams, Schedule
from . import _boxes
from ._rule import Kernel

CASES = cases.OVERLAP_MEAN


def claims(op: Op) -> bool:
    """All of them."""
    return isinstance(op, OverlapMean)


def schedule(op: OverlapMean, params: NoParams, machine: Machine) -> Kernel:
    """x [frames, boxes, channels], boxes -> y of the shape of x."""
    channels = op.channels
    sizes = {
        "x": (op.frames - 1) * op.pitch + op.boxes * channels,
        "boxes": op.frames * op.boxes * 4,
        "y": (op.frames - 1) * op.out_pitch + op.boxes * channels,
    }
    pointers = typed(sizes, op.types)
    pointers["scratch"] = Pointer(op.boxes, FLOAT32)

    def body(x: Buffer, boxes: Buffer, y: Buffer, scratch: Buffer, begin: Expr, end: Expr) -> None:
        def zeros(target: Expr) -> None:
            def group(first: Expr, vectors: list[tuple[int, int]]) -> None:
                for offset, lanes in vectors:
                    tir.store(y, target + first + offset, tir.constant(0.0, lanes), lanes)

            _boxes.each_group(channels, machine, group)

        def weights(frame: Expr, index: Expr) -> Expr:
            own, total = _boxes.corners(boxes, frame, index, op.boxes), tir.local(1)
            tir.store(total, 0, tir.constant(0.0), 1)
            with tir.loop(0, op.boxes) as other:
                near = _boxes.corners(boxes, frame + op.by, other, op.boxes)
                found = intersection_over_union(own, near, _boxes.kept)
                tir.store(scratch, other, found, 1)
                tir.store(total, 0, tir.load(total, 0, 1) + found, 1)
            return tir.bind(tir.load(total, 0, 1))

        def means(source: Expr, target: Expr, total: Expr) -> None:
            share = tir.bind(tir.constant(1.0) / total)

            def group(first: Expr, vectors: list[tuple[int, int]]) -> None:
                sums = [tir.local(lanes) for _, lanes in vectors]
                for held, (_, lanes) in zip(sums, vectors, strict=True):
                    tir.store(held, 0, tir.constant(0.0, lanes), lanes)
                with tir.loop(0, op.boxes) as other:
                    weight, at = tir.bind(tir.load(scratch, other, 1)), tir.bind(source + other * channels + first)
                    for held, (offset, lanes) in zip(sums, vectors, strict=True):
                        value = tir.load(x, at + offset, lanes) * tir.splat(weight, lanes)
                        tir.store(held, 0, tir.load(held, 0, lanes) + value, lanes)
                for held, (offset, lanes) in zip(sums, vectors, strict=True):
                    tir.store(y, target + first + offset, tir.load(held, 0, lanes) * tir.splat(share, lanes), lanes)

            _boxes.each_group(channels, machine, group)

        with tir.loop(begin, end) as item:
            frame, index = tir.bind(item // op.boxes), tir.bind(item % op.boxes)
            target = tir.bind(frame * op.out_pitch + index * channels)

            def of_neighbour(frame: Expr = frame, index: Expr = index, target: Expr = target) -> None:
                total, source = weights(frame, index), tir.bind((frame + op.by) * op.pitch)
                tir.branch(total > 0, lambda: means(source, target, total), lambda: zeros(target))

            there = frame < op.frames - op.by if op.by > 0 else frame >= -op.by
            tir.branch(there, of_neighbour, partial(zeros, target))

    work = Cycles(cost.moved(op.frames * op.boxes**2 * (channels + 20)))
    return Kernel(op, "overlap_mean_cpu", pointers, op.frames * op.boxes, body, work=work)


SCHEDULE = Schedule("overlap_mean_cpu", claims, NoParams.from_machine, schedule, CASES)
