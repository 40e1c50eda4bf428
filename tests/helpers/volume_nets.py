"""Small clip networks that between them have every operator of the family, compiled and compared with PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tsm_edge import target
from tsm_edge.compile import pipeline
from tsm_edge.compile.frontend import networks
from tsm_edge.compile.verification import verify
from tsm_edge.models.clips import Builder, ClipModel, Network, Recipe, make_clip_model
from tsm_edge.models.clips.i3d_nonlocal_gcn import region_graphs

if TYPE_CHECKING:
    import torch

SIDE, CLASSES = 32, 5


def volumes(b: Builder, frames: int) -> None:
    """The stem, bottleneck and pools of an I3D, then ECO's strided block with a batch norm behind a sum."""
    x = b.recast(0, volume=True)
    x = b.conv(x, "stem", (3, 16), (5, 7, 7), (1, 2, 2), norm="stem_bn", activation="relu", volume=True)
    x = b.pool(x, "max", (2, 3, 3), (2, 2, 2), (0, 1, 1))
    y = b.conv(x, "a", (16, 8), (3, 1, 1), norm="a_bn", activation="relu", volume=True)
    y = b.conv(y, "b", (8, 8), (1, 3, 3), norm="b_bn", activation="relu", volume=True)
    y = b.conv(y, "c", (8, 16), (1, 1, 1), norm="c_bn", volume=True)
    x = b.add(y, x, "relu")
    raw = b.conv(x, "down", (16, 24), (3, 3, 3), (2, 2, 2), bias=True, volume=True)
    x = b.norm(raw, "behind", 24)
    raw = b.add(b.conv(x, "last", (24, 24), (3, 3, 3), bias=True, volume=True), raw)
    x = b.norm(raw, "end", 24)
    b.linear(b.mean(x, volume=True), "fc", (24, CLASSES))


def relations(b: Builder, frames: int) -> None:
    """An Inception module, relations of some frames, and an ensemble of two readings of the clip."""
    pairs, means = [], []
    for name, begin in (("one.", 0), ("two.", 2)):
        b.prefix = name
        x = b.frames(0, begin, frames)
        x = b.conv(x, "stem", (3, 8), (1, 7, 7), (1, 2, 2), norm="bn", bias=True, activation="relu")
        x = b.pool(x, "max", (1, 3, 3), (1, 2, 2), ceil=True)
        first = b.conv(x, "x1", (8, 6), (1, 1, 1), bias=True, activation="relu")
        second = b.conv(x, "x3", (8, 10), (1, 3, 3), norm="x3_bn", activation="relu")
        third = b.conv(b.pool(x, "mean", (1, 3, 3), (1, 1, 1), (0, 1, 1)), "proj", (8, 4), (1, 1, 1), bias=True)
        x = b.concat(first, second, third)
        features = b.linear(b.space_mean(x), "features", (20, 12), "relu")
        pairs.append(b.linear(b.gather(features, (0, frames - begin - 1)), "pair", (24, CLASSES)))
        means.append(b.linear(b.mean(features), "each", (12, CLASSES)))
    b.total(b.average(*pairs), *means)


def non_local(b: Builder, x: int, name: str, scale: float) -> int:
    """A non-local block on a volume of 16 channels; phi and g are pooled."""
    small = b.pool(x, "max", (1, 2, 2), (1, 2, 2))
    parts = [
        b.conv(source, f"{name}.{key}", (16, 8), (1, 1, 1), bias=True, volume=True)
        for source, key in ((x, "theta"), (small, "phi"), (small, "g"))
    ]
    y = b.attend(*parts, scale)
    return b.add(b.conv(y, f"{name}.W", (8, 16), (1, 1, 1), norm=f"{name}.bn", volume=True), x)


def attention(b: Builder, frames: int) -> None:
    """Shifted frames, and a non-local block of either order between them."""
    x = b.conv(0, "stem", (3, 16), (1, 7, 7), (1, 4, 4), norm="bn", activation="relu")
    for name, scale in (("tsm", 1.0), ("fair", 0.35)):
        x = b.recast(non_local(b, b.recast(x, volume=True), name, scale), volume=False)
        y = b.conv(b.shift(x), f"{name}.conv", (16, 16), (1, 1, 1), norm=f"{name}.conv_bn")
        x = b.add(y, x, "relu")
    b.linear(b.mean(b.space_mean(x)), "fc", (16, CLASSES))


def one_frame_left(b: Builder, frames: int) -> None:
    """Two frames, of which a pooling along time leaves one, and a non-local block behind it."""
    x = b.conv(b.recast(0, volume=True), "stem", (3, 16), (1, 7, 7), (1, 4, 4), norm="bn", volume=True)
    x = non_local(b, b.pool(x, "max", (2, 1, 1), (2, 1, 1)), "block", 1.0)
    b.linear(b.mean(x, volume=True), "fc", (16, CLASSES))


def kept(b: Builder, frames: int) -> None:
    """What ECO-Full and TRN do behind layers of a frame: a volume, a relation and a mean of what is kept."""
    x = b.conv(0, "stem", (3, 16), (1, 7, 7), (1, 4, 4), norm="bn", bias=True, activation="relu")
    y = b.concat(x, b.conv(x, "side", (16, 8), (1, 1, 1), bias=True, activation="relu"))
    features = b.linear(b.space_mean(y), "features", (24, 19), "relu")
    pair = b.linear(b.gather(features, (0, frames - 1)), "pair", (38, CLASSES))
    each = b.linear(b.mean(features), "each", (19, CLASSES))
    volume = b.conv(b.recast(x, volume=True), "volume", (16, 8), (3, 3, 3), bias=True, activation="relu", volume=True)
    b.total(pair, each, b.linear(b.mean(volume, volume=True), "fc", (8, CLASSES)))


def regions(b: Builder, frames: int) -> None:
    """A volume, and the graphs over nine regions of each of its frames, one of two layers."""
    x = b.recast(0, volume=True)
    x = b.conv(x, "stem", (3, 16), (3, 7, 7), (1, 4, 4), norm="bn", activation="relu", volume=True)
    x = b.pool(x, "max", (2, 1, 1), (2, 1, 1))
    y = region_graphs(b, x, b.boxes(frames // 2, REGIONS), 16, 27, 2)
    b.linear(b.concat(b.mean(x, volume=True), b.mean(y, volume=True)), "fc", (43, CLASSES))


REGIONS = 9
NETS = {
    "volumes": (volumes, 6),
    "relations": (relations, 5),
    "attention": (attention, 3),
    "one-frame-left": (one_frame_left, 2),
    "regions": (regions, 6),
}


def model(name: str) -> ClipModel:
    """One of the networks."""
    write, frames = NETS[name]
    return described(f"small-{name}", write, frames)


def stream_of(frames: int) -> ClipModel:
    """The network of kept features, frame by frame."""
    return described("small-kept", kept, frames).streaming()


def described(name: str, write: Callable[[Builder, int], None], frames: int) -> ClipModel:
    """A network as a model of so many frames."""

    def describe(classes: int, frames: int) -> Network:
        b = Builder()
        write(b, frames)
        return b.network()

    recipe = Recipe("a small network", describe, frames, range(1, 9))
    return make_clip_model(name, recipe, size=SIDE, classes=CLASSES)


def compiled(name: str, device: str, folder: Path, precision: str | None = None) -> pipeline.Compiled:
    """A bundle of one of the networks."""
    return pipeline.compile(networks.zoo(model(name)), target.load(device), folder, precision=precision)


def difference(name: str, built: pipeline.Compiled) -> float:
    """Largest difference of the scores of two clips from PyTorch's, relative to the largest score."""
    outcome = verify.compare(built.folder, built.manifest, stepped(model(name).build(0)), frames=2)
    return max(found.relative for found in outcome.differences)


def stepped(net: torch.nn.Module) -> verify.Step:
    """A stream's step in PyTorch over arrays."""
    import torch

    def step(frame: np.ndarray, states: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
        with torch.no_grad():
            scores, after = net.step(torch.from_numpy(frame), tuple(map(torch.from_numpy, states)))
        return scores.numpy(), [state.numpy() for state in after]

    return step
