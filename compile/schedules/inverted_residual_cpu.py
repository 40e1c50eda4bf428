"""Expand, depthwise and project on a CPU, row by row, so that the expanded tensor never leaves the cache.

Pattern: the three convolutions of an inverted residual, or the stem and MobileNetV2's first block, where the expanded
tensor is too large for the second-level cache and a few of its rows are not.

1. A work item is a run of output rows. `scratch` holds a ring of as many expanded rows as the depthwise kernel is
   high, and one depthwise row.
2. Going down the rows, each step expands the `stride` rows that are new; the first row a thread is given fills the
   window. Only the rows at the seam between two threads are computed twice.
3. The depthwise row is computed from the ring, the projection from the depthwise row, with the tiles of the plain
   schedules.
4. The shift is where it was: the expand layer reads the last frame's channels, the projection writes the next frame's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from tvm import tirx

from tsm_edge.compile import tiling, tir
from tsm_edge.compile.ops import Conv, InvertedResidual, Op
from tsm_edge.compile.tile import Epilogue, Layout
from tsm_edge.compile.tiling import Machine, Panels
from tsm_edge.compile.tir import Buffer, Expr

from . import _conv_row, _rule, _windows, conv_cpu, depthwise_cpu
from ._rule import Kernel, Operands
from .pointwise_cpu import emit_span

FAMILY = "cpu"


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
    """Whether fusing saves traffic: what lies between the layers leaves the cache; the ring and the weights do not.

    Weights are read once a row here and once a layer otherwise. On a Zen 3 core the fused blocks of MobileNetV2
    take 0.94 to 0.98 of the plain layers' time at 112 to 28 pixels, 0.99 to 1.01 at 14, and 1.42 at 7, where 1.2 MB
    of weights pass by seven times (`tests/helpers/kernel_lab.py` shapes, timed by hand).
    """
    middle = op.depthwise
    between = middle.height * middle.width * middle.channels * 4
    weights = sum(conv.taps * conv.out_channels for conv in op.convs if not conv.depthwise) * 4
    return (
        between > machine.l2_bytes
        and weights <= machine.l2_bytes // 2
        and scratch_floats(op) * 32 <= machine.l2_bytes * 5
    )


def scratch_pixels(op: InvertedResidual) -> int:
    """Ring and depthwise row. An odd number: in blocks of channels it is the stride from block to block, and a power of
    two would put all of them into one set of the cache."""
    ring = op.depthwise.kernel[0] * op.depthwise.width if op.expand else 0
    return (ring + op.depthwise.out_width) | 1


def scratch_floats(op: InvertedResidual) -> int:
    """What a thread needs between the layers."""
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
    depthwise: depthwise_cpu.Params
    project: tuple[int, Panels]

    @classmethod
    def from_machine(cls, machine: Machine, op: InvertedResidual) -> Params:
        # Two items a core balance the load; more would expand the rows at their seams twice (28 % more for 7 of 56).
        rows = -(-op.project.height // (2 * machine.cores))
        return cls(
            rows,
            expand_tiles(machine, op.expand)[0] if op.expand else None,
            depthwise_cpu.Params.from_machine(machine, inner_depthwise(op, machine), most_rows=1),
            tiles(machine, op.project)[0],
        )


def tiles(machine: Machine, conv: Conv) -> list[tuple[int, Panels]]:
    """Register tiles of a dense layer, the modelled best first."""
    ranked = tiling.ranked_tiles(machine, conv_cpu.runs(conv), conv.out_channels, conv.taps)
    return [(rows, panels) for _, rows, panels in ranked[: tiling.TRIED]]


def expand_tiles(machine: Machine, conv: Conv) -> list[tuple[int, Panels]]:
    """Register tiles of the layer that fills the ring; of a short reduction first the best one a vector wide.

    Where a multiply-add broadcasts, such a tile has no other instruction for a number of x. The processor then looks
    far enough ahead to begin a tile while the last one is finished, which is much of a short one. 16 channels in, on a
    Zen 4 core: 28x16 takes 1.00 of the time of the bare multiply-adds and 14x32 1.07, the whole block 0.965 to 0.99 of
    its time. With 24 it won 3 % alone and lost 1 % in a frame, as outside of blocks: each pixel's line comes by itself.
    """
    found = tiles(machine, conv)
    if not machine.broadcasts or conv.taps > machine.lanes or conv.out_channels % machine.lanes:
        return found
    ranked = tiling.ranked_tiles(machine, conv_cpu.runs(conv), conv.out_channels, conv.taps)
    narrow = [(rows, panels) for _, rows, panels in ranked if panels.width == machine.lanes]
    return narrow[:1] + found


def variants(machine: Machine, op: InvertedResidual) -> list[Params]:
    """The best parameters with one of them changed: a tile of a layer, or fewer items."""
    best = Params.from_machine(machine, op)
    inner = [p for p in depthwise_cpu.variants(machine, inner_depthwise(op, machine)) if p.rows == 1]
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
        "scratch": scratch_floats(op),
    }
    pointers = {name: size for name, size in sizes.items() if size}

    def body(*arguments: Buffer) -> None:
        *tensors, begin, end = arguments
        layout = Layout.by_pixel(op.depthwise.channels)
        if inner_depthwise(op, machine).blocked_out:
            layout = Layout.by_block(scratch_pixels(op), machine.lanes)
        block = _Block(op, params, machine, dict(zip(pointers, tensors, strict=True)), layout)
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
    )


def _constants(
    op: InvertedResidual, params: Params, machine: Machine, weights: tuple[np.ndarray, ...]
) -> dict[str, np.ndarray]:
    """Packed weights and biases: we, be, wd, bd, wp, bp."""
    *expand, depth, depth_bias, last, last_bias = weights
    constants: dict[str, np.ndarray] = {}
    if op.expand is not None and params.expand is not None:
        constants |= {
            "we": _rule.pack_panels(_windows.matrix(op.expand, expand[0]), params.expand[1]),
            "be": _bias(machine, op.expand, params.expand, expand[1]),
        }
    blocked = inner_depthwise(op, machine).blocked_in
    constants |= {
        "wd": depthwise_cpu.pack(depth, machine, blocked),
        "bd": depthwise_cpu.pack_bias(inner_depthwise(op, machine), params.depthwise, machine, depth_bias),
    }
    constants |= {
        "wp": _rule.pack_panels(_rule.matrix(last), params.project[1]),
        "bp": _bias(machine, op.project, params.project, last_bias),
    }
    return {name: array.astype(np.float32) for name, array in constants.items()}


def _bias(machine: Machine, conv: Conv, tiles: tuple[int, Panels], bias: np.ndarray) -> np.ndarray:
    """The bias of a dense layer as its tiles want it."""
    rows, panels = tiles
    return _rule.pack_bias(bias, panels, machine.lanes, _rule.bias_copies(machine, rows, conv.pixels))


@dataclass(frozen=True)
class _Block:
    """The statements of one output row; `scratch` is an image of expanded rows, then the depthwise row."""

    op: InvertedResidual
    params: Params
    machine: Machine
    buffers: dict[str, Buffer]
    layout: Layout  # of scratch

    @property
    def middle(self) -> Conv:
        """The depthwise layer as it is computed here."""
        return inner_depthwise(self.op, self.machine)

    @property
    def ring(self) -> int:
        """Expanded rows kept."""
        return self.op.depthwise.kernel[0]

    @property
    def depthwise_pixel(self) -> int:
        """Where the depthwise row starts in scratch, in pixels."""
        return self.ring * self.op.depthwise.width if self.op.expand else 0

    def expand_rows(self, y: Expr, first: Expr) -> None:
        """Expand the input rows that this output row needs and the ring does not hold yet."""
        middle, expand = self.op.depthwise, self.op.expand
        assert expand is not None and self.params.expand is not None
        top = tir.bind(y * middle.stride[0] - middle.pad[0])
        new = tirx.Select(first, top, top + max(0, middle.kernel[0] - middle.stride[0]))
        rows, panels = self.params.expand
        epilogue = Epilogue(
            self.buffers["scratch"],
            self.layout,
            low=expand.low,
            high=expand.high,
            clamp=self.machine.clamp,
        )
        operands = Operands(
            self.buffers["x"],
            _rule.layout_in(expand, self.machine),
            self.buffers.get("state"),
            self.buffers["we"],
            self.buffers["be"],
            _rule.bias_copies(self.machine, rows, expand.pixels),
            epilogue,
        )
        with tir.loop(
            tir.bind(tirx.max(0, new)), tir.bind(tirx.min(middle.height, top + middle.kernel[0]))
        ) as row:
            slot = tir.bind(tirx.floormod(row, self.ring) * middle.width)
            if expand.pointwise:
                pixel = tir.bind(row * middle.width)
                emit_span(expand, self.machine, operands, rows, panels, middle.width, (pixel, pixel, slot))
            else:
                _conv_row.emit_row(expand, self.machine, operands, self.params.expand, row, slot)

    def depthwise_row(self, y: Expr) -> None:
        """One depthwise row from the ring (or from x) to scratch."""
        middle = self.middle
        if self.op.expand is None:
            layout = _rule.layout_in(middle, self.machine)
            source = depthwise_cpu.Rows(self.buffers["x"], layout, lambda row: row * middle.width)
        else:
            source = depthwise_cpu.Rows(
                self.buffers["scratch"],
                self.layout,
                lambda row: tir.bind(tirx.floormod(row, self.ring) * middle.width),
            )
        epilogue = Epilogue(
            self.buffers["scratch"],
            self.layout,
            low=middle.low,
            high=middle.high,
            clamp=self.machine.clamp,
        )
        weights = {"w": self.buffers["wd"], "b": self.buffers["bd"]}
        # known, it would put the row's vectors beyond the reach of paired stores
        first = tir.unknown(self.depthwise_pixel) if self.machine.by_lane else self.depthwise_pixel

        def emit(inner: bool) -> None:
            depthwise_cpu.emit_row(
                middle,
                self.params.depthwise,
                self.machine,
                source,
                weights,
                epilogue,
                (y, first),
                inner,
            )

        top, bottom = depthwise_cpu.inner_rows(middle)
        if bottom - top < 2:
            emit(False)
        else:
            tir.branch(tirx.And(y >= top, y < bottom), lambda: emit(True), lambda: emit(False))

    def project_row(self, y: Expr) -> None:
        """One output row from the depthwise row."""
        project = self.op.project
        rows, panels = self.params.project
        operands = Operands(
            self.buffers["scratch"],
            self.layout,
            None,
            self.buffers["wp"],
            self.buffers["bp"],
            _rule.bias_copies(self.machine, rows, project.pixels),
            _rule.epilogue(project, self.machine, self.buffers),
        )
        pixel = tir.bind(y * project.width)
        emit_span(
            project, self.machine, operands, rows, panels, project.width, (self.depthwise_pixel, 0, pixel)
        )
