"""What a convolution on a GPU reads and writes in device memory; on both sides the shift's state is part of it."""

from __future__ import annotations

from dataclasses import dataclass

from . import gpu_tir as gpu
from .gpu_tir import Buffer, Expr, Memory


@dataclass(frozen=True)
class Source:
    """Where the activations are: x, and for its first `fold` channels the state of the last frame."""

    x: Memory
    channels: int
    state: Memory | None = None
    fold: int = 0

    @property
    def lanes(self) -> int:
        """Widest vector along the channels."""
        return gpu.width_of(self.channels)

    def load(self, registers: Buffer, at: int, pixel: Expr, channel: Expr, lanes: int) -> None:
        """registers[at : at + lanes] = channels from `channel` of `pixel`; channel is a multiple of lanes."""
        state, fold = self.state, self.fold
        whole = lambda: self.x.load(registers, at, pixel * self.channels + channel, lanes)  # noqa: E731
        if state is None:
            whole()
        elif fold % lanes == 0:
            past = lambda: state.load(registers, at, pixel * fold + channel, lanes)  # noqa: E731
            gpu.branch(channel < fold, past, whole)
        else:
            whole()
            for lane in range(lanes):
                gpu.branch(
                    channel + lane < fold,
                    lambda lane=lane: state.load(registers, at + lane, pixel * fold + channel + lane, 1),  # type: ignore[misc]
                )


@dataclass(frozen=True)
class Epilogue:
    """What happens to finished sums: + bias, + residual, clamp, store, and the copy into the next state."""

    out: Memory
    bias: Memory
    channels: int  # row pitch of `out` and `residual`
    residual: Memory | None = None
    low: float | None = None
    high: float | None = None
    state: Memory | None = None
    fold: int = 0  # first `fold` channels of each pixel are the next state; its row pitch too

    @property
    def lanes(self) -> int:
        """Widest vector that starts at every multiple of itself in a row."""
        return gpu.width_of(self.channels)

    def write(self, sums: Buffer, at: int, pixel: Expr, channel: Expr, lanes: int) -> None:
        """Finish sums[at : at + lanes], channels from `channel` of `pixel`."""
        place = gpu.bind(pixel * self.channels + channel)
        extra = gpu.registers(lanes)
        self.bias.load(extra, 0, channel, lanes)
        add(sums, at, extra, lanes)
        if self.residual is not None:
            self.residual.load(extra, 0, place, lanes)
            add(sums, at, extra, lanes)
        gpu.clamp(sums, at, lanes, self.low, self.high)
        self.out.store(place, sums, at, lanes)
        if self.state is not None:
            write_state(self.state, self.fold, sums, at, pixel, channel, lanes)


def write_state(
    state: Memory, fold: int, sums: Buffer, at: int, pixel: Expr, channel: Expr, lanes: int
) -> None:
    """Store the channels below `fold` once more, as the next state."""
    base = pixel * fold + channel
    if fold % lanes == 0:
        gpu.branch(channel < fold, lambda: state.store(base, sums, at, lanes))
        return
    for lane in range(lanes):
        gpu.branch(
            channel + lane < fold,
            lambda lane=lane: state.store(base + lane, sums, at + lane, 1),  # type: ignore[misc]
        )


def add(sums: Buffer, at: int, values: Buffer, lanes: int) -> None:
    """sums[at : at + lanes] += values[: lanes]."""
    for lane in range(lanes):
        gpu.assign(sums, at + lane, sums[at + lane] + values[lane])
