"""The clip form as it runs on a device: a window of frames in, one score a class out.

The scores of a clip are the mean of those of its frames. The head is linear, so the mean is taken of what it reads: the
same scores for the multiplications of one frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import ModelError
from ._shift import TemporalShift
from .description import Block, FramePool, Head, Layer

if TYPE_CHECKING:
    import torch

FRAMES = range(2, 65)


@dataclass(frozen=True)
class Window:
    """The frames of a clip, and after how many new ones the next clip is looked at.

    Raises:
        ModelError: fewer than 2 frames or more than 64, or a stride beyond them.
    """

    frames: int = 8
    stride: int = 4

    def __post_init__(self) -> None:
        for name, value, allowed in (("frames", self.frames, FRAMES), ("stride", self.stride, range(1, 65))):
            if isinstance(value, bool) or not isinstance(value, int) or value not in allowed:
                raise ModelError(
                    f"Bad {name} of a clip.", found=value, allowed=f"{allowed.start} to {allowed.stop - 1}"
                )
        if self.stride > self.frames:
            raise ModelError(
                "The stride of the window leaves frames out.",
                found=self.stride,
                allowed=f"1 to {self.frames}",
            )

    @classmethod
    def of(cls, frames: int, stride: int | None = None) -> Window:
        """A window that half overlaps the one before it, where nobody says its stride."""
        return cls(frames, max(1, frames // 2) if stride is None else stride)


def pooled(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """The layers with a maximum over three frames, every second one kept, before the second stage of a ResNet.

    What MIT's training code calls ``--temporal_pool``. ModelError for a network without such stages.
    """
    at = next(
        (i for i, layer in enumerate(layers) if isinstance(layer, Block) and layer.name == "layer2.0"), None
    )
    if at is None:
        raise ModelError(
            "Only a ResNet has the stages that temporal pooling stands between.", allowed="tsm-resnet…"
        )
    return (*layers[:at], FramePool(), *layers[at:])


def shift_window(x: torch.Tensor, kind: TemporalShift) -> torch.Tensor:
    """Shift one clip [T, C, H, W]: :func:`._shift.shift_frames` in the form that the compiler recognises."""
    import torch

    future, past = kind.folds(x.shape[1])
    if not future + past:
        return x
    parts = [_moved(x[:, :future], 1, kind.padding)] if future else []
    if past:
        parts.append(_moved(x[:, future : future + past], -1, kind.padding))
    if future + past < x.shape[1]:
        parts.append(x[:, future + past :])
    return torch.cat(parts, dim=1)


def _moved(x: torch.Tensor, by: int, padding: str) -> torch.Tensor:
    """Each frame from the next one (by 1) or from the one before (by -1)."""
    import torch

    kept = x[1:] if by > 0 else x[:-1]
    if padding == "zero":
        edge = torch.zeros_like(x[:1])
    else:
        last = (padding == "hold") == (by > 0)  # of the two ends, the one that stands in
        edge = x[-1:] if last else x[:1]
    return torch.cat([kept, edge] if by > 0 else [edge, kept])


def frame_pool(x: torch.Tensor) -> torch.Tensor:
    """[T, C, H, W] -> [(T + 1) / 2, C, H, W]: the maximum of three frames, around every second one."""
    import torch

    rows = x.reshape(1, 1, x.shape[0], -1)
    found = torch.nn.functional.max_pool2d(rows, (3, 1), (2, 1), (1, 0))
    return found.reshape(found.shape[2], *x.shape[1:])


#: (layer, x) -> what a layer computes that looks at one frame at a time
RunLayer = Callable[[Layer, "torch.Tensor"], "torch.Tensor"]
#: (block, what it adds to, what its first convolution reads) -> what it computes
RunBlock = Callable[[Block, "torch.Tensor", "torch.Tensor"], "torch.Tensor"]


def run_window(
    layers: tuple[Layer, ...], clip: torch.Tensor, kind: TemporalShift, run: RunLayer, block: RunBlock
) -> torch.Tensor:
    """[T, 3, H, W] -> what comes before the head, [T or fewer, C, H, W]."""
    x = clip
    for layer in layers:
        if isinstance(layer, FramePool):
            x = frame_pool(x)
        elif isinstance(layer, Block) and layer.shifted:
            read = shift_window(x, kind)
            x = block(layer, read if kind.place == "inplace" else x, read)
        elif not isinstance(layer, Head):
            x = run(layer, x)
    return x
