"""A checkpoint of another program as a file of ours: network, shift, labels and pictures found out, keys renamed.

What a file says is taken, what follows from its keys is told, and what neither does is asked for. Every key must be
one of the network's; :mod:`._checks` names those that are left over or missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from .. import models
from ..errors import CheckpointError, UsageError
from ..models import clips
from ..models.description import Conv, convs, head
from ..signature import Preprocess
from . import _elsewhere, checkpoints, convert_clips
from ._checks import choose, misfit, nearest, pools
from ._weights import Weights, find
from .asked import Asked, labels_of
from .convert_clips import ConvertedClips
from .meta import WeightsMeta, read_meta
from .reading import read
from .source import Source, pictures_of, source_of

if TYPE_CHECKING:
    import torch

#: widths of MobileNetV2 that are in use; a file does not name its own
WIDTHS = (1.0, 0.25, 0.35, 0.5, 0.75, 1.3, 1.4, 2.0)
#: MIT's names of files: TSM_something_RGB_resnet50_shift8_blockres_avg_segment8_e45.pth
_DIVISOR = re.compile(r"_shift(\d+)_block")


@dataclass(frozen=True)
class Converted:
    """A checkpoint in our words. ``shift``: of the tensors as they are written; ``why``: what says each fact."""

    model: models.Model
    net: torch.nn.Module
    source: Source
    shift: models.TemporalShift
    where: str
    why: Mapping[str, str]
    notes: tuple[str, ...]
    sha256: str

    @property
    def tensors(self) -> Mapping[str, torch.Tensor]:
        """Its weights by our keys."""
        return {k: v for k, v in self.net.state_dict().items() if not k.endswith(".num_batches_tracked")}

    @property
    def preprocess(self) -> Preprocess:
        """How its pictures are prepared."""
        return self.model.preprocess

    def meta(self, file: str) -> WeightsMeta:
        """What the written file says of itself."""
        pictures = self.model.preprocess
        usual = pictures == Preprocess.imagenet(self.model.size)
        return WeightsMeta(
            self.model.name,
            dict(self.model.parameters),
            self.model.labels,
            pictures.rate_fps,
            "; ".join((f"converted from {file} ({self.source}), sha256 {self.sha256[:16]}", *self.notes)),
            shift=None if self.shift.online else asdict(self.shift),
            preprocess=None if usual else pictures.to_json(),
        )


def convert(path: Path, asked: Asked) -> Converted | ConvertedClips:
    """Find out what a checkpoint is and load it; see :class:`Asked` for what may have to be said.

    Raises:
        CheckpointError: it is of no network here, or does not fit it; the keys are named.
        DirectionUnknown: nothing says in which direction it shifts.
        UsageError: what is asked contradicts the file, or names no network.
    """
    if asked.model is not None:
        models.check_name(asked.model)
    content = read(path)
    meta = read_meta(path) or _meta_of_training(content)
    wanted = asked.model or (meta.model if meta else None)
    known = None if wanted in clips.names() else _network(content, wanted)
    if known is None:
        fit = convert_clips.fit_of(content, wanted, asked.direction) if wanted in (None, *clips.names()) else None
        if fit is None:
            raise _misfit(path, content, wanted)
        return convert_clips.convert_clips(path, content, fit, asked)
    name, found = known
    taken = choose(path, found, asked.averaged)
    source = source_of(content, taken, meta)
    classes = int(taken.tensors[f"{head(models.load(name, classes=2).layers).name}.weight"].shape[0])
    labels, why_labels = labels_of(asked, meta, source, classes)
    size = asked.size or (meta.size if meta else None)
    width = asked.width or (meta.width if meta else None) or _width(name, taken)
    pooled = bool(meta and meta.parameters.get("temporal_pool")) or pools(taken.names)
    model = models.load(name, width=width, size=size, labels=labels, temporal_pool=pooled)
    rate = asked.rate_fps or (meta.rate_fps if meta else 12.0)
    pictures, why_pictures = pictures_of(content, model.size, rate)
    if meta is not None and meta.preprocess is not None:
        own = meta.pictures_at(model.size)
        pictures, why_pictures = replace(own or pictures, rate_fps=rate), "its metadata"
    shift, why_shift = _shift(path, model, asked)
    reorder = asked.as_online and not shift.online
    if reorder and (shift != models.OFFLINE or pooled):
        raise checkpoints.no_online_order(shift)
    net = models.make_net(model.layers)
    report = checkpoints.load_into(net, path, model, asked.averaged, reorder)
    why = {"shift": why_shift, "labels": why_labels, "pictures": why_pictures}
    why["rate"] = "--rate" if asked.rate_fps else "its metadata" if meta else "what tsm-edge trains with; see --rate"
    return Converted(
        model.seeing(pictures), net, source, models.ONLINE if reorder else shift, taken.where, why,
        tuple(note for note in report.notes if note != checkpoints.OTHER_ORDER), report.sha256,
    )  # fmt: skip


def _meta_of_training(content: object) -> WeightsMeta | None:
    """What a checkpoint of `tsm-edge train` (last.pth) says of itself; None for any other."""
    settings = content.get("settings") if isinstance(content, Mapping) and "optimizer" in content else None
    if not isinstance(settings, Mapping):
        return None
    try:
        labels = tuple(map(str, settings["labels"]))
        return WeightsMeta(settings["model"], dict(settings["parameters"]), labels, float(settings["rate_fps"]), "")
    except (KeyError, TypeError, ValueError):
        return None


def _network(content: object, asked: str | None) -> tuple[str, list[Weights]] | None:
    """The network whose keys a file has, of those that run frame by frame, and its sets of weights."""
    for model in _candidates(asked):
        found = find(content, model)
        if found:
            return model.name, found
    return None


def _candidates(asked: str | None) -> list[models.Model]:
    return [models.load(name, classes=2) for name in ([asked] if asked else models.names())]


def _misfit(path: Path, content: object, asked: str | None) -> CheckpointError:
    """The error for a file of no network: what is missing in it and left over for the nearest one."""
    elsewhere = _elsewhere.refusal(path, content)
    if elsewhere is not None:
        return elsewhere
    near = convert_clips.nearest(content, asked)
    if near is not None:
        return convert_clips.misfit(path, near)
    known = _candidates(asked)
    keys = [checkpoints.expected_keys(model) for model in known]
    at = nearest(content, list(zip(known, keys)))
    return misfit(path, content, known[at], keys[at])


def _width(name: str, taken: Weights) -> float | None:
    """The width at which every convolution has the shape of the file's; None for a network without widths."""
    if "width" not in models.load(name, classes=2).parameters:
        return None
    for width in WIDTHS:
        layers = models.load(name, classes=2, width=width).layers
        if all(tuple(taken.tensors[f"{conv.weight}.weight"].shape) == _shape(conv) for conv, _ in convs(layers, 1)):
            return width
    return None  # the check of the shapes says which differ


def _shape(conv: Conv) -> tuple[int, ...]:
    return (conv.outputs, conv.inputs // conv.groups, conv.kernel, conv.kernel)


def _shift(path: Path, model: models.Model, asked: Asked) -> tuple[models.TemporalShift, str]:
    """The shift of the file, with the share that its name or the user says."""
    shift, why = checkpoints.shift_of(path, model, asked.averaged, asked.direction)
    named = _DIVISOR.search(path.name)
    divisor = asked.shift_div or (int(named[1]) if named else None)
    if divisor is None or shift.direction == "none" or "metadata" in why:
        return shift, why
    share = (2 if shift.direction == "bi" else 1) / divisor
    if share > 1:
        raise UsageError("The shift cannot move more than all channels.", found=f"1/{divisor}", allowed="1/2 or less")
    said = "--shift-div" if asked.shift_div else "the name of the file"
    return replace(shift, proportion=share), f"{why}; its share by {said}"


@dataclass(frozen=True)
class Agreement:
    """How far two forms of a network are apart. difference: relative to the largest score."""

    forms: str
    frames: int
    difference: float
    delay: int = 0


def agreement(converted: Converted, seed: int = 0) -> Agreement:
    """Run a clip through the clip form and frame by frame, and compare the scores.

    A network that looks into the future runs as a lagged stream; compared are the frames that the ends of the clip do
    not reach. One that no stream can run is compared as a window over a clip.
    """
    import torch

    model, kind = converted.model, converted.shift
    if model.pools or kind.padding != "zero":
        return _window_agreement(converted, seed)
    lag = models.delay(model.layers, kind)
    frames = 2 * lag + 3 if lag else 8
    side = min(model.size, 64)  # the shift and the weights are the same on any picture
    clip = torch.randn((1, frames, 3, side, side), generator=torch.Generator().manual_seed(seed))
    states = tuple(torch.zeros(shape) for shape in models.lagged_states(model.layers, side, kind))
    with torch.no_grad():
        wanted = models.run_clip(converted.net, model.layers, clip, kind)[0]
        found = []
        for at in range(frames):
            scores, states = models.run_lagged(converted.net, model.layers, clip[:, at], kind, states)
            found.append(scores[0])
    compared = slice(lag, frames - lag)
    apart = (torch.stack(found)[2 * lag :] - wanted[compared]).abs().max() / wanted[compared].abs().max()
    forms = "clip form and lagged stream" if lag else "clip form and steps"
    return Agreement(forms, frames - 2 * lag, float(apart), lag)


def _window_agreement(converted: Converted, seed: int) -> Agreement:
    import torch

    model, kind, frames = converted.model, converted.shift, 8
    side = min(model.size, 64)
    clip = torch.randn((1, frames, 3, side, side), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        wanted = models.run_clip(converted.net, model.layers, clip, kind)[0].mean(0)
        found = models.run_windowed(converted.net, model.layers, clip[0], kind)[0]
    apart = (found - wanted).abs().max() / wanted.abs().max()
    return Agreement("clip form and window", frames, float(apart))
