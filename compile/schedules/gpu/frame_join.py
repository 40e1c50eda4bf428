"""The frames that a stream keeps and its newest one, one after the other on a GPU: a network of cached features.

One thread moves one element; adjacent threads write adjacent elements.
"""

from __future__ import annotations

from ...ir.ops import FrameJoin, Op
from ...kernels.gpu import builder as gpu
from ...kernels.gpu.builder import Expr, Memory
from ...kernels.gpu.tiling import Machine
from .. import cases
from ..pointers import typed
from ..rule import Schedule
from . import _rule

CASES = cases.FRAME_JOIN


def claims(op: Op) -> bool:
    """Every join of frames that has some of x."""
    return isinstance(op, FrameJoin) and op.begin < op.frames


def schedule(op: FrameJoin, params: _rule.Params, machine: Machine) -> _rule.Kernel:
    """x [frames, size], r [size] -> y [frames - begin + 1, size]; a launch has y's frames as its second axis."""
    last = op.out_frames - 1
    sizes = {
        "x": (op.frames - 1) * op.pitch + op.size,
        "r": op.size,
        "y": last * op.out_pitch + op.size,
    }

    def body(memory: dict[str, Memory], thread: Expr, group: tuple[Expr, Expr, Expr]) -> None:
        frame, value = group[1], gpu.registers(1)

        def move(item: Expr) -> None:
            gpu.branch(
                frame < last, lambda: memory["x"].load(value, 0, (frame + op.begin) * op.pitch + item, 1)
            )
            gpu.branch(frame >= last, lambda: memory["r"].load(value, 0, item, 1))
            memory["y"].store(frame * op.out_pitch + item, value, 0, 1)

        params.each(op.size, thread, group[0], move)

    launch, types = params.launch(op.size, op.out_frames), typed(sizes, op.types)
    return _rule.Kernel(op, "frame_join_gpu", types, launch, body, instructions=25, parallel=0.25)


SCHEDULE = Schedule("frame_join_gpu", claims, _rule.Params.from_machine, schedule, CASES)
