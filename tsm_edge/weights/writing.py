"""Writing weights as safetensors with what they say of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..files import atomic
from .meta import WeightsMeta

if TYPE_CHECKING:
    import torch


def save_tensors(path: Path, tensors: Mapping[str, torch.Tensor], meta: WeightsMeta, *, half: bool = False) -> None:
    """Write a state_dict with its metadata, atomically; ``half`` stores it as float16."""
    from safetensors.torch import save

    kept = {
        key: (value.half() if half else value.float()).contiguous().clone()
        for key, value in tensors.items()
        if not key.endswith(".num_batches_tracked")
    }
    atomic.write_bytes(path, save(kept, metadata=meta.to_text()))


def save_weights(path: Path, net: torch.nn.Module, meta: WeightsMeta, *, half: bool = False) -> None:
    """Write the weights of a network; see :func:`save_tensors`."""
    save_tensors(path, net.state_dict(), meta, half=half)
