"""Networks that are not here but known by their keys, so that a refusal names them: torchvision's video ResNets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ..errors import CheckpointError
from ..models import clips
from ._weights import mappings, tensors_of

#: R(2+1)D nests the two halves of a convolution; the others keep convolution and norm beside each other
_HALVES = re.compile(r"(^|\.)layer1\.0\.conv1\.0\.0\.weight$")
_WHOLE = re.compile(r"(^|\.)layer1\.0\.conv1\.0\.weight$")
#: of a kernel behind the first stage -> whose network it is
_BEHIND: dict[tuple[int, ...], str] = {(3, 3, 3): "r3d_18", (1, 3, 3): "mc3_18"}
_SECOND = re.compile(r"(^|\.)layer2\.0\.conv1\.0\.weight$")


def refusal(path: Path, content: object) -> CheckpointError | None:
    """The error for a checkpoint of a network that is known and not here; None for any other."""
    name = next(filter(None, (_video_resnet(tensors_of(mapping)) for _, mapping in mappings(content))), None)
    if name is None:
        return None
    return CheckpointError(
        f"'{path}' is of torchvision.models.video.{name}, a network that is not here.",
        found=f"the keys and kernels of {name}",
        allowed=f"of those that convolve along time: {', '.join(_convolving())}",
        hint="tsm-edge models lists all networks",
    )


def _video_resnet(tensors: Mapping[str, object]) -> str | None:
    """The name of torchvision's constructor whose keys and kernels these are."""
    halves, whole, second = (_shape(tensors, key) for key in (_HALVES, _WHOLE, _SECOND))
    if halves is not None and halves[2:] == (1, 3, 3):
        return "r2plus1d_18"
    if whole is None or whole[2:] != (3, 3, 3) or second is None:
        return None
    return _BEHIND.get(second[2:])


def _shape(tensors: Mapping[str, object], key: re.Pattern[str]) -> tuple[int, ...] | None:
    shape = next((getattr(tensor, "shape", ()) for name, tensor in tensors.items() if key.search(name)), ())
    return tuple(shape) if len(shape) == 5 else None


def _convolving() -> list[str]:
    return [name for name in clips.names() if name.startswith(("eco-", "i3d-"))]
