"""What a fused inverted residual on a CPU keeps between its layers, and the tiles of the three."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ....ir.ops import Conv, InvertedResidual
from ....kernels.cpu import tiling
from ....kernels.cpu.tiling import Machine, Panels
from .. import conv as conv_schedule
from ..depthwise import params as depthwise_params


def scratch_pixels(op: InvertedResidual) -> int:
    """Ring and depthwise row. An odd number: in blocks of channels it is the stride from block to block, and a power of
    two would put all of them into one set of the cache."""
    ring = op.depthwise.kernel[0] * op.depthwise.width if op.expand else 0
    return (ring + op.depthwise.out_width) | 1


def scratch_size(op: InvertedResidual) -> int:
    """Elements that a thread needs between the layers."""
    return scratch_pixels(op) * op.depthwise.channels


def inner_depthwise(op: InvertedResidual, machine: Machine) -> Conv:
    """The depthwise layer with the layouts it has inside: blocks where NEON gains by them."""
    blocked = machine.by_lane and op.depthwise.channels % machine.lanes == 0
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
    """Register tiles of the layer that fills the ring; of a short reduction first the best one a vector wide.

    Where a multiply-add broadcasts, such a tile has no other instruction for a number of x. Out-of-order execution then
    begins a tile before the last one has ended, which is much of a short one (docs/decisions/007-register-tiles.md).
    """
    found = tiles(machine, conv)
    if not machine.broadcasts or conv.taps > machine.lanes or conv.out_channels % machine.lanes:
        return found
    ranked = tiling.ranked_tiles(machine, conv_schedule.runs(conv), conv.out_channels, conv.taps)
    narrow = [(rows, panels) for _, rows, panels in ranked if panels.width == machine.lanes]
    return narrow[:1] + found
