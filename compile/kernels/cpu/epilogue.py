"""The epilogue of a CPU kernel on one vector: residual, clamp, store, and the copy into the next state.

A vector is up to `lanes` channels of one pixel. Shared by dense and depthwise convolutions and by maximum pooling.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...ir.dtype import FLOAT32, DType
from . import builder as tir
from .builder import Buffer, Expr
from .layout import Layout


@dataclass(frozen=True)
class Epilogue:
    """Operands of the epilogue: clip(accumulator [+ residual], low, high) -> out, first `fold` channels -> state."""

    out: Buffer
    layout: Layout  # of `out` and `residual`
    residual: Buffer | None = None
    low: float | None = None
    high: float | None = None
    state: Buffer | None = None
    fold: int = 0  # channels of a pixel in `state`
    clamp: tuple[str, str] | None = None  # see tir.clip
    dtype: DType = FLOAT32  # of the accumulators


def write(epilogue: Epilogue, value: Expr, at: Expr, lanes: int) -> Expr:
    """Store `lanes` channels of one pixel at element `at` of the output; returns the stored vector."""
    if epilogue.residual is not None:
        value = value + tir.load(epilogue.residual, at, lanes)
    value = tir.bind(tir.clip(value, epilogue.low, epilogue.high, lanes, epilogue.clamp, epilogue.dtype))
    tir.store(epilogue.out, at, value, lanes)
    return value


def keep(epilogue: Epilogue, value: Expr, at: Expr, pixel: Expr, channel: Expr, lanes: int) -> None:
    """Store the part of a written vector (element `at`, `channel`... of `pixel`) that belongs to the next state."""
    if epilogue.state is None:
        return
    fold, state = epilogue.fold, epilogue.state
    if isinstance(channel, int) and channel >= fold:
        return

    def whole() -> None:
        tir.store(state, pixel * fold + channel, value, lanes)

    def part(count: int) -> Callable[[], None]:
        # The fold ends inside this vector: copy its head from the output just written.
        def emit() -> None:
            for offset, piece in tir.vectors(count, lanes):
                tir.store(
                    state, pixel * fold + channel + offset, tir.load(epilogue.out, at + offset, piece), piece
                )

        return emit

    rest = fold % lanes
    inside = channel + lanes <= fold
    tir.branch(inside, whole, (lambda: tir.branch(channel < fold, part(rest))) if rest else None)
