"""Fake quantisation of a few epochs: a network learns to give in 8 bits the scores that it has in float32.

The target is the float network itself, frame by frame, so no label is needed: what calibration loses is the difference
between the two (Hinton et al., "Distilling the Knowledge in a Neural Network", 2015). Ranges stay those of
calibration; batch norms keep their statistics and are folded in every step, as the compiler folds them.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tsm_edge.errors import DataError
from tsm_edge.models import ONLINE, Model
from tsm_edge.models.description import convs, head
from tsm_edge.train.network import clip_logits

from ..ir.graph import Graph
from ..quantize import Ranges, quantise
from ..quantize.fake import FakeQuantised, Folded
from ..quantize.scheme import factors_for

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SQUARED = 10.0  # weight of the relative squared error of the scores beside that of the probabilities
CLIP_NORM = 5.0
LEAST_SIZE = 1e-3  # of a tensor: one of zeros moves, too


@dataclass(frozen=True)
class Likeness:
    """How near the scores in 8 bits are to those in float32: share of the frames with the same answer, and SQNR."""

    same: float
    decibels: float


class Student:
    """A network in float32, the teacher, and a copy of it, `net`, that is trained in 8 bits."""

    def __init__(self, model: Model, teacher: torch.nn.Module, graph: Graph, ranges: Ranges) -> None:
        import torch

        self.model, self.teacher = model, teacher.eval().requires_grad_(False)
        self.net = copy.deepcopy(teacher).requires_grad_(True)
        rows = factors_for(graph, ranges)
        factors = {name: torch.from_numpy(row.astype(np.float32)) for name, row in rows.items()}
        self.rounded = FakeQuantised(graph, quantise(graph, ranges), factors, folding(self.net, model))
        self.optimizer = torch.optim.Adam(groups(self.net))

    def step(self, clips: Tensor, warm: bool, rate: float) -> float:
        """One step on clips [N, T, 3, H, W]; the loss. warm: states begin as if the first frame had been seen for ever.

        rate: of a tensor's size, how far Adam moves it.
        """
        import torch

        for group in self.optimizer.param_groups:
            group["lr"] = group["share"] * rate
        loss = loss_of(self.target(clips, warm), self.rounded.scores(clips, warm))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), CLIP_NORM)
        self.optimizer.step()
        found = float(loss.detach())
        if not math.isfinite(found):
            raise DataError("The training in 8 bits diverged.", found=f"loss {found}", hint="take a smaller --lr")
        return found

    def target(self, clips: Tensor, warm: bool = False) -> Tensor:
        """The scores in float32, [N, T, classes]."""
        import torch

        with torch.no_grad():
            return clip_logits(self.teacher, self.model, clips, replace(ONLINE, padding="hold") if warm else ONLINE)

    def likeness(self, clips: Sequence[Tensor], done: Callable[[int], None] = lambda clips: None) -> Likeness:
        """On clips [T, 3, H, W], from zero states. done: called with the number of clips that were measured since."""
        import torch

        pairs: list[tuple[Tensor, Tensor]] = []
        with torch.no_grad():
            for each in clips:
                pairs.append((self.target(each[None])[0], self.rounded.scores(each[None])[0]))
                done(1)
        exact, found = (torch.cat(each) for each in zip(*pairs, strict=True))
        noise, power = float((exact - found).square().sum()), float(exact.square().sum())
        same = float((exact.argmax(1) == found.argmax(1)).double().mean())
        return Likeness(same, round(10 * math.log10(max(power, 1e-30) / max(noise, 1e-30)), 2))


def groups(net: torch.nn.Module) -> Iterable[dict[str, object]]:
    """Parameters, each with its own size as its share of the rate: a step of a weight's 8 bits is a part of it, too."""
    for each in net.parameters():
        size = float(each.detach().square().mean().sqrt())
        yield {"params": [each], "share": max(size, LEAST_SIZE)}


def loss_of(exact: Tensor, found: Tensor) -> Tensor:
    """The Kullback-Leibler divergence of the frames' probabilities, and the relative squared error of their scores."""
    likely = exact.log_softmax(2)
    divergence = (likely.exp() * (likely - found.log_softmax(2))).sum(2).mean()
    return divergence + SQUARED * (found - exact).square().mean() / exact.square().mean()


def folding(net: torch.nn.Module, model: Model) -> Folded:
    """The weight and bias of a layer of `net` by its name, its batch norm folded as `passes/fold_batchnorm.py` does."""
    import torch

    norms = {conv.weight: conv.norm for conv, _ in convs(model.layers, 1)}
    last = head(model.layers).name

    def folded(name: str) -> tuple[Tensor, Tensor]:
        module = net.get_submodule(name)
        weight: Tensor = module.weight
        if name == last:
            bias: Tensor = module.bias
            return weight, bias
        norm = net.get_submodule(norms[name])
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        return weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale

    return folded
