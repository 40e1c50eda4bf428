"""Parameters of the fused inverted residual on a CPU: its scratch and the tiles of the three layers."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ....ir.ops import Conv, InvertedResidual
from ....kernels.cpu import tiling
from ....kernels.cpu.tiling import Machine, Panels
from .. import conv as conv_schedule
from ..depthwise import params as depthwise_params


def scratch_pixels(op: InvertedResidual) -> int:
    """Pixels of the ring and of the depthwise row, made odd.

    It is the stride between blocks of channels; a power of two would map all blocks to one cache set.
    """
    ring = op.depthwise.kernel[0] * op.depthwise.width if op.expand else 0
    return (ring + op.depthwise.out_width) | 1


def scratch_size(op: InvertedResidual) -> int:
    """Elements of scratch per thread."""
    return scratch_pixels(op) * op.depthwise.channels


def inner_depthwise(op: InvertedResidual, machine: Machine) -> Conv:
    """The depthwise layer with its layouts inside the kernel: blocks of channels on NEON."""
    blocked = machine.fma_by_element and op.depthwise.channels % machine.lanes == 0
    return replace(
        op.depthwise, blocked_in=blocked if op.expand else op.depthwise.blocked_in, blocked_out=blocked
    )


@dataclass(frozen=True)
class Params:
    """Output rows of a work item, and the tiles of the three layers."""

    rows: int
    expand: tuple[int, Panels] | None
    depthwise: depthwise_params.Params
    project: tuple[int, Panels]

    @classmethod
    def from_machine(cls, machine: Machine, op: InvertedResidual) -> Params:
        # Two items a core balance the load; more would expand the rows at their seams twice (28 % more for 7 of 56).
        rows = -(-op.project.height // (2 * machine.cores))
        return cls(
            rows,
            expand_tiles(machine, op.expand)[0] if op.expand else None,
            depthwise_params.Params.from_machine(machine, inner_depthwise(op, machine), most_rows=1),
            tiles(machine, op.project)[0],
        )


def tiles(machine: Machine, conv: Conv) -> list[tuple[int, Panels]]:
    """Register tiles of a dense layer, the modelled best first."""
    ranked = tiling.ranked_tiles(machine, conv_schedule.runs(conv), conv.out_channels, conv.taps)
    return [(rows, panels) for _, rows, panels in ranked[: tiling.TRIED]]


def expand_tiles(machine: Machine, conv: Conv) -> list[tuple[int, Panels]]:
    """Register tiles of the expand layer; for a short reduction the best one of a single vector's width first.

    Where an FMA broadcasts a memory operand, such a tile has one instruction per element of x. Out-of-order execution
    then overlaps consecutive tiles, which matters for short ones (docs/decisions/007-register-tiles.md).
    """
    found = tiles(machine, conv)
    if not machine.broadcasts or conv.taps > machine.lanes or conv.out_channels % machine.lanes:
        return found
    ranked = tiling.ranked_tiles(machine, conv_schedule.runs(conv), conv.out_channels, conv.taps)
    narrow = [(rows, panels) for _, rows, panels in ranked if panels.width == machine.lanes]
    return narrow[:1] + found
