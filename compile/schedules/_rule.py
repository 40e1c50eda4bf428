"""What a schedule returns, and the loops that the dense convolutions share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from tvm import tirx

from tsm_edge.compile import tiling, tir
from tsm_edge.compile.ops import Conv, Op
from tsm_edge.compile.tile import Epilogue
from tsm_edge.compile.tir import Buffer, Expr


@dataclass(frozen=True)
class Kernel:
    """One scheduled operator.

    pointers: argument name -> float32 elements, in calling order. Names: x (activation), state (last frame's channels),
    w (packed weights), b (bias), r (residual), y (output), next (next frame's channels), scratch (per thread).
    constants: packed arrays for the `w` and `b` arguments. items: work items a thread pool may divide.
    """

    op: Op
    rule: str
    pointers: dict[str, int]
    items: int
    body: Callable[..., None]
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    note: str = ""
    index: str = "int64"  # the driver sets it from the machine

    def build(self) -> tirx.PrimFunc:
        """Emit the TIR."""
        return tir.build_kernel(self.pointers, self.body, self.index)


def conv_pointers(op: Conv, weights: int) -> dict[str, int]:
    """The arguments of a convolution kernel."""
    pixels_in = op.height * op.width
    sizes = {
        "x": pixels_in * op.channels,
        "state": pixels_in * op.fold_in,
        "w": weights,
        "b": op.out_channels,
        "r": op.pixels * op.out_channels if op.residual else 0,
        "y": op.pixels * op.out_channels,
        "next": op.pixels * op.fold_out,
    }
    return {name: size for name, size in sizes.items() if size}


def epilogue(op: Conv, machine: tiling.Machine, buffers: dict[str, Buffer]) -> Epilogue:
    """The epilogue of a convolution over its argument buffers."""
    return Epilogue(
        buffers["y"],
        op.out_channels,
        buffers.get("r"),
        op.low,
        op.high,
        buffers.get("next"),
        op.fold_out,
        machine.clamp,
    )


def pack_panels(weight: np.ndarray, panels: tiling.Panels) -> np.ndarray:
    """Pack [k, channels] weights as consecutive `[k][width]` panels; returns a flat float32 array."""
    parts, start = [], 0
    for width in panels.widths:
        parts.append(weight[:, start : start + width].ravel())
        start += width
    return np.ascontiguousarray(np.concatenate(parts), dtype=np.float32)


def for_items(order: tiling.Order, begin: Expr, end: Expr, emit: Callable[[Expr, Expr], None]) -> None:
    """Loop over work items and call `emit(tile, panel)`: for block of tiles, for panel, for tile in the block."""
    block, panels = order.block, order.panels
    whole = order.tiles // block * block
    with tir.loop(begin, end) as item:
        if panels == 1:
            emit(item, 0)
        elif whole == order.tiles:
            emit(tir.bind(item // (block * panels) * block + item % block), tir.bind(item // block % panels))
        else:
            rest = order.tiles - whole
            tail = tir.bind(item - whole * panels)
            inside = item < whole * panels
            tile = tirx.Select(inside, item // (block * panels) * block + item % block, whole + tail % rest)
            panel = tirx.Select(inside, item // block % panels, tail // rest)
            emit(tir.bind(tile), tir.bind(panel))


def for_panel(
    panels: tiling.Panels, length: int, panel: Expr, emit: Callable[[int, Expr, Expr], None]
) -> None:
    """Call `emit(width, first channel, offset of the panel in the packed weights)`, one case per distinct width."""
    cases: list[Callable[[], None]] = []
    bounds: list[int] = []
    if panels.full:
        bounds.append(0)
        cases.append(lambda: emit(panels.width, panel * panels.width, panel * (panels.width * length)))
    start = panels.full * panels.width
    for index, width in enumerate(panels.rest):
        bounds.append(panels.full + index)
        cases.append(lambda w=width, s=start: emit(w, s, s * length))  # type: ignore[misc]
        start += width
    tir.switch(panel, bounds, cases)
