"""Chosen frames of a clip one behind the other on a GPU: what an ensemble's members and temporal relations read.

One thread moves one vector; adjacent threads write adjacent vectors. Which frame a thread reads follows from the second
axis of its launch.
"""

from __future__ import annotations

from functools import reduce

from tvm import tirx

from ...ir.ops import FrameGather, Op
from ...kernels.gpu import builder as gpu
from ...kernels.gpu.builder import Expr, Memory
from ...kernels.gpu.tiling import Machine
from ..pointers import typed
from ..rule import Schedule
from . import _rule

CASES = (
    FrameGather(8, 256, (0, 3, 7)),
    FrameGather(5, 19, (4, 1, 1), pitch=32),
    FrameGather(3, 38, (1, 2), pitch=48, out_pitch=64),
    FrameGather(6, 70, (5, 0, 0, 2, 3), pitch=72, out_pitch=80),
    FrameGather(2, 3, (1,), pitch=128, out_pitch=128),
    FrameGather(12, 16 * 1024, (0, 2, 4, 6)),
)


def claims(op: Op) -> bool:
    """All of them."""
    return isinstance(op, FrameGather)


def frame_of(chosen: tuple[int, ...], place: Expr) -> Expr:
    """The frame that lies at a place of the output."""
    steps = {after - before for before, after in zip(chosen, chosen[1:])} or {0}
    if len(steps) == 1:
        return chosen[0] + place * steps.pop()
    first, *others = reversed(list(enumerate(chosen)))
    return reduce(
        lambda behind, entry: tirx.Select(place <= entry[0], entry[1], behind), others, tirx.const(first[1], "int32")
    )


def schedule(op: FrameGather, params: _rule.Params, machine: Machine) -> _rule.Kernel:
    """x [frames, size] -> y [chosen, size]; a launch has the chosen frames as its second axis."""
    count = len(op.chosen)
    sizes = {"x": (op.frames - 1) * op.pitch + op.size, "y": (count - 1) * op.out_pitch + op.size}
    lanes = min(gpu.width_of(size) for size in (op.size, op.pitch, op.out_pitch))
    vectors = op.size // lanes

    def body(memory: dict[str, Memory], thread: Expr, group: tuple[Expr, Expr, Expr]) -> None:
        place, values = group[1], gpu.registers(lanes)
        source = gpu.bind(frame_of(op.chosen, place) * op.pitch)

        def move(item: Expr) -> None:
            memory["x"].load(values, 0, source + item * lanes, lanes)
            memory["y"].store(place * op.out_pitch + item * lanes, values, 0, lanes)

        params.each(vectors, thread, group[0], move)

    launch, pointers = params.launch(vectors, count), typed(sizes, op.types)
    return _rule.Kernel(
        op, "frame_gather_gpu", pointers, launch, body, note=f"by {lanes}", instructions=20 + 2 * lanes, parallel=0.25
    )


SCHEDULE = Schedule("frame_gather_gpu", claims, _rule.Params.from_machine, schedule, CASES)
