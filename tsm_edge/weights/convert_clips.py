"""A checkpoint of a network of the family as a file of ours: which network it is, its keys, labels and pictures.

What :mod:`.convert` is for the networks that run frame by frame. All keys must be the network's, each once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CheckpointError, DirectionUnknown, ModelError, UsageError
from ..models import OFFLINE, TemporalShift, clips
from ..signature import Preprocess
from . import checkpoints
from ._checks import check_tensors
from ._non_local import check_non_local
from ._weights import is_beside, mappings, tensors_of
from .asked import Asked, labels_of
from .meta import WeightsMeta
from .source import Source, mmaction_version, pictures_of

if TYPE_CHECKING:
    import torch

UNSHIFTED = TemporalShift("none")
_SHOWN = 8
#: keys that only networks of the family have
_FAMILY = re.compile(r"\.(nl|non_local_block)\.|(^|\.)(consensus\.|inception_\d|res3a_)")
#: mmcv's non-local blocks, which pool behind phi and g
_POOLS_BEHIND = re.compile(r"\.non_local_block\.")
#: a bias that mmaction2's non-local blocks do not have
_NO_BIAS = re.compile(r"\.nl\.W\.0\.bias$")


@dataclass(frozen=True)
class Fit:
    """How well the tensors of one mapping are those of a network. names: our key -> the file's."""

    model: clips.ClipModel
    where: str
    tensors: Mapping[str, torch.Tensor]
    names: Mapping[str, str]
    missing: tuple[str, ...]
    left: tuple[str, ...]


@dataclass(frozen=True)
class ConvertedClips:
    """As :class:`.convert.Converted`, of a network that takes whole clips."""

    model: clips.ClipModel
    tensors: Mapping[str, torch.Tensor]
    source: Source
    shift: TemporalShift
    where: str
    why: Mapping[str, str]
    notes: tuple[str, ...]
    sha256: str
    preprocess: Preprocess

    def meta(self, file: str) -> WeightsMeta:
        """What the written file says of itself."""
        usual = self.preprocess == Preprocess.imagenet(self.model.size)
        note = f"converted from {file} ({self.source}), sha256 {self.sha256[:16]}"
        return WeightsMeta(
            self.model.name,
            dict(self.model.parameters),
            self.model.labels,
            self.preprocess.rate_fps,
            "; ".join((note, *self.notes)),
            shift=asdict(self.shift),
            preprocess=None if usual else self.preprocess.to_json(),
        )


def fit_of(content: object, asked: str | None, direction: str | None) -> Fit | None:
    """The network of the family whose keys a file has; None where it is of none.

    Raises:
        UsageError: several networks have these keys, and nothing says which is meant.
    """
    names = [asked] if asked else clips.names()
    found = [fit for fit in (best(content, name) for name in names) if fit is not None and not fit.missing + fit.left]
    if any(_POOLS_BEHIND.search(name) for fit in found for name in fit.names.values()):
        found = [fit for fit in found if fit.model.name != "i3d-nonlocal"] or found
    if direction is not None and len(found) > 1:  # the same network with a shift and without
        found = [fit for fit in found if shifts(fit.model) == (direction != "none")] or found
    if len(found) > 1:
        raise UsageError(
            "Several networks have the keys and shapes of this checkpoint.",
            found=", ".join(fit.model.name for fit in found),
            hint="say which it is: --model NAME" + (", or --direction" if len({*map(_shifts, found)}) > 1 else ""),
        )
    return found[0] if found else None


def shifts(model: clips.ClipModel) -> bool:
    """Whether a network of the family has temporal shifts, which are those from both sides."""
    return model.name.startswith("tsm-")


def _shifts(fit: Fit) -> bool:
    return shifts(fit.model)


def best(content: object, name: str) -> Fit | None:
    """The mapping with the most of a network's keys; None where none has any."""
    fits = [fit for where, mapping in mappings(content) if (fit := _fit(name, where, tensors_of(mapping)))]
    return min(fits, key=lambda fit: len(fit.missing) + len(fit.left), default=None)


def _fit(name: str, where: Sequence[str], tensors: Mapping[str, torch.Tensor]) -> Fit | None:
    plain = clips.load(name, classes=2)
    keys = list(tensors)
    ours = dict(zip(clips.our_keys(keys, clips.head_of(plain.network)), keys, strict=True))
    model = _sized(plain, {key: tuple(tensors[raw].shape) for key, raw in ours.items()})
    expected = clips.shapes_of(model.network)
    there = [key for key, shape in expected.items() if key in ours and tuple(tensors[ours[key]].shape) == shape]
    if not there:
        return None
    taken = {ours[key] for key in there}
    left = tuple(raw for raw in keys if raw not in taken and not is_beside(raw, tensors[raw]))
    bare = any(_POOLS_BEHIND.search(raw) for raw in keys)
    missing = tuple(key for key in expected if key not in there and not (bare and _NO_BIAS.search(key)))
    return Fit(model, "/".join(where) or "its top level", tensors, {key: ours[key] for key in there}, missing, left)


def _sized(model: clips.ClipModel, shapes: Mapping[str, tuple[int, ...]]) -> clips.ClipModel:
    """The network with as many classes, and frames where its relations tell, as the tensors are for."""
    matrices = [key for key in clips.shapes_of(model.network) if key.startswith(("consensus", "fc", "new_fc"))]
    last = next((key for key in reversed(matrices) if key.endswith(".weight") and len(shapes.get(key, ())) == 2), None)
    classes = shapes[last][0] if last else 2
    scales = {key.split(".")[2] for key in shapes if key.startswith("consensus.fc_fusion_scales.")}
    single = shapes.get("consensus.classifier.1.weight", (0, 0))
    frames = len(scales) + 1 if scales else single[-1] // 256 if single[-1] else None
    try:
        return clips.load(model.name, classes=classes, frames=frames)
    except ModelError:
        return model


def convert_clips(path: Path, content: object, fit: Fit, asked: Asked) -> ConvertedClips:
    """Check what was found, and say what the file does not.

    Raises:
        DirectionUnknown, UsageError: nothing says that its shift is from both sides, or it is another one.
        CheckpointError: a tensor has no finite numbers, or mmaction2's non-local blocks are others than those here.
    """
    shift, why_shift = _shift(path, fit.model, asked.direction)
    if asked.as_online:
        raise UsageError("A network of whole clips does not run online.", found="--as-online", hint="leave it out")
    mmaction = any(name.startswith(("backbone.", "cls_head.")) for name in fit.names.values())
    if mmaction and fit.model.name.startswith("i3d-nonlocal"):
        check_non_local(path, content, fit.model.name, asked.model)
    version = mmaction_version(content)
    project = f"mmaction2 {version}" if mmaction else "the authors' code"
    source = Source(project, fit.model.name, "official" if mmaction else "mit", "one answer a clip")
    labels, why_labels = labels_of(asked, None, source, fit.model.classes)
    model = clips.load(fit.model.name, labels=labels, frames=fit.model.frames, size=asked.size)
    rate = asked.rate_fps or 12.0
    pictures, why_pictures = _pictures(content, model, rate)
    tensors = {key: fit.tensors[raw] for key, raw in fit.names.items()}
    zeros, notes = _zeros(fit, tensors)
    check_tensors(path, tensors, tensors)
    why = {"shift": why_shift, "labels": why_labels, "pictures": why_pictures}
    why["rate"] = "--rate" if asked.rate_fps else "what tsm-edge trains with; see --rate"
    sha256 = checkpoints.sha256(path)
    return ConvertedClips(model, {**tensors, **zeros}, source, shift, fit.where, why, notes, sha256, pictures)


def _shift(path: Path, model: clips.ClipModel, direction: str | None) -> tuple[TemporalShift, str]:
    if not shifts(model):
        if direction not in (None, "none"):
            raise UsageError(f"{model.name} has no shift.", found=f"--direction {direction}", allowed="none")
        return UNSHIFTED, "its keys: a network without shifts"
    if direction is None:
        raise DirectionUnknown(
            f"'{path}' does not say in which direction its network shifts.",
            found=f"the keys of {model.name}",
            allowed="--direction bi",
            hint="--direction bi for what the training code of MIT or mmaction2 made",
        )
    if direction != "bi":
        raise UsageError(f"{model.name} shifts from both sides.", found=f"--direction {direction}", allowed="bi")
    return OFFLINE, "--direction"


def _pictures(content: object, model: clips.ClipModel, rate: float) -> tuple[Preprocess, str]:
    """BNInception's networks see blue first, bytes as they are, less the mean of each channel."""
    if "bninception" not in model.name and not model.name.startswith("eco"):
        return pictures_of(content, model.size, rate)
    usual = Preprocess.imagenet(model.size, rate)
    means, ones = (104.0, 117.0, 128.0), (1.0, 1.0, 1.0)
    return replace(usual, mean=means, std=ones, color="bgr", scale=1.0), "the authors' code of BNInception"


def _zeros(fit: Fit, tensors: Mapping[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    """The biases that mmaction2's non-local blocks do not have, as zeros."""
    import torch

    expected = clips.shapes_of(fit.model.network)
    absent = [key for key in expected if key not in tensors]
    notes = (f"{len(absent)} biases of non-local blocks that mmaction2 does not have are 0",) if absent else ()
    return {key: torch.zeros(expected[key]) for key in absent}, notes


def nearest(content: object, asked: str | None) -> Fit | None:
    """The network of the family that a file has most of, where its keys are of none that runs frame by frame."""
    marked = any(
        _FAMILY.search(name) or tensor.dim() == 5
        for _, mapping in mappings(content)
        for name, tensor in tensors_of(mapping).items()
    )
    if not marked and asked not in clips.names():
        return None
    names = [asked] if asked else clips.names()
    fits = [fit for fit in (best(content, name) for name in names) if fit is not None]
    return min(fits, key=lambda fit: len(fit.missing) + len(fit.left), default=None)


def misfit(path: Path, fit: Fit) -> CheckpointError:
    """The error for a file that is nearly a network of the family."""
    names = ", ".join(fit.missing[:_SHOWN]) or "none"
    left = ", ".join(fit.left[:_SHOWN]) or "none"
    return CheckpointError(
        f"'{path}' does not fit {fit.model.name}.",
        found=f"{len(fit.missing)} missing: {names}; {len(fit.left)} unexpected: {left}",
        allowed=f"each of the {len(clips.shapes_of(fit.model.network))} tensors of the network once, "
        "num_batches_tracked apart",
    )
