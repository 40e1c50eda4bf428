"""What mirroring a clip, or playing it backwards, does to its class. Tables, so that nothing is guessed.

Mirroring swaps left and right and the senses of a turn. A label that names a direction but is in no table makes the
flip wrong for it, so such a set of labels is refused (:func:`permutation`) unless the flip is switched off.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ..errors import UsageError

#: labels that change places when a clip is mirrored left to right; each pair is listed once
MIRRORED = (
    ("Swiping Left", "Swiping Right"),
    ("Sliding Two Fingers Left", "Sliding Two Fingers Right"),
    ("Turning Hand Clockwise", "Turning Hand Counterclockwise"),
)
#: labels that change places when a clip is played backwards
REVERSED = (
    ("Swiping Left", "Swiping Right"),
    ("Swiping Up", "Swiping Down"),
    ("Sliding Two Fingers Left", "Sliding Two Fingers Right"),
    ("Sliding Two Fingers Up", "Sliding Two Fingers Down"),
    ("Turning Hand Clockwise", "Turning Hand Counterclockwise"),
    ("Zooming In With Full Hand", "Zooming Out With Full Hand"),
    ("Zooming In With Two Fingers", "Zooming Out With Two Fingers"),
    ("Pushing Hand Away", "Pulling Hand In"),
    ("Pushing Two Fingers Away", "Pulling Two Fingers In"),
    ("Rolling Hand Forward", "Rolling Hand Backward"),
)
#: labels that stay what they are backwards; what is neither here nor in a pair is never reversed
STEADY = ("Doing other things", "No gesture", "Shaking Hand", "Drumming Fingers", "Stop Sign")
_DIRECTION = re.compile(r"\b(left|right|clockwise|counter-?clockwise|anti-?clockwise)\b", re.IGNORECASE)


def read_pairs(text: str) -> tuple[tuple[str, str], ...]:
    """Parse "A=B,C=D"; UsageError when a part is no pair."""
    pairs = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        first, found, second = (side.strip() for side in part.partition("="))
        if not (first and found and second):
            raise UsageError(
                "A pair of labels cannot be read.", found=part, allowed="LABEL=LABEL, more after commas"
            )
        pairs.append((first, second))
    return tuple(pairs)


def permutation(labels: Sequence[str], extra: Sequence[tuple[str, str]] = ()) -> list[int]:
    """Return, for each label's index, the index it has after mirroring.

    extra: pairs of the user's own labels, in addition to ``MIRRORED``.

    Raises:
        UsageError: a label names a direction and nobody says what it becomes, or its partner is not among the labels.
    """
    table = _table((*MIRRORED, *extra))
    for first, second in extra:
        for name in (first, second):
            if name not in labels:
                raise UsageError(
                    f"A mirrored pair names '{name}', which is no label.",
                    found=name,
                    allowed=", ".join(labels),
                )
    unknown = [name for name in labels if _DIRECTION.search(name) and name not in table]
    lonely = [name for name in labels if name in table and table[name] not in labels]
    if unknown or lonely:
        raise UsageError(
            "A mirrored clip of this label would have a label that is not known.",
            found=", ".join(unknown or lonely),
            allowed="labels whose mirror image is a label too",
            hint="name the pairs, --mirrored 'wave left=wave right', or train without mirroring: --no-flip",
        )
    return [labels.index(table.get(name, name)) for name in labels]


def reversal(labels: Sequence[str]) -> list[int]:
    """Return, for each label's index, its index when the clip is played backwards; -1 where that is not known."""
    table = {**_table(REVERSED), **{name: name for name in STEADY}}
    return [labels.index(table[name]) if table.get(name) in labels else -1 for name in labels]


def _table(pairs: Sequence[tuple[str, str]]) -> Mapping[str, str]:
    return {**dict(pairs), **{second: first for first, second in pairs}}
