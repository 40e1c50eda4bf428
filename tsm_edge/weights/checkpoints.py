"""Trained weights from files: ours, MIT's, mmaction2's, torchvision's, and what training scripts make of them.

A file is read without running code from it, the set of tensors that fits is looked for, its keys are renamed to ours,
everything is checked, and only then is the network changed. What is known about a file but cannot be checked is told
as a note, and so is what was left out.

``_kind`` says what a file is · ``reading`` and ``stand_ins`` read it · ``_weights`` finds the network's tensors in it
· ``_checks`` words the refusals · ``_direction`` says how the network shifts, ``reorder`` makes a start of a
bi-directional one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .. import models
from ..bundle import sha256_of
from ..bundle.manifest import WeightsInfo
from ..errors import CheckpointError, UsageError
from ..models.clips import ClipModel
from ..models.description import convs, head
from ..weights.meta import read_meta
from ._checks import check_classes, check_pooling, check_shifts, check_tensors, choose, misfit, pools
from ._clips import clip_tensors
from ._direction import decided, told
from ._weights import AROUND, POOL, SHIFT, Weights, find, left_out
from .reading import read
from .reorder import past_first

if TYPE_CHECKING:
    import torch

REORDERED = "re-ordered from the bi-directional shift: what came from the future is the present now"
OTHER_ORDER = (
    "mmaction2 numbers the Jester classes in the order of the official file, not alphabetically; "
    "give the labels in the order of the training"
)
#: how the note begins that names the set of weights
_WHICH = r"\b(averaged|plain) weights in "
_SHOWN = 8


@dataclass(frozen=True)
class LoadReport:
    """What was loaded. ``file`` is the name without its folder; ``notes`` are warnings in plain words."""

    file: str
    sha256: str
    notes: tuple[str, ...]

    @property
    def weights(self) -> WeightsInfo:
        """The same for a manifest."""
        return WeightsInfo("file", "; ".join((self.file, *self.notes)), self.sha256)


def prepare(
    model: models.Model | ClipModel,
    path: str | Path | None = None,
    seed: int = 0,
    averaged: bool | None = None,
    reorder: bool = False,
) -> tuple[torch.nn.Module, WeightsInfo]:
    """Build the network with the weights of a file, else its shipped ones, else seeded ones; and say where they are
    from.

    Shipped weights are taken when the model comes trained and ``seed`` is 0. reorder: the file is of MIT's
    bi-directional shift; its channels are brought into the online order (:mod:`.reorder`).

    Raises:
        CheckpointError, ExtraMissing: see :func:`load_into`.
        UsageError: bad seed, or parameters or labels that the shipped weights are not for.
    """
    if isinstance(model, ClipModel):
        return of_clips(model, path, seed)
    if path is not None:
        net = model.net()
        return net, load_into(net, path, model, averaged, reorder).weights
    if model.name in models.shipped() and seed == 0:
        shipped = default_file(model)
        if shipped is None:
            raise _not_as_shipped(model)
        net, meta = model.net(), models.shipped_meta(model.name)
        note = meta.note if meta.labels == model.labels else f"{meta.note}; labels renamed"
        return net, WeightsInfo("default", note, load_into(net, shipped, model).sha256)
    return model.build(seed), WeightsInfo("seeded", f"untrained, seed {seed}: the scores mean nothing", "")


def of_clips(model: ClipModel, path: str | Path | None, seed: int) -> tuple[torch.nn.Module, WeightsInfo]:
    """As :func:`prepare` for a network of the family: the tensors of a file by our keys, or seeded ones."""
    if path is None:
        return model.build(seed), WeightsInfo("seeded", f"untrained, seed {seed}: the scores mean nothing", "")
    net = model.net()
    net.load_state_dict({**net.state_dict(), **clip_tensors(path, net, model.name)})
    return net, WeightsInfo("file", Path(path).name, sha256(path))


def default_file(model: models.Model) -> Path | None:
    """The shipped weights of a model, when it has some and is what they were trained as; labels may be renamed."""
    if model.name not in models.shipped():
        return None
    meta = models.shipped_meta(model.name)
    same = dict(meta.parameters) == dict(model.parameters)
    moved = any(name in meta.labels and name != was for name, was in zip(model.labels, meta.labels))
    return models.shipped_file(model.name) if same and not moved else None


def _not_as_shipped(model: models.Model) -> UsageError:
    meta = models.shipped_meta(model.name)
    named = [f"{key} {value}" for key, value in model.parameters.items() if meta.parameters.get(key) != value]
    return UsageError(
        f"The trained weights of '{model.name}' are for other parameters.",
        found=", ".join(named) or "its labels in another order",
        allowed=", ".join(f"{key} {value}" for key, value in meta.parameters.items()) + ", labels in their order",
        hint=f"train them on: tsm-edge train --init {model.name} --data CLIPS --out RUN; an untrained network is "
        f"`{meta.model}`, or `{model.name} --seed 1`",
    )


def seed_of(weights: WeightsInfo) -> int:
    """The seed that :func:`prepare` wrote into its note; 0 for weights from elsewhere."""
    found = re.search(r"\bseed (\d+)", weights.note) if weights.source == "seeded" else None
    return int(found[1]) if found else 0


def averaged_of(weights: WeightsInfo) -> bool | None:
    """Which set of its file a bundle was compiled from: True for averaged weights, None where nobody had to choose."""
    found = re.search(_WHICH, weights.note) if weights.source == "file" else None
    return found[1] == "averaged" if found else None


def reordered(weights: WeightsInfo) -> bool:
    """Whether a bundle was compiled from the weights of a bi-directional network."""
    return weights.source == "file" and REORDERED in weights.note


def load_into(
    net: torch.nn.Module, path: str | Path, model: models.Model, averaged: bool | None = None, reorder: bool = False
) -> LoadReport:
    """Load a checkpoint into ``net``, which was built for ``model``; on failure the network is left as it was.

    averaged: of a file with plain weights and their average over the steps, take the average; by default the plain
    ones are taken. reorder: bring the channels of MIT's bi-directional shift into the online order. Each is a note.

    Raises:
        CheckpointError: the file cannot be read safely, is of another network, has another number of classes,
            other shapes, values that are no finite numbers, or several sets of weights.
        ExtraMissing: a .safetensors file without the package that reads it.
    """
    content = read(path)
    found = _found(path, content, model)
    taken = choose(path, found, averaged)
    last = head(model.layers)
    check_pooling(path, model, taken.names)
    names = [POOL.sub("layer2.", name) for name in taken.names]
    shifted = {key for key, name in zip(taken.tensors, names) if SHIFT.search(name) or AROUND.search(name)}
    check_shifts(path, model, shifted)
    check_classes(path, taken.tensors[f"{last.name}.weight"], last.classes)
    expected = {key: value for key, value in net.state_dict().items() if key in taken.tensors}
    check_tensors(path, taken.tensors, expected)
    tensors = past_first(taken.tensors, model.layers, models.OFFLINE) if reorder else taken.tensors
    net.load_state_dict({**net.state_dict(), **tensors})
    notes = _choice(taken, found) + ([REORDERED] if reorder else [])
    beside = left_out(content, taken, found)
    if beside:
        notes.append(f"no weights, left out: {', '.join(beside[:_SHOWN])}{' …' if len(beside) > _SHOWN else ''}")
    return LoadReport(Path(path).name, sha256(path), (*notes, *_notes(taken.names, last.classes)))


def class_count(path: str | Path, model: models.Model, averaged: bool | None = None) -> int:
    """Return the number of classes of a checkpoint of ``model``, whose own number of classes does not matter.

    Raises:
        CheckpointError: the file holds no weights of this network.
    """
    taken = choose(path, _found(path, read(path), model), averaged)
    return int(taken.tensors[f"{head(model.layers).name}.weight"].shape[0])


def pools_frames(path: str | Path, model: models.Model, averaged: bool | None = None) -> bool:
    """Whether the network of a checkpoint pools frames, by its keys; a file of ours says it among its parameters.

    Raises:
        CheckpointError: the file holds no weights of this network.
    """
    return pools(choose(path, _found(path, read(path), model), averaged).names)


def shift_of(
    path: str | Path, model: models.Model, averaged: bool | None = None, asked: str | None = None
) -> tuple[models.TemporalShift, str]:
    """How the network of a checkpoint shifts, and what says so; ``asked``: the direction that the user names.

    Raises:
        DirectionUnknown: neither the file nor the user says it.
        UsageError: they contradict each other.
        CheckpointError: the file holds no weights of this network.
    """
    content = read(path)
    found = told(content, choose(path, _found(path, content, model), averaged), read_meta(path))
    shift = decided(path, found, asked)
    return shift, found.why if found.shift == shift else "--direction"


def _found(path: str | Path, content: object, model: models.Model) -> list[Weights]:
    found = find(content, model)
    if not found:
        raise misfit(path, content, model, expected_keys(model))
    return found


def _choice(taken: Weights, found: Sequence[Weights]) -> list[str]:
    """The note on which set was taken, where a file has averaged weights."""
    others = [each.where for each in found if each.averaged != taken.averaged]
    if not others:
        return [f"averaged weights in {taken.where}"] if taken.averaged else []
    kinds = ("averaged", "plain", "--no-ema") if taken.averaged else ("plain", "averaged", "--ema")
    return [f"{kinds[0]} weights in {taken.where}, not the {kinds[1]} ones in {others[0]} ({kinds[2]})"]


def words_of(shift: models.TemporalShift) -> str:
    """A shift in a few words."""
    if shift.direction == "none":
        return "no shift"
    return f"{shift.direction}, {shift.proportion:g} of the channels, {shift.place}, padding {shift.padding}"


def no_online_order(shift: models.TemporalShift) -> UsageError:
    """The error for weights that cannot be run online by exchanging channels."""
    return UsageError(
        "Only MIT's bi-directional shift has an online order of channels.",
        found=words_of(shift),
        allowed=words_of(models.OFFLINE),
        hint="train an online network on from it: tsm-edge train --init FILE",
    )


def expected_keys(model: models.Model) -> list[str]:
    """The keys of a network's state_dict, num_batches_tracked apart."""
    keys = []
    for conv, _ in convs(model.layers, 1):
        norm = (f"{conv.norm}.{part}" for part in ("weight", "bias", "running_mean", "running_var"))
        keys += [f"{conv.weight}.weight", *norm]
    last = head(model.layers).name
    return [*keys, f"{last}.weight", f"{last}.bias"]


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file in hexadecimal; CheckpointError when it cannot be read."""
    try:
        return sha256_of(path)
    except OSError as error:
        raise CheckpointError(f"'{path}' cannot be read.", found=error.strerror or error) from error


def _notes(keys: Collection[str], classes: int) -> tuple[str, ...]:
    mmaction = any(re.search(r"(^|\.)cls_head\.", key) for key in keys)
    return (OTHER_ORDER,) if mmaction and classes == len(models.JESTER) else ()
