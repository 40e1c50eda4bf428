"""What the splits are drawn from. Nothing of `train` stands in `test`, except the articulated hand itself.

Both splits hold hands, for a model of gestures that has never been tested on a hand says little; those of the test have
other proportions and other surfaces.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..errors import UnknownName


@dataclass(frozen=True)
class Family:
    """One generator family.

    shapes, textures, backgrounds: names of functions of :mod:`.shapes` and :mod:`.textures`. photos: keys of
    :mod:`.photos`. durations: ranges of the length of a gesture, as shares of the clip's length. finger_width: of the
    hand's height. clutter: 1 for bystanders, distractors, occluders, a trembling camera, bad light and a bad codec as
    often as in life; 0 for none of them.
    """

    name: str
    shapes: tuple[str, ...]
    textures: tuple[str, ...]
    backgrounds: tuple[str, ...]
    photos: tuple[str, ...]
    durations: tuple[tuple[float, float], ...]
    finger_width: tuple[float, float]
    clutter: float = 1.0


TRAIN = Family(
    "train",
    shapes=("hand", "hand", "smooth_blob", "ellipses"),
    textures=("clouds", "stripes", "dots", "photo"),
    backgrounds=("clouds", "patches", "ramp", "photo", "photo"),
    photos=(
        "astronaut",
        "brick",
        "camera",
        "chelsea",
        "coffee",
        "coins",
        "grass",
        "gravel",
        "motorcycle_left",
        "retina",
    ),
    durations=((0.5, 0.9),),
    finger_width=(0.085, 0.125),
)
TEST = Family(
    "test",
    shapes=("hand", "hand", "mitten", "gear"),
    textures=("cells", "checks", "photo"),
    backgrounds=("cells", "plaid", "photo", "photo"),
    photos=("china", "flower", "rocket", "hubble_deep_field"),
    durations=((0.38, 0.5), (0.9, 1.15)),
    finger_width=(0.07, 0.085),
)
#: the training family before a plain wall: where a network that knows nothing about motion begins
PLAIN = replace(TRAIN, name="plain", backgrounds=("ramp",), clutter=0.0)
SPLITS = {family.name: family for family in (TRAIN, TEST, PLAIN)}


def family(split: str) -> Family:
    """Return the family of a split; UnknownName when there is none."""
    if split not in SPLITS:
        raise UnknownName.of("split", split, SPLITS)
    return SPLITS[split]
