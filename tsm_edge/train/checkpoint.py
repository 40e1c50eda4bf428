"""What training leaves on disk: a checkpoint after every epoch, and the weights that the other verbs read.

``last.pth`` holds tensors, numbers and texts only (``torch.load(weights_only=True)`` opens it) and is written by
:mod:`tsm_edge.files.atomic`, so a kill at any moment leaves a whole one. ``weights.safetensors`` is the best epoch so
far; its metadata (:mod:`tsm_edge.weights.meta`) names the network and the classes, so `compile` and `eval` need nothing
but the file.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from ..errors import CheckpointError
from ..files import atomic
from ..weights.meta import WeightsMeta
from ..weights.reading import read

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

LAST, WEIGHTS, METRICS = "last.pth", "weights.safetensors", "metrics.jsonl"
#: what makes a folder one that holds a training
RUN_FILES = (WEIGHTS, LAST, METRICS)


class OfTakes(TypedDict, total=False):
    """What is measured on held-out takes alone: top-1 with the classes balanced."""

    balanced_top1: float


class HeldOut(OfTakes):
    """What is measured on held-out clips; half_top1: after half a clip."""

    top1: float
    top5: float
    half_top1: float
    worst_recall: float


class Epoch(HeldOut):
    """The metrics of one epoch."""

    epoch: int
    lr: float
    loss: float
    train_top1: float
    seconds: float


class Content(TypedDict):
    """What a checkpoint holds; ``average``: the tensors of the averaged weights."""

    net: dict[str, torch.Tensor]
    average: dict[str, torch.Tensor]
    optimizer: dict[str, object]
    epoch: int
    settings: dict[str, object]
    history: list[Epoch]


def save(path: Path, content: Content) -> None:
    """Write a checkpoint atomically."""
    import torch

    whole = io.BytesIO()  # torch words the failure of a disk in its own way, and safetensors likewise
    torch.save(dict(content), whole)
    atomic.write_bytes(path, whole.getbuffer())


def load(path: Path) -> Content:
    """Read what :func:`save` wrote; CheckpointError when it is damaged or something else."""
    content = read(path)
    if not isinstance(content, dict) or not set(Content.__annotations__) <= set(content):
        raise CheckpointError(
            f"'{path}' is no checkpoint of `tsm-edge train`.", hint="weights alone are given with --init"
        )
    return Content(
        net=content["net"],
        average=content["average"],
        optimizer=content["optimizer"],
        epoch=int(content["epoch"]),
        settings=content["settings"],
        history=list(content["history"]),
    )


def save_moved(
    path: Path, meta: WeightsMeta, place: Path, bias: str, by: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Write the weights of ``path`` to ``place`` with ``by`` [classes] added to the tensor ``bias``.

    Return by how much it has moved indeed, float64 [classes]: a bias in float16 is rounded.
    """
    import torch
    from safetensors.torch import load, save

    tensors = load(path.read_bytes())
    old = tensors[bias]
    tensors[bias] = (old.double() + torch.as_tensor(by)).to(old.dtype)
    atomic.write_bytes(place, save(tensors, metadata=meta.to_text()))
    moved: NDArray[np.float64] = (tensors[bias].double() - old.double()).numpy()
    return moved
