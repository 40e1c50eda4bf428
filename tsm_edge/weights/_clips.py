"""The tensors of a network of the family in a file, by our keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CheckpointError
from ._checks import check_tensors
from ._weights import mappings, tensors_of
from .reading import read

if TYPE_CHECKING:
    import torch

_SHOWN = 4


def clip_tensors(path: str | Path, net: torch.nn.Module, name: str) -> dict[str, torch.Tensor]:
    """Every tensor of the network from a state_dict in a file; "module." before all keys is taken off.

    Raises:
        CheckpointError: the file cannot be read safely, or holds no mapping with exactly these keys and shapes.
    """
    expected = {
        key: value for key, value in net.state_dict().items() if not key.endswith("num_batches_tracked")
    }
    nearest: set[str] = set()
    for _, mapping in mappings(read(path)):
        tensors = {key.removeprefix("module."): value for key, value in tensors_of(mapping).items()}
        if tensors.keys() == expected.keys():
            check_tensors(path, tensors, expected)
            return tensors
        if len(expected.keys() & tensors.keys()) >= len(expected.keys() & nearest):
            nearest = set(tensors)
    missing, left = sorted(expected.keys() - nearest), sorted(nearest - expected.keys())
    raise CheckpointError(
        f"'{path}' does not hold the weights of {name}.",
        found=f"{len(missing)} missing ({', '.join(missing[:_SHOWN])}), "
        f"{len(left)} others ({', '.join(left[:_SHOWN])})",
        allowed="a state_dict with the keys of the network, and no others",
        hint=f"the keys are those of tsm_edge.models.clips.load('{name}').build().state_dict()",
    )
