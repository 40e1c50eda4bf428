"""Questions to a network's description: its convolutions, counts and states, without torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...errors import ModelError
from ._layers import Block, Conv, FramePool, Head, Layer


def walk(layers: Iterable[Layer], side: int) -> Iterator[tuple[Layer, int]]:
    """Yield every layer with the side of its input, for a picture of ``side``."""
    for layer in layers:
        yield layer, side
        if not isinstance(layer, Head):
            side = layer.side(side)


def convs(layers: Iterable[Layer], side: int) -> Iterator[tuple[Conv, int]]:
    """Yield every convolution, those inside blocks too, with the side of its input."""
    for layer, at in walk(layers, side):
        if isinstance(layer, Conv):
            yield layer, at
        elif isinstance(layer, Block):
            inside = at
            for conv in layer.chain:
                yield conv, inside
                inside = conv.side(inside)
            if layer.projection:
                yield layer.projection, at


def head(layers: Iterable[Layer]) -> Head:
    """Return the head, which every model has exactly once and last."""
    *body, last = layers
    if not isinstance(last, Head) or any(isinstance(layer, Head) for layer in body):
        raise ModelError("A network ends in its only head.", found=type(last).__name__, allowed="Head")
    return last


def parameters(layers: tuple[Layer, ...]) -> int:
    """Count the learnt numbers: convolutions, batch norms, head."""
    return sum(conv.parameters for conv, _ in convs(layers, 1)) + head(layers).parameters


def macs(layers: tuple[Layer, ...], side: int) -> int:
    """Count the multiply-accumulates of one frame: convolutions and head, as papers do."""
    return sum(conv.macs(at) for conv, at in convs(layers, side)) + head(layers).macs


def clip_macs(layers: tuple[Layer, ...], side: int, frames: int) -> int:
    """Count the multiply-accumulates of a clip of so many frames, whose scores are averaged before the head."""
    total = head(layers).macs
    for layer, at in walk(layers, side):
        if isinstance(layer, FramePool):
            frames = layer.frames(frames)
        elif not isinstance(layer, Head):
            total += frames * sum(conv.macs(inside) for conv, inside in convs((layer,), at))
    return total


def states(layers: tuple[Layer, ...], side: int) -> tuple[tuple[int, int, int, int], ...]:
    """Return the NCHW shape of every state, in the order in which the network meets the shifted blocks."""
    return tuple(
        (1, layer.fold, at, at)
        for layer, at in walk(layers, side)
        if isinstance(layer, Block) and layer.shifted
    )
