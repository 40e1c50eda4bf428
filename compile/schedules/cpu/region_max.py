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
from ..pointers import typed
from ..rule import NoParams, Schedule
from . import _boxes
from ._rule import Kernel

CASES = cases.REGION_MAX


def claims(op: Op) -> bool:
    """All of them."""
    return isinstance(op, RegionMax)


def taps(start: Expr, step: Expr, first: Expr, extent: int, index: str) -> list[tuple[Expr, Expr]]:
    """The positions and weights of a bin's samples along one side; start, step: of samples, first: the bin's.

    Positions are read back from a local array: TVM would simplify the sums of all sixteen addresses for minutes.
    """
    found = []
    places = tir.local(2 * SAMPLES, DType(index))
    for sample in range(SAMPLES):
        place = _boxes.kept(start + (_boxes.real(first + sample) + tir.constant(0.5)) * step)
        zero, last, one = (tir.constant(float(value)) for value in (0, extent - 1, 1))
        held = _boxes.kept(tirx.Select(place > zero, place, zero))  # NaN becomes 0
        held = _boxes.kept(tirx.Select(held < last, held, last))
        low, high = 2 * sample, 2 * sample + 1
        tir.store(places, low, tirx.Cast(index, held), 1)
        above = _boxes.kept(held - _boxes.real(places[low]))
        behind = tirx.Select(held + one < last, held + one, last)
        tir.store(places, high, tirx.Cast(index, behind), 1)
        inside = tirx.And(place >= tir.constant(-1.0), place <= tir.constant(float(extent)))
        share = _boxes.kept(tirx.Select(inside, tir.constant(1 / SAMPLES), zero))
        found += [(places[low], _boxes.kept((one - above) * share)), (places[high], _boxes.kept(above * share))]
    return found


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
                    tir.store(places, len(weights), source + (row * op.width + column) * channels, 1)
                    weights.append(_boxes.kept(high * wide))

            def group(first: Expr, vectors: list[tuple[int, int]]) -> None:
                for offset, lanes in vectors:
                    total = tir.constant(0.0, lanes)
                    for number, weight in enumerate(weights):
                        value = tir.load(x, places[number] + first + offset, lanes)
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
            sides = []
            for low, high, extent in ((box.top, box.bottom, op.height), (box.left, box.right, op.width)):
                start, size = _boxes.kept(low * tir.constant(float(extent))), (high - low) * tir.constant(float(extent))
                long = _boxes.kept(tirx.Select(size < tir.constant(1.0), tir.constant(1.0), size))
                sides.append((start, _boxes.kept(long * tir.constant(1 / (BINS * SAMPLES)))))
            with tir.loop(0, BINS) as row:
                rows = taps(*sides[0], tir.bind(row * SAMPLES), op.height, machine.index)
                with tir.loop(0, BINS) as column:
                    columns = taps(*sides[1], tir.bind(column * SAMPLES), op.width, machine.index)
                    bin_of(rows, columns, tir.bind(frame * op.pitch), target)

    work = Cycles(cost.moved(op.frames * op.boxes * channels * (2 * BINS * SAMPLES) ** 2))
    return Kernel(op, "region_max_cpu", typed(sizes, op.types), op.frames * op.boxes, body, work=work)


SCHEDULE = Schedule("region_max_cpu", claims, NoParams.from_machine, schedule, CASES)
