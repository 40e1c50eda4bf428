"""What both GPU kernels over boxes share: a box in registers, and how many of its channels a thread takes."""

from __future__ import annotations

from ...ir.ops import OverlapMean, RegionMax
from ...kernels.gpu import builder as gpu
from ...kernels.gpu.builder import Expr, Memory
from .. import boxes
from ..boxes import Corners


def kept(value: Expr) -> Expr:
    """A float32 in a register (`boxes.Keep`)."""
    register = gpu.registers(1)
    gpu.assign(register, 0, value)
    return register[0]


def corners(memory: Memory, frame: Expr, index: Expr, count: int) -> Corners:
    """Box `index` of a frame with `count` of them."""
    given = gpu.registers(4)
    memory.load(given, 0, (frame * count + index) * 4, 4)
    return boxes.corners([given[part] for part in range(4)], index, count, kept)


def lanes_of(op: RegionMax | OverlapMean) -> int:
    """Channels of a thread."""
    return gpu.width_of(op.channels)
