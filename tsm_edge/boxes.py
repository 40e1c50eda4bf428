"""The file of ``--boxes``: the regions that a network of regions looks at.

A JSON list of frames, of boxes in each, of left, top, right and bottom as fractions of the picture.
`compile/runtime/command/boxes.c` reads and refuses the same.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .errors import UsageError
from .files import strict_json
from .signature import Signature

STATE = "boxes"
#: in pictures: a detector's box may reach out of one
LEAST, MOST = -1.0, 2.0


def read(path: Path, signature: Signature) -> NDArray[np.float32]:
    """Return the boxes of a file, in the shape of the bundle's state.

    Raises:
        UsageError: the bundle takes no boxes, the file cannot be read, or it holds something else.
    """
    shapes = [pair.input.shape for pair in signature.states if pair.input.name == STATE]
    if not shapes or len(shapes[0]) != 3 or shapes[0][2] != 4:
        raise UsageError(
            "--boxes means nothing to this bundle.",
            found=f"no state called {STATE}",
            allowed="a network of regions, such as i3d-nonlocal-gcn",
        )
    frames, boxes, sides = shapes[0]
    try:
        document = strict_json.read(path)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"'{path}' cannot be read.", found=error, allowed="JSON, [frames][boxes][4] numbers"
        ) from None
    values = [
        _number(path, side, f" of box {i} in frame {t}")
        for t, frame in enumerate(_listed(path, document, frames, "frames", ""))
        for i, box in enumerate(_listed(path, frame, boxes, "boxes", f" in frame {t}"))
        for side in _listed(path, box, sides, "numbers", f" of box {i} in frame {t}")
    ]
    return np.array(values, np.float32).reshape(shapes[0])


def _listed(path: Path, value: object, count: int, what: str, where: str) -> list[object]:
    if isinstance(value, list) and len(value) == count:
        return value
    found = len(value) if isinstance(value, list) else "no list"
    raise UsageError(f"'{path}': wrong number of {what}{where}.", found=found, allowed=count)


def _number(path: Path, value: object, where: str) -> float:
    number = float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
    if LEAST <= number <= MOST:
        return number
    raise UsageError(
        f"'{path}': bad value{where}.",
        found=value,
        allowed=f"{LEAST:g} to {MOST:g}, fractions of the picture: left, top, right, bottom",
        hint="divide pixels by the picture's width and height",
    )
