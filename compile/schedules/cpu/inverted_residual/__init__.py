"""Expand, depthwise and project on a CPU, row by row, so that the expanded tensor never leaves the cache.

Pattern: the three convolutions of an inverted residual, or the stem and MobileNetV2's first block, where the expanded
tensor is too large for the second-level cache and a few of its rows are not.

1. A work item is a run of output rows. `scratch` holds a ring of as many expanded rows as the depthwise kernel is
   high, and one depthwise row.
2. Going down the rows, each step expands the `stride` rows that are new; the first row a thread is given fills the
   window. Only the rows at the seam between two threads are computed twice.
3. The depthwise row is computed from the ring, the projection from the depthwise row, with the tiles of the plain
   schedules.
4. Shift: the expand layer reads the last frame's channels, the projection writes the next frame's.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from tvm import tirx

from ....ir.dtype import DType, Pointer
from ....ir.ops import Conv, InvertedResidual, Op
from ....ir.plan import Cycles
from ....kernels.cpu import builder as tir
from ....kernels.cpu import cost
from ....kernels.cpu.builder import Buffer
from ....kernels.cpu.layout import Layout
from ....kernels.cpu.tiling import Machine, Panels
from ...rule import Schedule
from .. import _rule, _windows
from .. import conv as conv_schedule
from .. import depthwise as depthwise_schedule
from .._rule import Kernel
from .params import Params, expand_tiles, inner_depthwise, scratch_pixels, scratch_size, tiles
from .row import Block


def _case(
    size: int,
    channels: int,
    middle: int,
    outs: int,
    stride: int,
    fold_in: int = 0,
    fold_out: int = 0,
    residual: bool = False,
    expand: bool = True,
    blocked: bool = False,
) -> InvertedResidual:
    """A block as MobileNetV2 builds it; blocked: x and the output lie in blocks of channels."""
    first = Conv(size, size + 1, channels, middle, low=0.0, high=6.0, fold_in=fold_in, blocked_in=blocked)
    depth = Conv(
        size, size + 1, middle, middle, (3, 3), (stride, stride), (1, 1, 1, 1), middle, low=0.0, high=6.0
    )
    last = Conv(
        depth.out_height,
        depth.out_width,
        middle,
        outs,
        residual=residual,
        fold_out=fold_out,
        blocked_out=blocked,
    )
    if expand:
        return InvertedResidual(first, depth, last)
    return InvertedResidual(None, replace(depth, blocked_in=blocked), last)


CASES = (
    _case(12, 16, 96, 24, 2, fold_out=3),
    _case(9, 24, 40, 24, 1, fold_in=3, fold_out=3, residual=True),
    _case(7, 32, 32, 16, 1, expand=False, fold_out=2),
    _case(1, 8, 24, 8, 1),
    _case(2, 8, 19, 11, 2),
    _case(9, 32, 48, 32, 1, fold_in=16, fold_out=4, residual=True, blocked=True),
    _case(9, 32, 48, 32, 1, fold_in=3, fold_out=3, residual=True, blocked=True),
    _case(7, 32, 32, 16, 2, expand=False, blocked=True),
    InvertedResidual(  # the stem and the first block
        Conv(17, 15, 3, 16, (3, 3), (2, 2), (1, 1, 1, 1), low=0.0, high=6.0),
        Conv(9, 8, 16, 16, (3, 3), (1, 1), (1, 1, 1, 1), 16, low=0.0, high=6.0),
        Conv(9, 8, 16, 8, fold_out=1),
    ),
)


def claims(op: Op) -> bool:
    """Every inverted residual that the fusing pass built."""
    return isinstance(op, InvertedResidual)


def worthwhile(machine: Machine, op: InvertedResidual) -> bool:
    """Whether fusing saves memory traffic: the expanded tensor exceeds the L2 cache, ring and weights do not.

    Weights are read once a row here and once a layer otherwise (docs/decisions/004-row-fusion.md).
    """
    middle = op.depthwise
    between = middle.height * middle.width * middle.channels * middle.types.x.bytes
    dense = [conv for conv in op.convs if not conv.depthwise]
    weights = sum(conv.taps * conv.out_channels * conv.types.w.bytes for conv in dense)
    scratch = scratch_size(op) * machine.dtype.bytes
    return (
        between > machine.l2_bytes
        and weights <= machine.l2_bytes // 2
        and scratch * 8 <= machine.l2_bytes * 5
    )


def variants(machine: Machine, op: InvertedResidual) -> list[Params]:
    """The best parameters with one of them changed: a tile of a layer, or fewer items."""
    best = Params.from_machine(machine, op)
    inner = [p for p in depthwise_schedule.variants(machine, inner_depthwise(op, machine)) if p.rows == 1]
    return [
        *(replace(best, depthwise=params) for params in inner),
        *(replace(best, expand=tile) for tile in (expand_tiles(machine, op.expand) if op.expand else [])),
        *(replace(best, project=tile) for tile in tiles(machine, op.project)),
        replace(best, rows=-(-op.project.height // machine.cores)),
    ]


def schedule(op: InvertedResidual, params: Params, machine: Machine, *weights: np.ndarray) -> Kernel:
    """weights: [CO, CI, KH, KW] and bias [CO] of each convolution in order."""
    constants = _constants(op, params, machine, weights)
    x, last = op.convs[0], op.project
    sizes = {
        "x": x.height * x.width * x.channels,
        "state": x.pixels * x.fold_in,
        **{name: array.size for name, array in constants.items()},
        "r": last.pixels * last.out_channels if last.residual else 0,
        "y": last.pixels * last.out_channels,
        "next": last.pixels * last.fold_out,
    }
    pointers = {name: Pointer(size, type_of(op, name)) for name, size in sizes.items() if size}
    pointers["scratch"] = Pointer(scratch_size(op), machine.dtype)

    def body(*arguments: Buffer) -> None:
        *tensors, begin, end = arguments
        layout = Layout.by_pixel(op.depthwise.channels)
        if inner_depthwise(op, machine).blocked_out:
            layout = Layout.by_block(scratch_pixels(op), machine.lanes)
        block = Block(op, params, machine, dict(zip(pointers, tensors, strict=True)), layout)
        last_row = tir.bind(tirx.min(end * params.rows, last.height))
        with tir.loop(tir.bind(begin * params.rows), last_row) as y:
            if op.expand is not None:
                block.expand_rows(y, y == begin * params.rows)
            block.depthwise_row(y)
            block.project_row(y)

    return Kernel(
        op,
        "inverted_residual_cpu",
        pointers,
        -(-last.height // params.rows),
        body,
        constants,
        f"{params.rows} rows",
        work=Cycles(cycles(op, params, machine)),
    )


def cycles(op: InvertedResidual, params: Params, machine: Machine) -> float:
    """Modelled cycles of the three layers; rows at the seams of items, which are expanded twice, are left out."""
    inner = params.depthwise
    total = cost.depthwise(machine, op.depthwise, inner.rows, inner.columns)
    for conv, tile in ((op.expand, params.expand), (op.project, params.project)):
        if conv is not None and tile is not None:
            total += cost.dense(machine, conv_schedule.runs(conv), *tile, conv.taps)
    return total


def _constants(
    op: InvertedResidual, params: Params, machine: Machine, weights: tuple[np.ndarray, ...]
) -> dict[str, np.ndarray]:
    """Packed weights and biases: we, be, wd, bd, wp, bp."""
    *expand, depth, depth_bias, last, last_bias = weights
    constants: dict[str, np.ndarray] = {}
    if op.expand is not None and params.expand is not None:
        constants |= {
            "we": _rule.pack_panels(
                _windows.matrix(op.expand, expand[0]), params.expand[1], op.expand.types.w
            ),
            "be": _bias(machine, op.expand, params.expand, expand[1]),
        }
    blocked = inner_depthwise(op, machine).blocked_in
    constants |= {
        "wd": depthwise_schedule.pack(depth, machine, blocked, op.depthwise.types.w),
        "bd": depthwise_schedule.pack_bias(
            inner_depthwise(op, machine), params.depthwise, machine, depth_bias
        ),
    }
    constants |= {
        "wp": _rule.pack_panels(_rule.matrix(last), params.project[1], op.project.types.w),
        "bp": _bias(machine, op.project, params.project, last_bias),
    }
    return constants


def type_of(op: InvertedResidual, pointer: str) -> DType:
    """The element type behind a pointer; weights and biases are those of their layer."""
    layers = {"e": op.convs[0], "d": op.depthwise, "p": op.project}
    own, layer = pointer[0], layers.get(pointer[1:])
    return op.types.of(pointer) if layer is None else layer.types.of(own)


def _bias(machine: Machine, conv: Conv, tiles: tuple[int, Panels], bias: np.ndarray) -> np.ndarray:
    """The packed bias of a dense layer."""
    rows, panels = tiles
    bias_repeats = _rule.bias_repeats_for(machine, rows, conv.pixels)
    return _rule.pack_bias(bias, panels, machine.lanes, bias_repeats, conv.types.b)


SCHEDULE = Schedule(
    "inverted_residual_cpu",
    claims,
    Params.from_machine,
    schedule,
    CASES,
    variants=variants,
    worthwhile=worthwhile,
)
