"""RoIAlign and the maximum over its bins on a CPU.

A work item is a box. Its samples lie between four positions each; a bin's sixteen positions and their weights are
computed once and read for every vector of channels. What is no number in a box reads nothing: its features are zeros.
"""

from __future__ import annotations

from tvm import tirx

from ...ir.dtype import DType
from ...ir.ops import Op, RegionMax
from ...ir.ops.regions import BINS, SAMPLES
from ...ir.plan import Cycles
from ...kernels.cpu import builder as tir
from ...kernels.cpu import cost
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.tiling import Machine
from .. import cases
from ..boxes import number, sides
from ..pointers import typed
from ..rule import NoParams, Schedule
from . import _boxes
from ._rule import Kernel

CASES = cases.REGION_MAX


def claims(op: Op) -> bool:
    """All of them."""
    return isinstance(op, RegionMax)


def schedule(op: RegionMax, params: NoParams, machine: Machine) -> Kernel:
    """x [frames, height, width, channels], boxes -> y [frames, boxes, channels]."""
    channels = op.channels
    sizes = {
        "x": (op.frames - 1) * op.pitch + op.height * op.width * channels,
        "boxes": op.frames * op.boxes * 4,
        "y": (op.frames - 1) * op.out_pitch + op.boxes * channels,
    }

    def body(x: Buffer, boxes: Buffer, y: Buffer, begin: Expr, end: Expr) -> None:
        def bin_of(rows: list[tuple[Expr, Expr]], columns: list[tuple[Expr, Expr]], source: Expr, target: Expr) -> None:
            places = tir.local(len(rows) * len(columns), DType(machine.index))
            weights: list[Expr] = []
            for row, high in rows:
                for column, wide in columns:
                    at = tirx.Cast(machine.index, row * number(op.width) + column)
                    tir.store(places, len(weights), source + at * channels, 1)
                    weights.append(_boxes.kept(high * wide))

            def group(first: Expr, vectors: list[tuple[int, int]]) -> None:
                for offset, lanes in vectors:
                    total = tir.constant(0.0, lanes)
                    for tap, weight in enumerate(weights):
                        value = tir.load(x, places[tap] + first + offset, lanes)
                        total = tir.bind(total + value * tir.splat(weight, lanes))
                    held = tir.bind(tir.load(y, target + first + offset, lanes))
                    best = tir.larger(held, total, lanes, machine.clamp)
                    tir.store(y, target + first + offset, best, lanes)

            _boxes.each_group(channels, machine, group)

        with tir.loop(begin, end) as item:
            frame, index = tir.bind(item // op.boxes), tir.bind(item % op.boxes)
            box = _boxes.corners(boxes, frame, index, op.boxes)
            target = tir.bind(frame * op.out_pitch + index * channels)

            def lowest(first: Expr, vectors: list[tuple[int, int]], target: Expr = target) -> None:
                for offset, lanes in vectors:
                    tir.store(y, target + first + offset, tir.constant(float("-inf"), lanes), lanes)

            _boxes.each_group(channels, machine, lowest)
            down, across = sides(box, op.height, op.width, _boxes.kept)
            with tir.loop(0, BINS) as row:
                rows = down.taps(tir.bind(row * SAMPLES), _boxes.kept)
                with tir.loop(0, BINS) as column:
                    columns = across.taps(tir.bind(column * SAMPLES), _boxes.kept)
                    bin_of(rows, columns, tir.bind(frame * op.pitch), target)

    work = Cycles(cost.moved(op.frames * op.boxes * channels * (2 * BINS * SAMPLES) ** 2))
    return Kernel(op, "region_max_cpu", typed(sizes, op.types), op.frames * op.boxes, body, work=work)


SCHEDULE = Schedule("region_max_cpu", claims, NoParams.from_machine, schedule, CASES)
