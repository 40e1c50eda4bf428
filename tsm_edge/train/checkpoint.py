"""What training leaves on disk: a checkpoint after every epoch, and the weights that the other verbs read.

``last.pth`` holds tensors, numbers and texts only (``torch.load(weights_only=True)`` opens it) and is written by
:mod:`tsm_edge.files.atomic`, so a kill at any moment leaves a whole one. ``weights.safetensors`` is the best epoch so
far; its metadata (:mod:`tsm_edge.weights.meta`) names the network and the classes, so `compile` and `eval` need nothing
but the file.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from ..files import atomic
from ..weights.meta import WeightsMeta
from ..weights.reading import read

LAST, WEIGHTS, METRICS = "last.pth", "weights.safetensors", "metrics.jsonl"
#: what makes a folder one that holds a training
RUN_FILES = (WEIGHTS, LAST, METRICS)


def save(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically."""
    import torch

    whole = io.BytesIO()  # torch words the failure of a disk in its own way, and safetensors likewise
    torch.save(dict(content), whole)
    atomic.write_bytes(path, whole.getbuffer())


def load(path: Path) -> dict[str, Any]:
    """Read what :func:`save` wrote; CheckpointError when it is damaged or something else."""
    content = read(path)
    if not isinstance(content, dict) or not {"net", "optimizer", "epoch", "settings", "history"} <= set(
        content
    ):
        raise CheckpointError(
            f"'{path}' is no checkpoint of `tsm-edge train`.", hint="weights alone are given with --init"
        )
    return content


def save_moved(path: Path, meta: WeightsMeta, place: Path, bias: str, by: Any) -> Any:
    """Write the weights of ``path`` to ``place`` with ``by`` [classes] added to the tensor ``bias``.

    Return by how much it has moved indeed, float64 [classes]: a bias in float16 is rounded.
    """
    import torch
    from safetensors.torch import load, save

    tensors = load(path.read_bytes())
    old = tensors[bias]
    tensors[bias] = (old.double() + torch.as_tensor(by)).to(old.dtype)
    atomic.write_bytes(place, save(tensors, metadata=meta.to_text()))
    return (tensors[bias].double() - old.double()).numpy()
