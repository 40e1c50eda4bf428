"""What a checkpoint must be to fit a network; every refusal says what was found and what would have fitted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .. import models
from ..errors import CheckpointError
from ..models.description import Block, convs, head
from ._weights import HEAD, POOL, Weights, mappings, our_names, prefixes, tensors_of, unwrapped
from .stand_ins import StandIn

if TYPE_CHECKING:
    import torch

#: prefixes that say nothing: taken off only to word a refusal
_PREFIX = re.compile(r"^((module|base_model|backbone|model|net|network|_orig_mod|cls_head)\.)+")
_SHOWN = 8
_COMPARED = 1 << 24  # elements of a tensor; the largest here has 9 million


def misfit(path: str | Path, content: object, model: models.Model, expected: Sequence[str]) -> CheckpointError:
    """The error for a file without a set of weights that fits; expected: the keys of the network."""
    where, tensors = max(((w, tensors_of(m)) for w, m in mappings(content)), key=_size, default=((), {}))
    if not tensors:
        return _no_weights(path, content)
    prefix = max(prefixes(tensors, 1), key=lambda each: _matching(tensors, each, model, expected))
    names = [_PREFIX.sub("", name.removeprefix(prefix)) for name in tensors]
    last = head(model.layers).name
    ours = [HEAD.sub(last, key[: key.rfind(".")]) + key[key.rfind(".") :] for key in our_names(names, model).values()]
    missing = [key for key in expected if key not in ours]
    count = Counter(ours)
    unexpected = [name for name, key in zip(names, ours) if key not in expected or count[key] > 1]
    place = f" in '{'/'.join(where)}'" if where else ""
    return CheckpointError(
        f"'{path}' does not fit {model.name}.",
        found=f"{len(missing)} missing: {_listed(missing)}; {len(unexpected)} unexpected{place}: {_listed(unexpected)}",
        allowed=f"each of the {len(expected)} tensors of the network once, num_batches_tracked apart",
        hint=_guess(model, names),
    )


def nearest(content: object, known: Sequence[tuple[models.Model, Sequence[str]]]) -> int:
    """Which of the networks, each with its keys, a file that holds none of them has the largest share of."""
    _, tensors = max(((w, tensors_of(m)) for w, m in mappings(content)), key=_size, default=((), {}))
    shares = [
        max(_matching(tensors, prefix, model, expected) for prefix in prefixes(tensors, 1)) / len(expected)
        for model, expected in known
    ]
    return shares.index(max(shares))


def _matching(tensors: Mapping[str, torch.Tensor], prefix: str, model: models.Model, expected: Sequence[str]) -> int:
    """How many keys of the network there are behind a prefix."""
    names = [name[len(prefix) :] for name in tensors if name.startswith(prefix)]
    return len(set(our_names(names, model).values()) & set(expected))


def _size(found: tuple[tuple[str, ...], dict[str, torch.Tensor]]) -> int:
    return len(found[1])


def _no_weights(path: str | Path, content: object) -> CheckpointError:
    """The error for a file in which no mapping holds a tensor."""
    if isinstance(content, StandIn) or not isinstance(content, Mapping):
        found = content.kind if isinstance(content, StandIn) else type(content).__name__
    else:
        found = "no tensor among: " + (", ".join(map(str, list(content)[:8])) or "nothing")
    objects = [content] if isinstance(content, StandIn) else _stand_ins_in(content)
    whole = next((each.kind for each in objects if not each.kind.startswith("numpy")), None)
    if whole is not None:
        return CheckpointError(
            f"'{path}' holds no weights that can be read without running its code.",
            found=f"{found}, a pickled object" if isinstance(content, StandIn) else f"an object of {whole}",
            allowed="a state_dict, perhaps in a wrapper",
            hint="if you trust the file, and it is a whole network, save its tensors where its code is installed: "
            "torch.save(torch.load(FILE, weights_only=False).state_dict(), 'weights.pth')",
        )
    hint = None
    if objects:
        found = "NumPy arrays in place of tensors"
        hint = "save tensors: {name: torch.from_numpy(array)}"
    return CheckpointError(
        f"'{path}' holds no weights.", found=found, allowed="a state_dict, perhaps in a wrapper", hint=hint
    )


def _stand_ins_in(content: object) -> list[StandIn]:
    return [value for _, each in mappings(content) for value in each.values() if isinstance(value, StandIn)]


def choose(path: str | Path, found: Sequence[Weights], averaged: bool | None) -> Weights:
    """The set of weights that is meant: the plain ones unless the averaged are asked for, or there are no others.

    averaged: what was asked for, None for nothing.

    Raises:
        CheckpointError: there are none of that kind, or several that differ.
    """
    wanted = averaged if averaged is not None else all(each.averaged for each in found)
    some = [each for each in found if each.averaged == wanted]
    if not some:
        raise CheckpointError(
            f"'{path}' holds no {'averaged' if wanted else 'plain'} weights.",
            found=f"{'plain' if wanted else 'averaged'} ones: {_listed([each.where for each in found])}",
            hint=f"leave out {'--ema' if wanted else '--no-ema'}",
        )
    if any(not _equal(some[0], other) for other in some[1:]):
        raise CheckpointError(
            f"'{path}' holds several sets of weights, and nothing tells which is meant.",
            found=_listed([each.where for each in some]),
            allowed="one set, or one plain and one averaged",
            hint="save the one that you mean alone: torch.save(torch.load(FILE)[KEY], 'weights.pth')",
        )
    return some[0]


def _equal(one: Weights, other: Weights) -> bool:
    import torch

    pairs = [(tensor, other.tensors[key]) for key, tensor in one.tensors.items()]
    # a view of a few bytes may say that it has any number of elements
    comparable = all(not each.is_meta and each.numel() <= _COMPARED for pair in pairs for each in pair)
    return comparable and all(mine is its or torch.equal(mine, its) for mine, its in pairs)


def _guess(model: models.Model, names: list[str]) -> str | None:
    """Say which other network the keys are of, as far as that can be told."""
    if any(re.search(r"\.(nl|non_local_block|block)\.", name) for name in names):
        return "the file has non-local blocks, which these networks do not have"
    plain = [unwrapped(name) for name in names]
    if any(".net." in name for name in plain):
        return "the file was trained with another shift, or pools frames elsewhere: networks that are not here"
    fitting = {}
    for other in map(models.load, models.names()):
        needed = {f"{conv.weight}.weight" for conv, _ in convs(other.layers, other.size)}
        if needed <= set(other.our_keys(plain)):
            fitting[len(needed)] = other.name  # a small network's keys may all occur in a large one
    if not fitting:
        return "the keys are those of no network here"
    return None if fitting[max(fitting)] == model.name else f"the keys are those of {fitting[max(fitting)]}"


def check_pooling(path: str | Path, model: models.Model, names: Sequence[str]) -> None:
    """names: the keys as the file has them; only they tell whether frames were pooled."""
    if model.pools or not pools(names):
        return
    raise CheckpointError(
        f"'{path}' was trained with temporal pooling.",
        found="layer2.net in its keys",
        allowed="a network that runs whole clips",
        hint="convert it, and compile what was written: tsm-edge convert FILE -o weights.safetensors",
    )


def pools(names: Sequence[str]) -> bool:
    """Whether the keys of a file are those of a network that pools frames."""
    return any(POOL.search(name) for name in names)


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


def check_classes(path: str | Path, weight: torch.Tensor, classes: int) -> None:
    """weight: of the head, [classes, channels]."""
    if weight.dim() == 2 and weight.shape[0] != classes:
        count = int(weight.shape[0])
        raise CheckpointError(
            f"'{path}' was trained for another number of classes.",
            found=f"{count} classes",
            allowed=f"{classes}, as the model was set up",
            hint=f"set the model up with --classes {count}, or with {count} labels",
        )


def check_tensors(path: str | Path, found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> None:
    """Shapes and values; found and expected have the same keys."""
    empty = [key for key, value in found.items() if value.is_meta]
    if empty:
        raise CheckpointError(
            f"'{path}' names tensors and holds no values for them.",
            found=f"{len(empty)} on the device 'meta': {_listed(empty)}",
            allowed="tensors with values",
            hint="the network was saved before its weights were loaded: load them, then save it again",
        )
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
        key
        for key, value in found.items()
        if not value.is_floating_point() or value.is_quantized or not value.float().isfinite().all()
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
