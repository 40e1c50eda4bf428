"""The temporal shift of a clip on a GPU: the shifted channels of all frames.

One thread moves one element; adjacent threads write adjacent elements.
"""

from __future__ import annotations

from tvm import tirx

from ...ir.ops import FrameShift, Op
from ...kernels.gpu import builder as gpu
from ...kernels.gpu.builder import Expr, Memory
from ...kernels.gpu.tiling import Machine
from ..pointers import typed
from ..rule import Schedule
from . import _rule

CASES = (
    FrameShift(8, 15, 24, 3, 3, pitch=384, out_pitch=128),
    FrameShift(3, 4, 16, 0, 2, "hold", pitch=128, out_pitch=128),
    FrameShift(4, 6, 160, 80, 70, "circulant", pitch=1024, out_pitch=1024),
    FrameShift(1, 1, 8, 1, 1, pitch=128, out_pitch=128),
    FrameShift(2, 5, 19, 2, 2, "circulant", whole=True, pitch=128, out_pitch=128),
    FrameShift(8, 784, 64, 8, 8, pitch=50176, out_pitch=12544),
)


def claims(op: Op) -> bool:
    """Every frame shift."""
    return isinstance(op, FrameShift)


def schedule(op: FrameShift, params: _rule.Params, machine: Machine) -> _rule.Kernel:
    """x [frames, pixels, channels] -> y [frames, pixels, width]; a launch has the frames as its second axis."""
    behind, count = op.frames - 1, op.pixels * op.width
    sizes = {"x": behind * op.pitch + op.pixels * op.channels, "y": behind * op.out_pitch + count}

    def body(memory: dict[str, Memory], thread: Expr, group: tuple[Expr, Expr, Expr]) -> None:
        frame, value = group[1], gpu.registers(1)

        def move(item: Expr) -> None:
            pixel, channel = item // op.width, item % op.width
            by = tirx.Select(channel < op.future, 1, tirx.Select(channel < op.future + op.past, -1, 0))
            source = gpu.bind(frame + by)
            outside = tirx.Or(source < 0, source >= op.frames)
            if op.padding == "circulant":
                source = gpu.bind((source + op.frames) % op.frames)
            elif op.padding == "hold":
                source = gpu.bind(tirx.Select(outside, frame, source))

            def take() -> None:
                memory["x"].load(value, 0, source * op.pitch + pixel * op.channels + channel, 1)

            gpu.fill(value, 0, 1, 0.0)
            gpu.branch(tirx.Not(outside) if op.padding == "zero" else True, take)
            memory["y"].store(frame * op.out_pitch + item, value, 0, 1)

        params.each(count, thread, group[0], move)

    launch, types = params.launch(count, op.frames), typed(sizes, op.types)
    return _rule.Kernel(op, "frame_shift_gpu", types, launch, body, instructions=40, parallel=0.25)


SCHEDULE = Schedule("frame_shift_gpu", claims, _rule.Params.from_machine, schedule, CASES)
