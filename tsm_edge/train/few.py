"""Few clips of new classes on trained weights: which layers stay as they are, and the head that the others begin with.

A hundred clips of one person in one room cannot teach what a hand looks like elsewhere, but they can unteach it. So the
first layers keep their weights, every batch norm keeps its statistics, and the head is fitted to the features of the
network as it is, before anything moves: Kumar et al., "Fine-Tuning can Distort Pretrained Features and Underperform
Out-of-Distribution", 2022.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..models import Model
from ..models.description import Block, Conv, Layer, head
from .loss import consensus
from .network import clip_logits
from .settings import Settings

if TYPE_CHECKING:
    import torch

#: clips up to which they are few
FEW = 1000
#: views of every clip that the head is fitted to, each varied as in the training
VIEWS = 4
_STAYS = 2 / 3  # of the layers before the head
_RIDGE = 0.1  # of the squared distance from where the head was, its features having variance 1
_STEPS = 100
_LEAST = 1e-3  # of the mean deviation, added to each: a feature that never changes is divided by it


def usual(model: Model) -> int:
    """How many layers stay where clips are few."""
    return round(_STAYS * (len(model.layers) - 1))


def freeze(net: torch.nn.Module, layers: Iterable[Layer]) -> None:
    """Let the weights of these layers, with their norms, stay as they are."""
    for layer in layers:
        for conv in _convolutions(layer):
            for name in conv.weight, conv.norm:
                net.get_submodule(name).requires_grad_(False)


def keep_statistics(net: torch.nn.Module) -> None:
    """Let every batch norm of a network in training mode use the statistics that it has, and leave them."""
    import torch

    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()


def fit_head(
    net: torch.nn.Module, model: Model, batches: Iterable[tuple[torch.Tensor, ...]], settings: Settings
) -> None:
    """Fit the head to the answers about clips, the rest of the network as it is, in place.

    batches: clips [N, T, 3, H, W] and labels [N]. Multinomial logistic regression by L-BFGS on the clips' mean
    features, weighted as their scores are, and scaled to variance 1; ridge towards the head as it was.
    """
    import torch

    last, seen = net.get_submodule(head(model.layers).name), []
    hook = last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    features, labels = [], []
    net.eval()
    with torch.no_grad():
        for clips, wanted in batches:
            seen.clear()
            clip_logits(net, model, clips, settings.variant)
            features.append(consensus(seen[0].unflatten(0, (len(clips), -1))))
            labels.append(wanted)
    hook.remove()
    weight, bias = _regression(torch.cat(features), torch.cat(labels), last, settings.smoothing)
    with torch.no_grad():
        last.weight.copy_(weight)
        last.bias.copy_(bias)


def _regression(
    features: torch.Tensor, labels: torch.Tensor, begin: torch.nn.Module, smoothing: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of the head for features [N, F] and labels [N]; ``begin``: the head as it is."""
    import torch

    mean, scale = features.mean(0), features.std(0)
    scale = scale + _LEAST * scale.mean()
    inputs = (features - mean) / scale
    first = (begin.weight * scale).detach()
    weight = first.clone().requires_grad_()
    bias = (begin.bias + begin.weight @ mean).detach().requires_grad_()
    steps = torch.optim.LBFGS([weight, bias], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def error() -> float:
        steps.zero_grad()
        wrong = torch.nn.functional.cross_entropy(inputs @ weight.T + bias, labels, label_smoothing=smoothing)
        loss = wrong + _RIDGE * ((weight - first) ** 2).sum()
        loss.backward()
        return float(loss.detach())

    steps.step(error)
    moved = weight.detach() / scale
    return moved, bias.detach() - moved @ mean


def _convolutions(layer: Layer) -> tuple[Conv, ...]:
    if isinstance(layer, Conv):
        return (layer,)
    return layer.convs if isinstance(layer, Block) else ()
