"""Means over the regions that a box overlaps in a neighbouring frame, on a GPU.

A thread takes a vector of a box's channels, and how much the box overlaps each other one is computed in every thread.
"""

from __future__ import annotations

from tvm import tirx

from ...ir.ops import Op, OverlapMean
from ...kernels.gpu import builder as gpu
from ...kernels.gpu.builder import Expr, Memory
from ...kernels.gpu.tiling import Machine
from .. import cases
from ..boxes import intersection_over_union, number
from ..pointers import typed
from ..rule import Schedule
from . import _boxes, _rule

CASES = cases.OVERLAP_MEAN


def claims(op: Op) -> bool:
    """All of them."""
    return isinstance(op, OverlapMean)


def schedule(op: OverlapMean, params: _rule.Params, machine: Machine) -> _rule.Kernel:
    """x [frames, boxes, channels], boxes -> y of the shape of x; frames are the grid's second axis."""
    channels, lanes = op.channels, _boxes.lanes_of(op)
    vectors, size = channels // lanes, op.boxes * channels
    sizes = {
        "x": (op.frames - 1) * op.pitch + size,
        "boxes": op.frames * op.boxes * 4,
        "y": (op.frames - 1) * op.out_pitch + size,
    }

    def body(memory: dict[str, Memory], thread: Expr, group: tuple[Expr, Expr, Expr]) -> None:
        frame, sums, value, total = group[1], gpu.registers(lanes), gpu.registers(lanes), gpu.registers(1)

        def means(index: Expr, first: Expr) -> None:
            own = _boxes.corners(memory["boxes"], frame, index, op.boxes)
            with gpu.loop(op.boxes) as other:
                near = _boxes.corners(memory["boxes"], frame + op.by, other, op.boxes)
                weight = intersection_over_union(own, near, _boxes.kept)
                memory["x"].load(value, 0, (frame + op.by) * op.pitch + other * channels + first, lanes)
                gpu.assign(total, 0, total[0] + weight)
                for lane in range(lanes):
                    gpu.assign(sums, lane, sums[lane] + value[lane] * weight)
            for lane in range(lanes):
                gpu.assign(sums, lane, tirx.Select(total[0] > number(0), sums[lane] / total[0], number(0)))

        def box_of(item: Expr) -> None:
            index, first = gpu.bind(item // vectors), gpu.bind(item % vectors * lanes)
            gpu.fill(sums, 0, lanes, 0.0)
            gpu.fill(total, 0, 1, 0.0)
            there = frame < op.frames - op.by if op.by > 0 else frame >= -op.by
            gpu.branch(there, lambda: means(index, first))
            memory["y"].store(frame * op.out_pitch + index * channels + first, sums, 0, lanes)

        params.each(op.boxes * vectors, thread, group[0], box_of)

    launch, types = params.launch(op.boxes * vectors, op.frames), typed(sizes, op.types)
    instructions = op.boxes * (40 + 2 * lanes)
    return _rule.Kernel(op, "overlap_mean_gpu", types, launch, body, instructions=instructions, parallel=0.25)


SCHEDULE = Schedule("overlap_mean_gpu", claims, _rule.Params.from_machine, schedule, CASES)
