"""Two scatter plots side by side: accuracy over multiply-adds, and accuracy over the time of a decision.

Dots are networks; their area is the number of parameters. Only networks with a published accuracy are drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from tsm_edge.bench.roofline import GREY, GRID, INK, PALETTE, put_text

from .rows import Row

WIDTH, HEIGHT = 1800, 860
TOP, BOTTOM = 110, 760
PANES = ((110, 860), (1010, 1760))  # left and right edge of each plot in pixels
Image = NDArray[np.uint8]
Value = Callable[[Row], float]


def draw(rows: Sequence[Row], title: str) -> Image:
    """Return the picture, uint8 BGR [860, 1800, 3]."""
    image = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    put_text(image, title, (PANES[0][0], 48), 0.9, INK, 2)
    known = [row for row in rows if row.published is not None]
    timed = [row for row in known if row.decision_ms is not None]
    kinds = sorted({row.source or "" for row in timed})
    plots: tuple[tuple[Sequence[Row], Value, str], ...] = (
        (known, lambda row: row.macs / 1e9, "GMAC a decision"),
        (timed, lambda row: row.decision_ms or 0.0, f"ms a decision ({' or '.join(kinds) or 'none'})"),
    )
    for pane, (shown, value, label) in zip(PANES, plots, strict=True):
        put_text(image, label, (sum(pane) // 2, BOTTOM + 62), 0.65, INK, centred=True)
        if shown:
            scatter(image, pane, shown, value)
    put_text(image, "% top-1 of Something-Something V1, as published", (PANES[0][0], TOP - 18), 0.55, INK)
    hidden = [row.model for row in rows if row.published is None]
    if hidden:
        note = f"no published accuracy: {', '.join(hidden)}"
        put_text(image, note[:150], (PANES[0][0], HEIGHT - 10), 0.5, GREY)
    return image


def scatter(image: Image, pane: tuple[int, int], rows: Sequence[Row], value: Value) -> None:
    """One plot: a logarithmic axis to the right, accuracy upwards."""
    import cv2

    logs = [math.log10(value(row)) for row in rows]
    left, right = min(logs) - 0.25, max(logs) + 0.35
    accuracies = [row.published or 0.0 for row in rows]
    low, high = min(accuracies) - 4, max(accuracies) + 4

    def at(x: float, y: float) -> tuple[int, int]:
        across = pane[0] + (math.log10(x) - left) / (right - left) * (pane[1] - pane[0])
        return round(across), round(BOTTOM - (y - low) / (high - low) * (BOTTOM - TOP))

    grid(image, pane, (left, right), (low, high), at)
    most = max(row.parameters for row in rows)
    taken: list[tuple[int, int]] = []
    for index, row in enumerate(sorted(rows, key=lambda row: -row.parameters)):
        centre = at(value(row), row.published or 0.0)
        colour = PALETTE[index % len(PALETTE)]
        radius = round(max(5.0, 34.0 * math.sqrt(row.parameters / most)))
        cv2.circle(image, centre, radius, colour, -1, cv2.LINE_AA)
        cv2.circle(image, centre, radius, (255, 255, 255), 1, cv2.LINE_AA)
        place = (centre[0], centre[1] - radius - 8)
        while any(abs(place[0] - x) < 190 and abs(place[1] - y) < 18 for x, y in taken):
            place = (place[0], place[1] - 18)
        taken.append(place)
        put_text(image, row.model, place, 0.5, INK, centred=True)


def grid(
    image: Image,
    pane: tuple[int, int],
    across: tuple[float, float],
    upwards: tuple[float, float],
    at: Callable[[float, float], tuple[int, int]],
) -> None:
    """Lines at 1, 2 and 5 of each decade, and at every 5 %."""
    import cv2

    for exponent in range(math.floor(across[0]), math.ceil(across[1])):
        for digit in (1, 2, 5):
            value = digit * 10.0**exponent
            if across[0] <= math.log10(value) <= across[1]:
                x, _ = at(value, upwards[0])
                cv2.line(image, (x, TOP), (x, BOTTOM), GRID, 1)
                put_text(image, f"{value:g}", (x, BOTTOM + 28), 0.55, INK, centred=True)
    for percent in range(5 * math.ceil(upwards[0] / 5), math.floor(upwards[1]) + 1, 5):
        _, y = at(10 ** across[0], percent)
        cv2.line(image, (pane[0], y), (pane[1], y), GRID, 1)
        put_text(image, str(percent), (pane[0] - 44, y + 6), 0.55, INK)
    cv2.rectangle(image, (pane[0], TOP), (pane[1], BOTTOM), INK, 1)
