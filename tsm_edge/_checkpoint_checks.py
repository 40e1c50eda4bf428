"""What a checkpoint must be to fit a network; every refusal says what was found and what would have fitted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import models
from .errors import CheckpointError
from .models._layers import Block
from .models._walk import convs

#: a shift of MIT or mmaction2 around the first convolution of a block; a ".net" anywhere else is another network
SHIFT = re.compile(r"\b(conv1|conv1\.conv|conv\.0)\.net\.")
_SHOWN = 8


def check_keys(
    path: str | Path, model: models.Model, names: list[str], ours: list[str], expected: Mapping[str, Any]
) -> None:
    """names: the file's keys without prefixes; ours: what they are called here; expected: the network's tensors."""
    missing = [key for key in expected if key not in ours]
    count = Counter(ours)
    unexpected = [name for name, key in zip(names, ours) if key not in expected or count[key] > 1]
    if missing or unexpected:
        raise CheckpointError(
            f"'{path}' does not fit {model.name}.",
            found=f"{len(missing)} missing: {_listed(missing)}; {len(unexpected)} unexpected: {_listed(unexpected)}",
            allowed=f"each of the {len(expected)} tensors of the network once, num_batches_tracked apart",
            hint=_guess(model, names),
        )


def _guess(model: models.Model, names: list[str]) -> str | None:
    """Say which other network the keys are of, as far as that can be told."""
    if any(re.search(r"\.(nl|non_local_block|block)\.", name) for name in names):
        return "the file has non-local blocks, which these networks do not have"
    plain = [SHIFT.sub(r"\1.", name) for name in names]
    if any(".net." in name for name in plain):
        return (
            "the file was trained with the shift around whole blocks or with temporal pooling: other networks"
        )
    fitting = {}
    for other in map(models.load, models.names()):
        needed = {f"{conv.weight}.weight" for conv, _ in convs(other.layers, other.size)}
        if needed <= set(other.our_keys(plain)):
            fitting[len(needed)] = other.name  # a small network's keys may all occur in a large one
    if not fitting:
        return "the keys are those of no network here"
    return None if fitting[max(fitting)] == model.name else f"the keys are those of {fitting[max(fitting)]}"


def check_shifts(path: str | Path, model: models.Model, found: set[str]) -> None:
    """found: our keys of the convolutions that the file has a shift around."""
    blocks = [layer for layer in model.layers if isinstance(layer, Block)]
    there = [block.name for block in blocks if f"{block.chain[0].weight}.weight" in found]
    allowed = [block.name for block in blocks if block.shifted]
    if found and there != allowed:
        raise CheckpointError(
            f"'{path}' was trained with the shift in other places.",
            found=f"a shift in {len(there)} blocks: {_listed(there)}",
            allowed=f"a shift in {len(allowed)} blocks: {_listed(allowed)}",
            hint="such weights need a network with the same shifts",
        )


def check_classes(path: str | Path, weight: Any, classes: int) -> None:
    """weight: of the head, [classes, channels]."""
    if weight.dim() == 2 and weight.shape[0] != classes:
        count = int(weight.shape[0])
        raise CheckpointError(
            f"'{path}' was trained for another number of classes.",
            found=f"{count} classes",
            allowed=f"{classes}, as the model was set up",
            hint=f"set the model up with --classes {count}, or with {count} labels",
        )


def check_tensors(path: str | Path, found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Shapes and values; found and expected have the same keys."""
    wrong = [
        f"{key} {list(value.shape)}, not {list(expected[key].shape)}"
        for key, value in found.items()
        if value.shape != expected[key].shape
    ]
    if wrong:
        raise CheckpointError(
            f"'{path}' has tensors of other shapes.",
            found=f"{len(wrong)}: {_listed(wrong)}",
            hint="was it trained at another width? Only MIT's rule of widths is known, see --width",
        )
    broken = [
        key for key, value in found.items() if not value.is_floating_point() or not value.isfinite().all()
    ]
    if broken:
        raise CheckpointError(
            f"'{path}' has values that are no finite numbers.",
            found=f"{len(broken)}: {_listed(broken)}",
            allowed="finite floating-point numbers",
            hint="the training diverged, or the file is quantised",
        )


def _listed(items: list[str]) -> str:
    more = f" … and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(items[:_SHOWN]) + more if items else "none"
