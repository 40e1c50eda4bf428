"""Trained weights from files: ours, MIT's, mmaction2's and torchvision's.

A file is read without running code from it, its keys are renamed to ours, everything is checked, and only then is
the network changed. What is known about a file but cannot be checked is told as a note.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import models
from ._checkpoint_checks import SHIFT, check_classes, check_keys, check_shifts, check_tensors
from ._checkpoint_file import read
from .bundle import sha256_of
from .errors import CheckpointError
from .manifest import WeightsInfo
from .models import _shipped
from .models._net import make_net
from .models._walk import head

_PREFIX = re.compile(r"^((module|base_model|backbone)\.)+")
_HEAD = re.compile(r"^(new_fc|classifier|classifier\.1|cls_head\.fc_cls|fc)\.(weight|bias)$")
_IGNORED = re.compile(r"(\.num_batches_tracked|^data_preprocessor\..*)$")

OFFLINE = (
    "trained offline, probably with the bi-directional shift, whose channels of the past stand elsewhere than those "
    "of the online shift; no checkpoint tells, so measure the accuracy, and train uni-directionally if it is poor"
)
OTHER_ORDER = (
    "mmaction2 numbers the Jester classes in the order of the official file, not alphabetically; "
    "give the labels in the order of the training"
)


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


def prepare(model: models.Model, path: str | Path | None = None, seed: int = 0) -> tuple[Any, WeightsInfo]:
    """Build the network with the weights of a file, else its shipped ones, else seeded ones; and say where they are
    from.

    Shipped weights are taken when the model comes trained, none of its parameters was changed, and ``seed`` is 0.

    Raises:
        CheckpointError, ExtraMissing: see :func:`load_into`.
        UsageError: bad seed.
    """
    if path is not None:
        net = make_net(model.layers)
        return net, load_into(net, path, model).weights
    shipped = default_file(model)
    if shipped is not None and seed == 0:
        net = make_net(model.layers)
        loaded = load_into(net, shipped, model)
        return net, WeightsInfo("default", _shipped.meta_of(model.name).note, loaded.sha256)
    return model.build(seed), WeightsInfo("seeded", f"untrained, seed {seed}: the scores mean nothing", "")


def default_file(model: models.Model) -> Path | None:
    """The shipped weights of a model, when it has some and is what they were trained as."""
    if model.name not in models.shipped():
        return None
    meta = _shipped.meta_of(model.name)
    same = dict(meta.parameters) == dict(model.parameters) and meta.labels == model.labels
    return _shipped.path_of(model.name) if same else None


def seed_of(weights: WeightsInfo) -> int:
    """The seed that :func:`prepare` wrote into its note; 0 for weights from elsewhere."""
    found = re.search(r"\bseed (\d+)", weights.note) if weights.source == "seeded" else None
    return int(found[1]) if found else 0


def load_into(net: Any, path: str | Path, model: models.Model) -> LoadReport:
    """Load a checkpoint into ``net``, which was built for ``model``; on failure the network is left as it was.

    Raises:
        CheckpointError: the file cannot be read safely, is of another network, has another number of classes,
            other shapes, or values that are no finite numbers.
        ExtraMissing: a .safetensors file without the package that reads it.
    """
    tensors = {key: value for key, value in read(path).items() if not _IGNORED.search(key)}
    names = [_PREFIX.sub("", key) for key in tensors]
    last = head(model.layers)
    plain = model.our_keys([SHIFT.sub(r"\1.", name) for name in names])
    ours = [_HEAD.sub(rf"{last.name}.\2", key) for key in plain]
    found = dict(zip(ours, tensors.values()))
    expected = {key: value for key, value in net.state_dict().items() if not _IGNORED.search(key)}
    check_keys(path, model, names, ours, expected)
    check_shifts(path, model, {key for key, name in zip(ours, names) if SHIFT.search(name)})
    check_classes(path, found[f"{last.name}.weight"], last.classes)
    check_tensors(path, found, expected)
    net.load_state_dict({**net.state_dict(), **found})
    return LoadReport(Path(path).name, sha256(path), _notes(tensors, last.classes))


def class_count(path: str | Path) -> int:
    """Return the number of classes of a checkpoint's head; CheckpointError when it has none."""
    heads = [
        value for key, value in read(path).items() if _HEAD.match(_PREFIX.sub("", key)) and value.dim() == 2
    ]
    if len(heads) != 1:
        raise CheckpointError(
            f"'{path}' does not tell its number of classes.",
            found=f"{len(heads)} classification layers",
            allowed="one of new_fc, classifier, cls_head.fc_cls, fc",
            hint="say how many classes with --classes",
        )
    return int(heads[0].shape[0])


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file in hexadecimal; CheckpointError when it cannot be read."""
    try:
        return sha256_of(path)
    except OSError as error:
        raise CheckpointError(f"'{path}' cannot be read.", found=error.strerror or error) from error


def _notes(keys: Collection[str], classes: int) -> tuple[str, ...]:
    notes = [OFFLINE] if any(SHIFT.search(key) for key in keys) else []
    if classes == len(models.JESTER) and any(key.startswith("cls_head.") for key in keys):
        notes.append(OTHER_ORDER)
    return tuple(notes)
