"""The kernel that a CPU schedule returns, and the packing and loops that the dense convolutions share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import gcd

import numpy as np
from tvm import tirx

from ...ir.dtype import FLOAT32, DType, Pointer
from ...ir.ops import Conv, Op
from ...ir.plan import Cycles
from ...kernels.cpu import builder as tir
from ...kernels.cpu import tiling
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.epilogue import Epilogue
from ...kernels.cpu.layout import Layout
from ...kernels.cpu.register_tile import Tile


@dataclass(frozen=True)
class Kernel:
    """One scheduled operator; `schedules/rule.py` says what its members are.

    Pointers are named by role: x (activation), state (last frame's channels), w (packed weights), b (bias), r
    (residual), y (output), next (next frame's channels), scratch (per thread).
    """

    op: Op
    rule: str
    pointers: dict[str, Pointer]
    items: int
    body: Callable[..., None]
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    note: str = ""
    index: str = "int64"  # integer type of a pointer; `on` sets it and dtype from the machine
    dtype: DType = FLOAT32
    work: Cycles | None = None

    @property
    def launch(self) -> None:
        """None: threads divide the items."""
        return None

    def on(self, machine: tiling.Machine) -> Kernel:
        """The kernel with the machine's pointer type and type of arithmetic."""
        return replace(self, index=machine.index, dtype=machine.dtype)

    def build(self) -> tirx.PrimFunc:
        """Emit the TIR."""
        return tir.build_kernel(self.pointers, self.body, self.index, self.dtype)


def tile_of(machine: tiling.Machine, rows: int, width: int) -> Tile:
    """The register tile rows x width of a machine."""
    lanes = tiling.piece_lanes(machine, rows, width)
    longest = tiling.LONGEST_SUM.get(machine.dtype, 0)
    return Tile(rows, width, lanes, machine.fma_by_element, machine.fused, machine.registers, machine.dtype, longest)


def layout_in(op: Conv, machine: tiling.Machine) -> Layout:
    """Layout of x."""
    pixels = op.height * op.width
    return Layout.by_block(pixels, machine.lanes) if op.blocked_in else Layout.by_pixel(op.channels)


def layout_out(op: Conv, machine: tiling.Machine) -> Layout:
    """Layout of the output."""
    return Layout.by_block(op.pixels, machine.lanes) if op.blocked_out else Layout.by_pixel(op.out_channels)


def epilogue(op: Conv, machine: tiling.Machine, buffers: dict[str, Buffer]) -> Epilogue:
    """The epilogue of a convolution over its argument buffers."""
    return Epilogue(
        buffers["y"],
        layout_out(op, machine),
        buffers.get("r"),
        op.low,
        op.high,
        buffers.get("next"),
        op.fold_out,
        machine.clamp,
        machine.dtype,
    )


def matrix(weight: np.ndarray) -> np.ndarray:
    """[CO, CI, KH, KW] as [KH * KW * CI, CO], the order of an NHWC window in memory."""
    return np.asarray(weight.transpose(2, 3, 1, 0).reshape(-1, weight.shape[0]))


def pack_panels(weight: np.ndarray, panels: tiling.Panels, dtype: DType) -> np.ndarray:
    """Pack [k, channels] weights as consecutive `[k][width]` panels; a flat array of `dtype`."""
    parts, start = [], 0
    for width in panels.widths:
        parts.append(weight[:, start : start + width].ravel())
        start += width
    return np.ascontiguousarray(np.concatenate(parts), dtype=dtype.numpy)


ALIAS, WAYS = 4096, 8  # bytes per way of an x86 L1 data cache, and its number of ways at least


def avoid_set_aliasing(
    machine: tiling.Machine, ranked: list[tuple[float, int, tiling.Panels]], pitch: int
) -> list[tuple[float, int, tiling.Panels]]:
    """The ranked register tiles whose rows, `pitch` bytes apart, do not evict each other from the L1 cache; else all.

    Where k is read element by element and rows are a multiple of ALIAS apart, all of them share one set of the L1
    cache, and more rows than it has ways evict each other (docs/decisions/007-register-tiles.md).
    """
    if machine.fma_by_element:
        return ranked
    sets = ALIAS // gcd(ALIAS, pitch)
    return [tile for tile in ranked if tile[1] <= WAYS * sets] or ranked


TILES_TO_REPEAT_BIAS = 32  # tiles that load a bias, from which repeating it per row pays


def bias_repeats_for(machine: tiling.Machine, rows: int, pixels: int) -> int:
    """How often the packed bias repeats each vector, for register tiles of at most `rows` rows: `rows` times or once.

    Repeated where many tiles load it; elsewhere the repeats are read from memory for a tile or two and the weights grow
    (docs/decisions/011-neon.md).
    """
    return rows if machine.fma_by_element and pixels >= TILES_TO_REPEAT_BIAS * rows else 1


def pack_bias(bias: np.ndarray, panels: tiling.Panels, lanes: int, bias_repeats: int, dtype: DType) -> np.ndarray:
    """Every vector of every panel `bias_repeats` times; a flat array of `dtype`."""
    if bias_repeats == 1:
        return bias.astype(dtype.numpy)
    parts, start = [], 0
    for width in panels.widths:
        for offset, piece in tir.vectors(width, lanes):
            parts.append(np.tile(bias[start + offset : start + offset + piece], bias_repeats))
        start += width
    return np.ascontiguousarray(np.concatenate(parts), dtype=dtype.numpy)


def for_items(
    order: tiling.Order, begin: Expr, end: Expr, emit: Callable[[Expr, Expr], None], nested: bool
) -> None:
    """Loop over work items and call `emit(tile, panel)`: for block of tiles, for panel, for tile in the block.

    nested: two nested loops where the walk has two levels, in place of a division per item.
    """
    block, panels = order.block, order.panels
    whole = order.tiles // block * block
    if nested and panels > 1 and block in (1, order.tiles):
        inner = panels if block == 1 else order.tiles
        with tir.loop(tir.bind(begin // inner), tir.bind((end + (inner - 1)) // inner)) as outer:
            first = tir.bind(outer * inner)
            bounds = tirx.max(begin - first, 0), tirx.min(end - first, inner)
            with tir.loop(*map(tir.bind, bounds)) as index:
                emit(*((outer, index) if block == 1 else (index, outer)))
        return
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


def each_height(tiles: Sequence[tuple[int, int]], tile: Expr, emit: Callable[[Expr, int], None]) -> None:
    """Call `emit(first pixel, height)` for tile number `tile` of (count, height) runs, one case per height."""
    runs, start = [], 0
    for count, height in tiles:

        def run(at: Expr, height: int = height, start: int = start) -> None:
            emit(tir.bind(at * height + start), height)

        runs.append((count, run))
        start += count * height
    tir.switch_runs(tile, runs)


@dataclass(frozen=True)
class Operands:
    """The buffers of a dense convolution, which may be part of a kernel."""

    x: Buffer
    layout: Layout  # of x
    state: Buffer | None
    weights: Buffer
    bias: Buffer
    bias_repeats: int  # of each vector of the packed bias
    epilogue: Epilogue

    @classmethod
    def of(cls, op: Conv, machine: tiling.Machine, buffers: dict[str, Buffer], rows: int) -> Operands:
        """Those of a kernel that is one convolution, with register tiles of at most `rows` rows."""
        return cls(
            buffers["x"],
            layout_in(op, machine),
            buffers.get("state"),
            buffers["w"],
            buffers["b"],
            bias_repeats_for(machine, rows, op.pixels),
            epilogue(op, machine, buffers),
        )


@dataclass(frozen=True)
class Panel:
    """`width` output channels from `channel`; `offset`: the panel's first element in the packed weights."""

    width: int
    channel: Expr
    offset: Expr

    def kept(self, channels: int) -> int:
        """Its channels that exist in the layer; only the last panel, at a constant channel, may be padded."""
        return min(self.width, channels - self.channel) if isinstance(self.channel, int) else self.width


def for_panel(panels: tiling.Panels, length: int, panel: Expr, emit: Callable[[Panel], None]) -> None:
    """Call `emit` for panel number `panel`, one case per distinct width."""

    def full(at: Expr) -> None:
        emit(Panel(panels.width, at * panels.width, at * (panels.width * length)))

    rest = [(1, lambda at, last=last: emit(last)) for last in last_panels(panels, length)]
    tir.switch_runs(panel, [(panels.full, full), *rest])


def each_panel(panels: tiling.Panels, length: int, emit: Callable[[Panel], None]) -> None:
    """Loop over all panels."""
    if panels.full:
        with tir.loop(0, panels.full) as index:
            emit(Panel(panels.width, index * panels.width, index * (panels.width * length)))
    for last in last_panels(panels, length):
        emit(last)


def last_panels(panels: tiling.Panels, length: int) -> list[Panel]:
    """The panels after the full ones."""
    found, start = [], panels.full * panels.width
    for width in panels.rest:
        found.append(Panel(width, start, start * length))
        start += width
    return found
