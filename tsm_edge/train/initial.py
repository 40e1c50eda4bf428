"""A network before the first step: its weights, be they of a file, and the dropout that only a training has."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from ..models import OFFLINE, TemporalShift
from ..models.clips import ClipModel, load, records
from ..models.description import Block
from ..terminal import say
from ..weights import checkpoints
from ..weights.meta import read_meta
from .network import Trainable, heads

if TYPE_CHECKING:
    import torch


def initialise(net: torch.nn.Module, model: Trainable, variant: TemporalShift) -> None:
    """Kaiming for the convolutions, a small head; and a past that weighs as much as the present from the beginning.

    One input channel in eight comes from the past (in the ablations, other shares, from both sides). Scaled up so that
    both halves of the sum have the same variance (a batch norm follows), random weights already tell movement from
    rest, and there is something to learn from.
    """
    import torch

    if isinstance(model, ClipModel):
        _initialise_clips(net, model)
        return
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, mode="fan_out")
        elif isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, 0, 0.01)
            torch.nn.init.zeros_(module.bias)
    with torch.no_grad():
        for layer in model.layers:
            if isinstance(layer, Block) and layer.shifted:
                weight, moved = net.get_submodule(layer.chain[0].weight).weight, variant.moved(layer.inputs)
                if 0 < moved < layer.inputs / 2:
                    weight[:, :moved] *= math.sqrt((layer.inputs - moved) / moved)


def _initialise_clips(net: torch.nn.Module, model: ClipModel) -> None:
    """The same for a network of the family.

    A convolution without a norm behind it begins small, as in the papers of non-local blocks and of graphs: the softmax
    over products of two of them would begin at a single place otherwise. Linear layers before the head keep torch's
    values.
    """
    import torch

    nodes, small = model.network.nodes, 0.01
    for layer in model.network.layers():
        module = net.get_submodule(layer.key)
        if isinstance(layer, records.Conv):
            torch.nn.init.kaiming_normal_(module.weight, mode="fan_out")
            if layer.volume and not layer.norm:
                torch.nn.init.normal_(module.weight, 0, small)
            if module.bias is not None:
                torch.nn.init.zeros_(module.bias)
        elif layer.key in heads(model):
            torch.nn.init.normal_(module.weight, 0, small)
            torch.nn.init.zeros_(module.bias)
    with torch.no_grad():
        for node in nodes:
            source = nodes[node.inputs[0] - 1].op if node.inputs and node.inputs[0] else None
            if isinstance(node.op, records.Conv) and isinstance(source, records.Shift):
                moved = OFFLINE.moved(node.op.inputs)
                if 0 < moved < node.op.inputs / 2:
                    net.get_submodule(node.op.key).weight[:, :moved] *= math.sqrt((node.op.inputs - moved) / moved)


def clips_from(path: Path, model: ClipModel) -> dict[str, torch.Tensor]:
    """A state_dict for a network of the family from a file; with other labels, of its heads what both know."""
    meta = read_meta(path)
    if meta is None or meta.labels == model.labels:
        net, info = checkpoints.of_clips(model, path, 0)
        say(f"begins with {info.note}", err=True)
        return dict(net.state_dict())
    other = load(model.name, size=model.size, labels=meta.labels, frames=model.frames)
    trained, info = checkpoints.of_clips(other, path, 0)
    kept = [label for label in model.labels if label in meta.labels]
    used = f"of its head it gives {', '.join(kept)}" if kept else "its head is not used"
    say(f"begins with {info.note}; it has other labels: {used}", err=True)
    net = model.net()
    _initialise_clips(net, model)
    tensors, last = dict(net.state_dict()), tuple(f"{key}." for key in heads(model))
    for key, value in trained.state_dict().items():
        if not key.startswith(last):
            tensors[key] = value
            continue
        for label in kept:
            tensors[key][model.labels.index(label)] = value[meta.labels.index(label)]
    return tensors


def add_dropout(net: torch.nn.Module, model: Trainable, share: float) -> None:
    """Drop that share of the features before the head while training."""
    import torch

    def drop(module: torch.nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        return (torch.nn.functional.dropout(inputs[0], share, module.training),)

    for key in heads(model):
        net.get_submodule(key).register_forward_pre_hook(drop)
