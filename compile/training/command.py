"""`tsm-edge train --quantize`: calibrate, train what 8 bits lose, and write weights with their ranges."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from tsm_edge import report
from tsm_edge.errors import UsageError
from tsm_edge.files import atomic
from tsm_edge.models import Model
from tsm_edge.terminal import say
from tsm_edge.train import checkpoint, clip_sets, measure
from tsm_edge.train.batches import Batches
from tsm_edge.train.command import Progress, initial
from tsm_edge.train.network import Trainable
from tsm_edge.train.request import Request
from tsm_edge.train.settings import Settings
from tsm_edge.train.sources import Sources
from tsm_edge.weights import checkpoints
from tsm_edge.weights.meta import WeightsMeta, read_meta
from tsm_edge.weights.writing import save_weights

from .. import passes
from ..frontend import networks
from ..ir.graph import Graph
from ..quantize import Ranges, calibrate
from ..quantize.fake import FakeQuantised, check
from ..quantize.float_step import Floats
from ..quantize.scheme import identity
from .distil import Likeness, Student, folding

if TYPE_CHECKING:
    import torch
    from torch import Tensor

RANGES = "ranges.json"
CALIBRATED = 16  # clips, as many as `compile --calibrate` takes
MEASURED = 220  # held-out clips at most
RISE, LAST = 0.1, 0.05  # share of the steps in which the rate rises; share of it that is left at the end


class Record(TypedDict):
    """The metrics of an epoch, 0 being calibration alone: of held-out frames in 8 bits beside float32."""

    epoch: int
    loss: float
    same_answer: float
    decibels: float
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """The best epoch's weights, the ranges of calibration, and one record of metrics an epoch, the first of epoch 0."""

    net: torch.nn.Module
    ranges: Ranges
    history: tuple[Record, ...]

    @property
    def best(self) -> Record:
        """The record of the weights."""
        return max(self.history, key=worth)


def quantised(asked: Request, model: Trainable, train: Sources, held_out: Sources) -> None:
    """Train in 8 bits, write the files and report them."""
    check_network(model, asked)
    assert isinstance(model, Model) and asked.init_file is not None
    net = model.net()
    net.load_state_dict(initial(asked.init_file, model, asked.averaged, asked.variant))
    settings = asked.settings(model, len(train))
    outcome = trained(model, net, settings, train, held_out)
    path = asked.out / checkpoint.WEIGHTS
    ranges = write(asked.out, model, outcome, note_of(settings, outcome.best, asked.init_file), half=asked.half)
    tell(asked, model, outcome, path, ranges)


def check_network(model: Trainable, asked: Request) -> None:
    """UsageError for a network that has no online form of its own, or other classes than the weights of --init."""
    meta = read_meta(asked.init_file) if asked.init_file is not None else None
    if not isinstance(model, Model) or model.pools or not asked.variant.online:
        raise UsageError(
            "Only an online network is trained in 8 bits.",
            found=model.name if not isinstance(model, Model) else "a shift that is not the online one",
            allowed="a network of the zoo with the default shift",
            hint="leave out --quantize, or the options of the shift",
        )
    if meta is not None and meta.labels != model.labels:
        raise UsageError(
            "In 8 bits a network learns the scores of its own weights, so its classes stay.",
            found=", ".join(model.labels),
            allowed=", ".join(meta.labels),
            hint="train the new classes first, without --quantize, and begin with those weights",
        )


def trained(model: Model, net: torch.nn.Module, settings: Settings, train: Sources, held_out: Sources) -> Outcome:
    """Calibrate a trained network on some clips of `train`, then distil it into its own 8 bits, epoch by epoch."""
    import torch

    torch.manual_seed(settings.seed)
    graph = fused(net, model)
    check(graph)
    ranges = calibrated(graph, model, net, seen(train, model, settings, CALIBRATED))
    say(f"ranges: {ranges.method} of {ranges.frames} frames", err=True)
    student = Student(model, net, graph, ranges)
    examined = seen(held_out, model, settings, MEASURED)
    history = [record(0, 0.0, student.likeness(examined), 0.0)]
    best, progress = copy.deepcopy(student.net), Progress(settings.epochs)
    batches = Batches(settings, model, train, torch.device("cpu"))
    for epoch in range(settings.epochs):
        begun, losses = time.monotonic(), 0.0
        for step, (clips, *_) in enumerate(batches.of_epoch(epoch)):
            place = (epoch * batches.steps + step) / (batches.steps * settings.epochs)
            warm = np.random.default_rng([settings.seed, epoch, step]).random() < settings.warm_start_share
            losses += student.step(clips, bool(warm), settings.lr * rate(place))
            progress(epoch, step + 1, batches.steps, losses / (step + 1), time.monotonic() - begun)
        likeness = student.likeness(examined)
        history.append(record(epoch + 1, losses / max(1, batches.steps), likeness, time.monotonic() - begun))
        if worth(history[-1]) > max(map(worth, history[:-1])):
            best = copy.deepcopy(student.net)
    return Outcome(best, ranges, tuple(history))


def fused(net: torch.nn.Module, model: Model) -> Graph:
    """The graph that `compile` quantises."""
    graph = networks.traced(net, model)
    passes.run(graph)
    return graph


def seen(sources: Sources, model: Model, settings: Settings, most: int) -> list[Tensor]:
    """Clips [T, 3, H, W] as the network takes them, spread evenly: of takes every frame, of others as in training."""
    share = min(1.0, most / len(sources))
    found = []
    for store in sources.stores:
        some = clip_sets.spread(store, max(1, round(share * len(store))))
        look = measure.Look() if store.takes else measure.Look(settings.frames, settings.way)
        for pixels in measure.prepared(some, model.preprocess, look):
            found.append(measure.normalised(pixels[None], model.preprocess)[0])
    return found


def calibrated(graph: Graph, model: Model, net: torch.nn.Module, clips: Sequence[Tensor]) -> Ranges:
    """The ranges that `calibrate` chooses, its runs in PyTorch: numpy takes minutes for them."""
    exact = FakeQuantised(graph, None, {}, folding(net, model))

    def run(graph: Graph, frames: object) -> Iterator[dict[str, Floats]]:
        for clip in clips:
            yield from exact.frames(clip)

    def judge(ranges: Ranges) -> float:
        return Student(model, net, graph, ranges).likeness(clips).decibels

    return calibrate(graph, [list(clip.numpy()) for clip in clips], run=run, judge=judge).ranges


def rate(place: float) -> float:
    """Share of the highest rate at that share of all steps: rises, then falls along a cosine."""
    if place < RISE:
        return (1 + 9 * place / RISE) / 10
    return LAST + (1 - LAST) * (0.5 + 0.5 * math.cos(math.pi * (place - RISE) / (1 - RISE)))


def record(epoch: int, loss: float, likeness: Likeness, seconds: float) -> Record:
    """A record of metrics."""
    return {
        "epoch": epoch,
        "loss": loss,
        "same_answer": likeness.same,
        "decibels": likeness.decibels,
        "seconds": round(seconds, 1),
    }


def worth(one: Record) -> tuple[float, float]:
    """By what the best epoch is told."""
    return one["same_answer"], one["decibels"]


def note_of(settings: Settings, best: Record, init: Path) -> str:
    """One line of how the weights were made; that of the weights they began with goes on behind it."""
    begun = read_meta(init)
    return (
        f"trained in 8 bits on {settings.data}: epoch {best['epoch']} of {settings.epochs}, seed {settings.seed}; "
        f"{100 * best['same_answer']:.2f} % of held-out frames as in float32; begun with {init.name}"
        + (f": {begun.note}" if begun is not None else "")
    )


def write(out: Path, model: Model, outcome: Outcome, note: str, *, half: bool) -> Path:
    """Write the weights, and the ranges with the fingerprint of the network that the compiler reads from them."""
    out.mkdir(parents=True, exist_ok=True)
    weights, ranges = out / checkpoint.WEIGHTS, out / RANGES
    meta = WeightsMeta(model.name, dict(model.parameters), model.labels, model.preprocess.rate_fps, note)
    save_weights(weights, outcome.net, meta, half=half)
    net, _ = checkpoints.prepare(model, weights)
    replace(outcome.ranges, network=identity(fused(net, model))).save(ranges)
    lines = "".join(json.dumps(record) + "\n" for record in outcome.history)
    atomic.write_text(out / checkpoint.METRICS, lines)
    return ranges


def tell(asked: Request, model: Model, outcome: Outcome, weights: Path, ranges: Path) -> None:
    """Report what was written and what it brought."""
    first, best = outcome.history[0], outcome.best
    if not best["epoch"]:
        say(
            "warning: no epoch is nearer to float32 than calibration alone, which is kept: take more clips, or a "
            "smaller --lr",
            err=True,
        )
    if asked.as_json:
        facts = {"weights": str(weights), "ranges": str(ranges), "best": best, "history": list(outcome.history)}
        report.print_json(facts)
        return
    report.print_facts(
        {
            "weights": weights,
            "ranges": ranges,
            "best epoch": best["epoch"],
            "same answer": f"{percent(best)} of held-out frames as in float32; {percent(first)} by calibration alone",
            "SQNR": f"{best['decibels']:.1f} dB; {first['decibels']:.1f} dB",
        }
    )
    words = "tsm-edge compile {} --target local --precision int8 --weights {} --ranges {}"
    report.print_next(words, model.name, weights, ranges)


def percent(one: Record) -> str:
    """The share of frames with the same answer."""
    return f"{100 * one['same_answer']:.2f} %"
