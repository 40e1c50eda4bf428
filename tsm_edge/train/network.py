"""What is trained: a network of the zoo in its clip form, with any kind of shift, or one of the family."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import UsageError
from ..models import OFFLINE, Model, TemporalShift, make_net, run_clip
from ..models.clips import ClipModel, records, scoring
from ..models.description import FramePool, head
from .sources import Sources

if TYPE_CHECKING:
    import torch

#: a network of the zoo has an answer for every frame, one of the family one for the clip
Trainable = Model | ClipModel


def untrained(model: Trainable) -> torch.nn.Module:
    """The network in eval mode with torch's own initial values."""
    return model.net() if isinstance(model, ClipModel) else make_net(model.layers)


def clip_logits(
    net: torch.nn.Module, model: Trainable, clip: torch.Tensor, kind: TemporalShift
) -> torch.Tensor:
    """[N, T, 3, H, W] -> logits [N, answers, classes]; the online shift runs the zoo's own clip form.

    Answers are one a frame, of half as many where a network pools frames, and a single one of a network of the family.
    One of regions looks at the boxes of its fixed grid.
    """
    if isinstance(model, ClipModel):
        answer: torch.Tensor = net(clip)
        return answer[:, None]
    pools = any(isinstance(layer, FramePool) for layer in model.layers)
    return net(clip) if kind.online and not pools else run_clip(net, model.layers, clip, kind)


def heads(model: Trainable) -> tuple[str, ...]:
    """The keys of the linear layers whose results are the scores, or are added up to them."""
    return scoring(model.network) if isinstance(model, ClipModel) else (head(model.layers).name,)


def clip_macs(model: Trainable, frames: int) -> int:
    """Multiply-accumulates of a clip of so many frames."""
    return model.macs if isinstance(model, ClipModel) else model.macs * frames


def shift_in(model: ClipModel) -> TemporalShift:
    """The shift that a network of the family has: from both sides, or none."""
    shifted = any(isinstance(node.op, records.Shift) for node in model.network.nodes)
    return OFFLINE if shifted else TemporalShift("none")


def channels_last(net: torch.nn.Module) -> None:
    """Lay the weights of 2-D convolutions out as the frames of clips are; torch has no such order for 3-D ones."""
    import torch

    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.to(memory_format=torch.channels_last)


def check_whole_clips(model: Trainable, sources: Sources) -> None:
    """UsageError where a network without an answer for every frame would learn takes, whose frames have labels."""
    if not sources.takes:
        return
    found, allowed = "takes, whose frames have labels of their own", "clips of one class each"
    if isinstance(model, ClipModel):
        raise UsageError(
            f"{model.name} has one answer for a whole clip.",
            found=found,
            allowed=allowed,
            hint="give clips, such as `tsm-edge synth --split train` renders, or train a network of the zoo",
        )
    if model.pools:
        raise UsageError(
            "A network that pools frames answers about clips.",
            found=found,
            allowed=allowed,
            hint="leave out --temporal-pool",
        )
