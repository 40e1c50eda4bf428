"""The statements of one output row of a fused inverted residual on a CPU; `__init__.py` has their order."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from ....ir.ops import Conv, InvertedResidual
from ....kernels.cpu import builder as tir
from ....kernels.cpu.builder import Buffer, Expr
from ....kernels.cpu.epilogue import Epilogue
from ....kernels.cpu.layout import Layout
from ....kernels.cpu.tiling import Machine
from .. import _conv_row, _rule
from .._rule import Operands
from ..depthwise import row as depthwise_row
from ..pointwise import emit_span
from .params import Params, inner_depthwise


@dataclass(frozen=True)
class Block:
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

    def into_scratch(self, conv: Conv) -> Epilogue:
        """The epilogue of a layer whose output is in scratch."""
        scratch, machine = self.buffers["scratch"], self.machine
        return Epilogue(
            scratch, self.layout, low=conv.low, high=conv.high, clamp=machine.clamp, dtype=machine.dtype
        )

    def expand_rows(self, y: Expr, first: Expr) -> None:
        """Expand the input rows that this output row needs and the ring does not hold yet."""
        middle, expand = self.op.depthwise, self.op.expand
        assert expand is not None and self.params.expand is not None
        top = tir.bind(y * middle.stride[0] - middle.pad[0])
        new = tirx.Select(first, top, top + max(0, middle.kernel[0] - middle.stride[0]))
        rows, panels = self.params.expand
        operands = Operands(
            self.buffers["x"],
            _rule.layout_in(expand, self.machine),
            self.buffers.get("state"),
            self.buffers["we"],
            self.buffers["be"],
            _rule.bias_repeats_for(self.machine, rows, expand.pixels),
            self.into_scratch(expand),
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
            source = depthwise_row.Rows(self.buffers["x"], layout, lambda row: row * middle.width)
        else:
            source = depthwise_row.Rows(
                self.buffers["scratch"],
                self.layout,
                lambda row: tir.bind(tirx.floormod(row, self.ring) * middle.width),
            )
        weights = {"w": self.buffers["wd"], "b": self.buffers["bd"]}
        # a constant would put the row's vectors out of range for paired stores
        first = tir.opaque(self.depthwise_pixel) if self.machine.fma_by_element else self.depthwise_pixel
        depthwise_row.emit_row(
            middle,
            self.params.depthwise,
            self.machine,
            source,
            weights,
            self.into_scratch(middle),
            (y, first),
        )

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
            _rule.bias_repeats_for(self.machine, rows, project.pixels),
            _rule.epilogue(project, self.machine, self.buffers),
        )
        pixel = tir.bind(y * project.width)
        emit_span(
            project, self.machine, operands, rows, panels, project.width, (self.depthwise_pixel, pixel, pixel)
        )
