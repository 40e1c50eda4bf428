"""How the network of a checkpoint shifts: said by the file itself, told by its keys, or asked of the user.

The tensors of a network are the same whether it was trained with the shift from the past only, from both sides or
without one, and only one of these is right. So nothing is assumed: where neither the file nor the user says it, the
file is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ..errors import CheckpointError, DirectionUnknown, UsageError
from ..models import DIRECTIONS, OFFLINE, ONLINE, TemporalShift
from ..records import record_of
from ..weights.meta import WeightsMeta
from ._weights import AROUND, SHIFT, Weights

#: a block of MobileNetV2 in the flat form of MIT's repository, which torchvision does not have
FLAT = re.compile(r"features\.\d+\.conv\.\d+\.weight$")
_BACKBONE = re.compile(r"(^|\.)(base_model|backbone)\.")
_OF_DIRECTION = {"uni": ONLINE, "bi": OFFLINE, "none": TemporalShift("none")}


class Told(NamedTuple):
    """What a file tells of its shift; None where it does not.

    sure: it says so itself. place: of the shift, where the keys tell.
    """

    shift: TemporalShift | None
    why: str
    sure: bool = False
    place: str = "residual"


def told(content: object, taken: Weights, meta: WeightsMeta | None) -> Told:
    """What is known of the shift of these weights; ``meta``: what a file of ours says of itself."""
    if meta is not None:
        return Told(_shift(meta.shift), "its metadata", sure=True)
    if isinstance(content, Mapping) and isinstance(content.get("settings"), Mapping):
        variant = content["settings"].get("variant")
        if isinstance(variant, Mapping) and "optimizer" in content:  # last.pth of `tsm-edge train`
            return Told(_shift(variant), "the settings of its training", sure=True)
    if any(AROUND.search(name) for name in taken.names):
        why = "its keys name the shifted blocks (.net), and not in which direction they shift"
        return Told(None, why, place="inplace")
    if any(SHIFT.search(name) for name in taken.names):
        return Told(None, "its keys name the shifted convolutions (.net), and not in which direction they shift")
    flat = taken.where == "its top level" and any(FLAT.match(name) for name in taken.names)
    if flat and not any(re.match(r"classifier\.\d", name) for name in taken.names):
        return Told(ONLINE, "its keys, which are those of MIT's online demo")
    if any(_BACKBONE.search(name) for name in taken.names):
        return Told(TemporalShift("none"), "its keys: a network of MIT or mmaction2 without .net, which is TSN")
    return Told(None, "its keys name no shift: an image classifier, or a network whose shift has no name of its own")


def decided(path: str | Path, found: Told, asked: str | None) -> TemporalShift:
    """The shift of a file, with what the user says of it ("uni", "bi", "none" or None).

    Raises:
        DirectionUnknown: neither tells. UsageError: they contradict each other.
    """
    if found.shift is not None and found.sure and asked not in (None, found.shift.direction):
        raise UsageError(
            f"'{path}' was trained with another shift.",
            found=f"--direction {asked}",
            allowed=f"{found.shift.direction}, by {found.why}",
            hint="leave --direction out",
        )
    if asked is not None:
        same = found.shift is not None and found.shift.direction == asked
        if same and found.shift is not None:
            return found.shift
        return replace(_OF_DIRECTION[asked], place=found.place)
    if found.shift is None:
        raise DirectionUnknown(
            f"'{path}' does not say in which direction its network shifts.",
            found=found.why,
            allowed=f"--direction {', '.join(DIRECTIONS)}",
            hint="--direction bi for what the training code of MIT or mmaction2 made, uni for a training that saw the "
            "past only, none for a training without shift",
        )
    return found.shift


def _shift(facts: Mapping[str, object] | None) -> TemporalShift:
    try:
        return ONLINE if facts is None else record_of(TemporalShift, facts)
    except (TypeError, UsageError) as error:
        raise CheckpointError(
            "The shift that a checkpoint names cannot be understood.",
            found=error,
            hint="it was written by another version of tsm-edge, or is damaged",
        ) from error
