"""RoIAlign and the maximum over its bins on a GPU.

A thread takes a vector of a box's channels and walks over the bins; adjacent threads read adjacent channels. Where the
samples lie is computed in every thread.
"""

from __future__ import annotations

from tvm import tirx

from ...ir.ops import Op, RegionMax
from ...ir.ops.regions import BINS, SAMPLES
from ...kernels.gpu import builder as gpu
from ...kernels.gpu.builder import Expr, Memory
from ...kernels.gpu.tiling import Machine
from .. import cases
from ..boxes import sides
from ..pointers import typed
from ..rule import Schedule
from . import _boxes, _rule

CASES = cases.REGION_MAX


def claims(op: Op) -> bool:
    """All of them."""
    return isinstance(op, RegionMax)


def schedule(op: RegionMax, params: _rule.Params, machine: Machine) -> _rule.Kernel:
    """x [frames, height, width, channels], boxes -> y [frames, boxes, channels]; frames are the grid's second axis."""
    channels, lanes = op.channels, _boxes.lanes_of(op)
    vectors = channels // lanes
    sizes = {
        "x": (op.frames - 1) * op.pitch + op.height * op.width * channels,
        "boxes": op.frames * op.boxes * 4,
        "y": (op.frames - 1) * op.out_pitch + op.boxes * channels,
    }

    def body(memory: dict[str, Memory], thread: Expr, group: tuple[Expr, Expr, Expr]) -> None:
        frame, best, total, value = group[1], *(gpu.registers(lanes) for _ in range(3))

        def box_of(item: Expr) -> None:
            index, first = gpu.bind(item // vectors), gpu.bind(item % vectors * lanes)
            box = _boxes.corners(memory["boxes"], frame, index, op.boxes)
            down, across = sides(box, op.height, op.width, _boxes.kept)
            for lane in range(lanes):
                gpu.assign(best, lane, gpu.lowest())
            with gpu.loop(BINS) as row:
                rows = down.taps(row * SAMPLES, _boxes.kept)
                with gpu.loop(BINS) as column:
                    gpu.fill(total, 0, lanes, 0.0)
                    columns = across.taps(column * SAMPLES, _boxes.kept)
                    for y, high in rows:
                        for x, wide in columns:
                            at = tirx.Cast("int32", y) * op.width + tirx.Cast("int32", x)
                            memory["x"].load(value, 0, frame * op.pitch + at * channels + first, lanes)
                            for lane in range(lanes):
                                gpu.assign(total, lane, total[lane] + value[lane] * (high * wide))
                    for lane in range(lanes):
                        gpu.assign(best, lane, gpu.larger(best[lane], total[lane]))
            memory["y"].store(frame * op.out_pitch + index * channels + first, best, 0, lanes)

        params.each(op.boxes * vectors, thread, group[0], box_of)

    taps = (2 * SAMPLES) ** 2
    instructions = BINS**2 * (taps * (6 + lanes) + 40)
    launch, types = params.launch(op.boxes * vectors, op.frames), typed(sizes, op.types)
    return _rule.Kernel(op, "region_max_gpu", types, launch, body, instructions=instructions, parallel=0.25)


SCHEDULE = Schedule("region_max_gpu", claims, _rule.Params.from_machine, schedule, CASES)
