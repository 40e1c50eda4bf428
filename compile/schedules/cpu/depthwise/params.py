"""Parameters of the depthwise schedule on a CPU: rows and columns of a tile that fit the registers, and the cuts."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ....ir.ops import Conv
from ....kernels.cpu.tiling import Machine
from .. import _rule
from .._windows import XTile, cut_row


@dataclass(frozen=True)
class Params:
    """Output rows and columns of a tile, and the cuts of the image in both directions."""

    rows: int
    columns: int
    x_tiles: tuple[XTile, ...]
    y_tiles: tuple[XTile, ...]

    @classmethod
    def from_machine(cls, machine: Machine, op: Conv, most_rows: int = 2) -> Params:
        """most_rows: 1 where rows are computed one by one."""
        paired = paired_rows(machine, op) if op.blocked_in and most_rows > 1 else 0
        if paired:
            return cls.of(op, 2, paired)
        if op.blocked_in:
            # Registers: accumulators, the filter if it is small, bias, both clamps, and loads in flight. LLVM spills
            # with more than eight columns; a second row pays where each row is a single tile.
            room = machine.registers - (taps_in_registers(machine, op) or op.kernel[1]) - 6
            columns = max(1, min(op.out_width, room, 8))
            rows = 2 if op.stride == (1, 1) and columns == op.out_width and 2 * columns <= room else 1
            rows = min(rows, op.out_height)
        else:
            # Registers: one accumulator and about one input a column, plus a kernel row of weights.
            rows, room = 1, machine.registers - op.kernel[1] - 2
            columns = max(1, min(op.out_width, room // 2 - (op.stride[1] > 1), 8))
        return cls.of(op, rows, columns)

    @classmethod
    def of(cls, op: Conv, rows: int, columns: int) -> Params:
        """The parameters of a tile."""
        return cls(rows, columns, tuple(cut_row(op, columns)), tuple(cut_row(transposed(op), rows)))


def paired_rows(machine: Machine, op: Conv) -> int:
    """Columns of a tile of two rows, which share their inputs; 0 where such tiles do not pay.

    A core without paired loads is bound by loads: 2 x 7 outputs take 36 input vectors for 126 multiply-adds at stride
    1, 8 outputs take 30 for 72. Registers: as in `from_machine`, with three more loads in flight; 2 x 8 outputs spill
    at stride 2, and so do two tiles in sequence without a loop.
    """
    taps = taps_in_registers(machine, op)
    if machine.paired_loads or op.out_height == 1 or not taps:
        return 0
    columns = (machine.registers - taps - 9) // 2
    return columns if any(cut.count > 1 for cut in cut_row(op, columns)) else 0


def taps_in_registers(machine: Machine, op: Conv) -> int:
    """Taps of the filter that stay in registers along a row: all or none."""
    taps = op.kernel[0] * op.kernel[1]
    return taps if taps <= machine.registers // 3 else 0


def transposed(op: Conv) -> Conv:
    """The same windows with rows and columns exchanged."""
    top, left, bottom, right = op.pad
    return replace(
        op,
        height=op.width,
        width=op.height,
        kernel=op.kernel[::-1],
        stride=op.stride[::-1],
        pad=(left, top, right, bottom),
    )


def bias_repeats_for(op: Conv, params: Params, machine: Machine) -> int:
    """How often the packed bias repeats each vector: once, or for each accumulator of a tile."""
    return _rule.bias_repeats_for(machine, params.rows * params.columns, op.pixels) if op.blocked_in else 1
