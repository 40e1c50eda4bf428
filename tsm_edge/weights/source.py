"""Which program wrote a checkpoint, told from its keys, and what comes with it: label order, pictures, consensus."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..models import JESTER, JESTER_OFFICIAL
from ..signature import Preprocess
from ._direction import FLAT
from ._weights import SHIFT, Weights, mappings, tensors_of
from .meta import WeightsMeta

#: label orders by the name that a user gives them
ORDERS = {"mit": JESTER, "official": JESTER_OFFICIAL}
_NESTED = re.compile(r"(^|\.)features\.\d+\.conv\.\d+\.\d+\.")


@dataclass(frozen=True)
class Source:
    """The program behind a checkpoint.

    project: its name. method: what the keys say of the shift: "TSM", "TSN", or "" where they say nothing. order: of the
    Jester classes there, a key of ``ORDERS``, or "". average: how it makes one answer of a clip's frames.
    """

    project: str
    method: str = ""
    order: str = ""
    average: str = "mean of the scores of the frames"

    def __str__(self) -> str:
        return f"{self.project}, {self.method}" if self.method else self.project


def source_of(content: object, taken: Weights, meta: WeightsMeta | None) -> Source:
    """The program that wrote these weights."""
    if meta is not None:
        return Source("tsm-edge")
    if isinstance(content, Mapping) and {"net", "optimizer", "settings"} <= set(content):
        return Source("tsm-edge, last.pth of a training")
    names = taken.names
    method = "TSM" if any(SHIFT.search(name) for name in names) else "TSN"
    if any(re.search(r"(^|\.)(backbone|cls_head)\.", name) for name in names):
        mean = "mean of the probabilities of the frames"
        return Source(f"mmaction2 {mmaction_version(content)}", method, "official", mean)
    if any(re.search(r"(^|\.)(base_model|new_fc)\.", name) for name in names):
        return Source("MIT temporal-shift-module", method, "mit")
    if any(_NESTED.search(name) for name in names):
        return Source("torchvision")
    if taken.where == "its top level" and any(FLAT.match(name) for name in names):
        return Source("MIT temporal-shift-module, online demo", "TSM", "mit")
    return Source("torchvision, or keys like its own", "TSM" if method == "TSM" else "")


def mmaction_version(content: object) -> str:
    """0.x and 1.x have the same keys; what stands beside the weights differs."""
    meta = content.get("meta") if isinstance(content, Mapping) else None
    if isinstance(content, Mapping) and "message_hub" in content:
        return "1.x"
    if isinstance(meta, Mapping):
        if "mmengine_version" in meta:
            return "1.x"
        if meta.keys() & {"mmaction_version", "mmcv_version"}:
            return "0.x"
    return "(0.x or 1.x)"


def pictures_of(content: object, size: int, rate_fps: float) -> tuple[Preprocess, str]:
    """How the network's pictures are prepared, and what says so.

    MIT, mmaction2 and torchvision all test on the centre of a picture whose short side has 256/224 of the input, with
    ImageNet's statistics. Checkpoints that mmaction2 1.x saved itself hold the statistics of their own.
    """
    usual = Preprocess.imagenet(size, rate_fps)
    for _, mapping in mappings(content):
        tensors = tensors_of(mapping)
        mean, std = (tensors.get(f"data_preprocessor.{part}") for part in ("mean", "std"))
        if mean is None or std is None or mean.numel() != 3 or std.numel() != 3:
            continue
        of_bytes = [tuple(float(value) for value in part.flatten()) for part in (mean, std)]
        own = tuple(tuple(round(value / 255, 9) for value in part) for part in of_bytes)
        return replace(usual, mean=own[0], std=own[1]), "data_preprocessor of the file"
    return usual, "the test pipelines of MIT, mmaction2 and torchvision"
