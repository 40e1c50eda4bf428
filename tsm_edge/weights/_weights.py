"""Which tensors of a checkpoint are the network's: found by what fits, whatever the wrappers and prefixes are called.

Training scripts put a state_dict under any key, next to an optimizer, losses and a second, averaged copy of the
weights, and write any prefix before its keys ("module.", "_orig_mod.", "model.net."). A set of weights here is a
mapping and a prefix under which every convolution and norm of the network is found, and one classification layer
near it. What then is left over in that mapping is refused, unless it is no weight by shape or name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .. import models
from ..models.description import convs, head
from .stand_ins import StandIn

if TYPE_CHECKING:
    import torch

#: a shift of MIT or mmaction2 around the first convolution of a block; a ".net" anywhere else is another network
SHIFT = re.compile(r"\b(conv1|conv1\.conv|conv\.0)\.net\.")
#: MIT's shift around a whole block, which the sum sees too ("block" in its words)
AROUND = re.compile(r"\b(layer\d+\.\d+)\.net\.")
#: MIT's temporal pooling around the second stage of a ResNet
POOL = re.compile(r"\blayer2\.net\.(?=\d)")
HEAD = re.compile(r"(^|\.)(new_fc|classifier(\.\d+)?|fc_cls|fc|head(\.fc)?|last_linear|linear|logits)$")
_NORM = ("weight", "bias", "running_mean", "running_var")
_AVERAGED = frozenset({"ema", "ewma", "average", "averaged", "avg", "swa", "shadow", "polyak"})
#: tensors that are no weights of the network: counters, losses, measurements, normalisation of the input
_BESIDE = re.compile(
    r"(^|\.)(num_batches_tracked|n_averaged|num_updates|mean|std)$|^data_preprocessor\.|"
    r"(^|[._])(loss|losses|criterion|metrics?|acc|accuracy|auroc|f1|confusion|class_weights?|prec1|prec5|top1|top5)([._\d]|$)"
)
_DEPTH, _MAPPINGS, _DOTS = 4, 4096, 8
_NAME = 512  # characters of a name that are looked at


@dataclass(frozen=True)
class Weights:
    """One set of weights of a network in a file.

    where: the keys of the mappings around it, and its prefix, as one text. tensors: by our keys. names: the keys
    as the file has them, in the order of ``tensors``. averaged: over the steps of a training.
    left: keys of tensors in the same mapping that are no weights.
    """

    where: str
    tensors: Mapping[str, torch.Tensor]
    names: tuple[str, ...]
    averaged: bool
    left: tuple[str, ...] = ()


def mappings(content: object) -> Iterator[tuple[tuple[str, ...], Mapping[object, object]]]:
    """Yield every mapping in ``content`` with the keys that lead to it, the outermost first."""
    waiting: list[tuple[tuple[str, ...], object]] = [((), content)]
    seen: set[int] = set()
    while waiting and len(seen) < _MAPPINGS:
        where, here = waiting.pop(0)
        if not isinstance(here, Mapping) or id(here) in seen:
            continue
        seen.add(id(here))
        yield where, here
        if len(where) < _DEPTH:
            waiting += [((*where, str(key)), value) for key, value in here.items() if isinstance(value, Mapping)]


def tensors_of(mapping: Mapping[object, object]) -> dict[str, torch.Tensor]:
    """The tensors of one mapping by their names, without what counts batches."""
    import torch

    return {
        str(key)[:_NAME]: value
        for key, value in mapping.items()
        if isinstance(value, torch.Tensor) and not str(key).endswith(".num_batches_tracked")
    }


def find(content: object, model: models.Model) -> list[Weights]:
    """Every set of weights in what a file holds that has all keys of ``model``, and no others."""
    swapped = _swapped(content)
    found = []
    for where, mapping in mappings(content):
        for each in _of_mapping(where, tensors_of(mapping), model):
            turned = swapped and where in (("state_dict",), ("ema_state_dict",))
            found.append(Weights(each.where, each.tensors, each.names, each.averaged != turned, each.left))
    return found


def _swapped(content: object) -> bool:
    """Whether mmengine wrote this with averaged weights: it exchanges the two, so that state_dict is the averaged."""
    if not isinstance(content, Mapping) or "ema_state_dict" not in content:
        return False
    meta = content.get("meta")
    return "message_hub" in content or (isinstance(meta, Mapping) and "mmengine_version" in meta)


def _of_mapping(where: tuple[str, ...], tensors: dict[str, torch.Tensor], model: models.Model) -> list[Weights]:
    """The sets of weights in one mapping of tensors, one for each prefix that fits."""
    body = {f"{conv.weight}.weight" for conv, _ in convs(model.layers, 1)}
    body |= {f"{conv.norm}.{part}" for conv, _ in convs(model.layers, 1) for part in _NORM}
    if len(tensors) < len(body):
        return []
    fits: list[tuple[str, dict[str, str], str]] = []
    for prefix in prefixes(tensors, len(body)):
        ours = our_names([name[len(prefix) :] for name in tensors if name.startswith(prefix)], model)
        raw = {key: prefix + name for name, key in ours.items() if key in body}
        if raw.keys() == body and len(raw) == sum(key in body for key in ours.values()):
            classifier = _classifier(tensors, prefix, set(raw.values()), model)
            if classifier:
                fits.append((prefix, raw, classifier))
    taken = {name for _, raw, _ in fits for name in raw.values()}
    taken |= {f"{classifier}.{part}" for _, _, classifier in fits for part in ("weight", "bias")}
    left = tuple(name for name in tensors if name not in taken)
    if any(not is_beside(name, tensors[name]) for name in left):
        return []
    averaged = any(name.endswith("n_averaged") for name in left)
    return [_set(where, tensors, model, fit, averaged, left) for fit in fits]


def _set(
    where: tuple[str, ...],
    tensors: Mapping[str, torch.Tensor],
    model: models.Model,
    fit: tuple[str, dict[str, str], str],
    averaged: bool,
    left: tuple[str, ...],
) -> Weights:
    prefix, raw, classifier = fit
    last = head(model.layers).name
    names = {**raw, **{f"{last}.{part}": f"{classifier}.{part}" for part in ("weight", "bias")}}
    parts = [*where, *filter(None, prefix.split("."))]
    return Weights(
        "/".join(filter(None, ["/".join(where), prefix])) or "its top level",
        {key: tensors[name] for key, name in names.items()},
        tuple(names.values()),
        averaged or any(_AVERAGED & set(_words(part)) for part in parts),
        left,
    )


def our_names(names: list[str], model: models.Model) -> dict[str, str]:
    """Keys of other projects, without prefixes -> ours; the head apart."""
    return dict(zip(names, model.our_keys([unwrapped(name) for name in names])))


def unwrapped(name: str) -> str:
    """A key without what the wrappers of a shift and of temporal pooling put into it."""
    return AROUND.sub(r"\1.", SHIFT.sub(r"\1.", POOL.sub("layer2.", name)))


def prefixes(tensors: Mapping[str, torch.Tensor], least: int) -> list[str]:
    """Everything up to a dot that begins at least so many names, the shortest first; "" too."""
    count: Counter[str] = Counter()
    for name in tensors:
        dots = [at for at, letter in enumerate(name) if letter == "."][:_DOTS]
        count.update(name[: at + 1] for at in dots)
    return ["", *sorted((prefix for prefix, n in count.items() if n >= least), key=len)]


def _classifier(tensors: Mapping[str, torch.Tensor], prefix: str, body: set[str], model: models.Model) -> str | None:
    """The name of the only classification layer near a body: a matrix and a bias, by name if there are several."""
    around = prefix.split(".")[:-1]
    near: dict[int, list[str]] = {}
    for name, tensor in tensors.items():
        stem = name.removesuffix(".weight")
        if name in body or stem == name or tensor.dim() != 2 or f"{stem}.bias" not in tensors:
            continue
        parts = stem.split(".")
        shared = next((i for i, (a, b) in enumerate(zip(around, parts)) if a != b), min(len(around), len(parts)))
        near.setdefault(shared, []).append(stem)
    if not near:
        return None
    nearest = near[max(near)]
    named = [stem for stem in nearest if HEAD.search(stem)]
    for some in (nearest, named):
        if len(some) == 1:
            return some[0]
    return None


def is_beside(name: str, tensor: torch.Tensor) -> bool:
    """Whether a tensor is no weight, by its name or its shape."""
    return bool(tensor.dim() == 0 or not tensor.is_floating_point() or _BESIDE.search(name))


def _words(part: str) -> list[str]:
    """ "model_ema", "modelEMA" -> model, ema."""
    return [word.lower() for word in re.split(r"[._\-\s]+|(?<=[a-z])(?=[A-Z])", part)]


def left_out(content: object, taken: Weights, found: Sequence[Weights]) -> list[str]:
    """Names of tensors and foreign objects beside the weights that are none of them; found: all sets of weights."""
    beside = list(taken.left)
    if isinstance(content, Mapping):
        inside = set(taken.left).union(*(each.names for each in found))
        beside += [key for key in tensors_of(content) if key not in inside]
        beside += [f"{key} ({value.kind})" for key, value in content.items() if isinstance(value, StandIn)]
    return beside
