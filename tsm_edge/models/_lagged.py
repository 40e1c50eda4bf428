"""The lagged stream of a bi-directional network: frame by frame, each shift one frame behind the one before it.

A shift from the future needs the next frame, which has not come yet. So the block behind it works on the frame before:
what it reads is kept whole for one step, and the channels of the past for one more. Every layer runs once a frame, as
online; after n such shifts the answer is that for the frame n steps ago. Away from the ends of a clip, which a stream
does not have, it equals the clip form: a frame with n frames before it and n after it has the same scores in both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ..errors import ModelError
from ._shift import TemporalShift
from .description import Block, Layer, walk

if TYPE_CHECKING:
    import torch

#: (block, what it adds to, what its first convolution reads) -> what it computes
RunBlock = Callable[[Block, "torch.Tensor", "torch.Tensor"], "torch.Tensor"]


def check_streams(kind: TemporalShift) -> None:
    """ModelError for a shift that no stream can do: it needs the other end of a clip."""
    if kind.padding != "zero":
        raise ModelError(
            "A stream has no ends, so its shift cannot take anything from there.",
            found=f"padding {kind.padding}",
            allowed="padding zero",
        )


def delay(layers: tuple[Layer, ...], kind: TemporalShift) -> int:
    """Frames by which an answer is behind the newest frame."""
    return sum(1 for _, future, _ in _shifts(layers, 1, kind) if future)


def lagged_states(layers: tuple[Layer, ...], side: int, kind: TemporalShift) -> tuple[tuple[int, int, int, int], ...]:
    """The NCHW shape of every state: of each shift the whole input, where it waits, and the channels of the past."""
    found = []
    for (block, at), future, past in _shifts(layers, side, kind):
        if future:
            found.append((1, block.inputs, at, at))
        if past:
            found.append((1, past, at, at))
    return tuple(found)


def _shifts(
    layers: tuple[Layer, ...], side: int, kind: TemporalShift
) -> Iterator[tuple[tuple[Block, int], int, int]]:
    for layer, at in walk(layers, side):
        if isinstance(layer, Block) and layer.shifted:
            yield (layer, at), *kind.folds(layer.inputs)


class Delayed:
    """The shifts of one step: takes the states that are waiting, collects those for the next step."""

    def __init__(self, kind: TemporalShift, states: tuple[torch.Tensor, ...]) -> None:
        self._kind = kind
        self._waiting = list(states)
        self.after: list[torch.Tensor] = []

    def __call__(self, block: Block, x: torch.Tensor, run: RunBlock) -> torch.Tensor:
        """What a shifted block computes when its input is ``x``; of the frame before where it waits for the future."""
        import torch

        future, past = self._kind.folds(block.inputs)
        if not future + past:
            return run(block, x, x)
        here = self._take(x) if future else x
        parts = [x[:, :future]] if future else []
        if past:
            parts.append(self._take(here[:, future : future + past]))
        shifted = torch.cat([*parts, here[:, future + past :]], dim=1)
        return run(block, shifted if self._kind.place == "inplace" else here, shifted)

    def _take(self, following: torch.Tensor) -> torch.Tensor:
        self.after.append(following)
        return self._waiting.pop(0)
