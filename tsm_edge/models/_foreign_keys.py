"""The state_dict keys of other projects in our names. Pure text; the tensors never change.

Prefixes ("module.", "backbone."), the ".net" of a shift and the head are taken off by
:mod:`tsm_edge.weights.checkpoints`; what is left here is how projects name the same layers. MIT's own names are ours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate

_NESTED = re.compile(r"features\.\d+\.conv\.\d+\.\d+\.")


def resnet_keys(keys: Sequence[str]) -> list[str]:
    """mmaction2 keeps convolution and norm together: conv1.conv, conv1.bn, downsample.conv, downsample.bn."""
    renamed = []
    for key in keys:
        key = re.sub(r"\bconv(\d)\.conv\.", r"conv\1.", key)
        key = re.sub(r"\bconv(\d)\.bn\.", r"bn\1.", key)
        renamed.append(re.sub(r"\bdownsample\.(conv|bn)\.", lambda m: f"downsample.{_part(m[1])}.", key))
    return renamed


def mobilenetv2_keys(keys: Sequence[str], stages: Sequence[int]) -> list[str]:
    """Return the keys in MIT's flat form.

    stages: number of blocks in each stage. Two other forms are known:
    mmaction2: stem ``conv1``, blocks ``layer2.0.conv.1.bn`` with stages from 1, last convolution ``conv2``.
    torchvision: ``features.2.conv.0.1`` is the norm (.1) of the first convolution (.0) of block 2; the last
    convolution of a block is not nested.
    """
    if any(_NESTED.match(key) for key in keys):
        nested = {key.split(".conv.")[0]: 0 for key in keys if _NESTED.match(key)}
        for key in keys:  # a block nests all its convolutions but the last: those at 0, 1, … up to this one
            if _NESTED.match(key):
                block, rest = key.split(".conv.")
                nested[block] = max(nested[block], int(rest.split(".")[0]))
        return [_from_torchvision(key, nested) for key in keys]
    # indices in `features`: block 0 of every stage, then the last convolution
    *first, last = accumulate(stages, initial=1)
    return [_from_mmaction(key, first, last) for key in keys]


def _from_torchvision(key: str, nested: dict[str, int]) -> str:
    found = re.fullmatch(r"(features\.\d+)\.conv\.(\d+)\.((\d+)\.)?(\w+)", key)
    if not found or found[1] not in nested:
        return key
    at = int(found[2])
    if found[4] is not None:
        return f"{found[1]}.conv.{3 * at + int(found[4])}.{found[5]}"
    beyond = nested[found[1]] + 1  # here stands the last convolution, one further its norm
    return f"{found[1]}.conv.{3 * beyond + at - beyond}.{found[5]}"


def _from_mmaction(key: str, first: Sequence[int], last: int) -> str:
    if found := re.fullmatch(r"conv([12])\.(conv|bn)\.(\w+)", key):
        return f"features.{0 if found[1] == '1' else last}.{_part(found[2])}.{found[3]}"
    found = re.fullmatch(r"layer(\d+)\.(\d+)\.conv\.(\d+)\.(conv|bn)\.(\w+)", key)
    if not found or not 1 <= int(found[1]) <= len(first):
        return key
    block = first[int(found[1]) - 1] + int(found[2])
    return f"features.{block}.conv.{3 * int(found[3]) + _part(found[4])}.{found[5]}"


def _part(name: str) -> int:
    return 0 if name == "conv" else 1
