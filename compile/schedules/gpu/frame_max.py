"""Max pooling over frames (temporal pooling) on a GPU.

One thread computes one element; adjacent threads write adjacent elements. NaN stays NaN.
"""

from __future__ import annotations

from tvm import tirx

from ...ir.ops import FrameMax, Op
from ...kernels.gpu import builder as gpu
from ...kernels.gpu.builder import Expr, Memory
from ...kernels.gpu.tiling import Machine
from ..pointers import typed
from ..rule import Schedule
from . import _rule

CASES = (
    FrameMax(8, 64, pitch=128, out_pitch=128),
    FrameMax(5, 19, pitch=128, out_pitch=256),
    FrameMax(1, 7, pitch=128, out_pitch=128),
    FrameMax(4, 33, 2, 2, 0, pitch=128, out_pitch=128),
    FrameMax(8, 12544, pitch=12544, out_pitch=12544),
)


def claims(op: Op) -> bool:
    """Poolings whose windows all contain a frame."""
    return isinstance(op, FrameMax) and all(op.window(frame) for frame in range(op.out_frames))


def schedule(op: FrameMax, params: _rule.Params, machine: Machine) -> _rule.Kernel:
    """x [frames, size] -> y [out_frames, size]; a launch has the output's frames as its second axis."""
    sizes = {
        "x": (op.frames - 1) * op.pitch + op.size,
        "y": (op.out_frames - 1) * op.out_pitch + op.size,
    }

    def body(memory: dict[str, Memory], thread: Expr, group: tuple[Expr, Expr, Expr]) -> None:
        frame, best, value = group[1], gpu.registers(1), gpu.registers(1)

        def window(at: Expr) -> None:
            gpu.assign(best, 0, gpu.lowest())
            for tap in range(op.kernel):
                source = gpu.bind(frame * op.stride + (tap - op.pad))

                def take(source: Expr = source) -> None:
                    memory["x"].load(value, 0, source * op.pitch + at, 1)
                    gpu.assign(best, 0, gpu.larger(best[0], value[0]))

                gpu.branch(tirx.And(source >= 0, source < op.frames), take)
            memory["y"].store(frame * op.out_pitch + at, best, 0, 1)

        params.each(op.size, thread, group[0], window)

    launch, types = params.launch(op.size, op.out_frames), typed(sizes, op.types)
    return _rule.Kernel(
        op, "frame_max_gpu", types, launch, body, instructions=20 + 12 * op.kernel, parallel=0.25
    )


SCHEDULE = Schedule("frame_max_gpu", claims, _rule.Params.from_machine, schedule, CASES)
