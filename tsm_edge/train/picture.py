"""Pictures of a training and of an evaluation, drawn with OpenCV (a base dependency; its fonts are ASCII only)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..bench.roofline import GREY, GRID, INK, PALETTE, put_text
from .checkpoint import Epoch

Image = NDArray[np.uint8]
_LEFT, _TOP, _RIGHT, _BOTTOM = 80, 60, 40, 60  # margins in pixels


def lines(
    title: str,
    across: str,
    x: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    *,
    top: float | None = None,
    width: int = 900,
    height: int = 560,
) -> Image:
    """Curves over one axis, uint8 BGR; the vertical axis begins at 0 and ends at ``top`` or above the highest value."""
    import cv2

    image = np.full((height, width, 3), 255, np.uint8)
    high = top if top is not None else 1.1 * max((max(values) for values in curves.values()), default=1) or 1
    low_x, high_x = min(x), max(*x, min(x) + 1e-9)

    def at(value_x: float, value_y: float) -> tuple[int, int]:
        right = (value_x - low_x) / (high_x - low_x)
        return (
            round(_LEFT + right * (width - _LEFT - _RIGHT)),
            round(height - _BOTTOM - min(value_y / high, 1.05) * (height - _TOP - _BOTTOM)),
        )

    for mark in np.linspace(0, high, 6):
        cv2.line(image, at(low_x, mark), at(high_x, mark), GRID, 1)
        put_text(image, f"{mark:.3g}", (14, at(low_x, mark)[1] + 5), 0.45, GREY)
    for mark in np.linspace(low_x, high_x, min(len(x), 11)):
        put_text(image, f"{mark:.3g}", (at(mark, 0)[0], height - _BOTTOM + 22), 0.45, GREY, centred=True)
    put_text(image, across, (width // 2, height - 14), 0.5, INK, centred=True)
    put_text(image, title, (_LEFT, 28), 0.6, INK)
    for index, (name, values) in enumerate(curves.items()):
        colour = PALETTE[index % len(PALETTE)]
        points = np.array([at(*pair) for pair in zip(x, values)], np.int32)
        cv2.polylines(image, [points], False, colour, 2, cv2.LINE_AA)
        for point in points:
            cv2.circle(image, point.tolist(), 3, colour, -1, cv2.LINE_AA)
        put_text(image, name, (_LEFT + 14 + 155 * (index % 5), 48 + 18 * (index // 5)), 0.5, colour)
    return image


def training(history: Sequence[Epoch]) -> Image:
    """Loss and accuracies by epoch, side by side."""
    epochs = [record["epoch"] for record in history]
    left = lines("loss", "epoch", epochs, {"training": [record["loss"] for record in history]})
    curves = {
        "training": [record["train_top1"] for record in history],
        "held out": [record["top1"] for record in history],
        "after half a clip": [record["half_top1"] for record in history],
        "worst class": [record["worst_recall"] for record in history],
    }
    right = lines("top-1 accuracy", "epoch", epochs, curves, top=1.0)
    return np.concatenate([left, right], 1)


def confusion(table: NDArray[np.int64], labels: Sequence[str]) -> Image:
    """A confusion matrix: rows are the true classes, columns the answers, shaded by their share of the row."""
    import cv2

    cell, margin = 46, 270
    side = margin + cell * len(labels) + 20
    image = np.full((side, side, 3), 255, np.uint8)
    put_text(image, "true class (row), answer (column)", (10, 24), 0.5, INK)
    for row, name in enumerate(labels):
        total = max(1, int(table[row].sum()))
        for column in range(len(labels)):
            share = table[row, column] / total
            x, y = margin + cell * column, margin + cell * row
            base = np.array(PALETTE[0] if row == column else PALETTE[1], float)
            shade = (255 - share * (255 - base)).astype(int).tolist()
            cv2.rectangle(image, (x, y), (x + cell - 2, y + cell - 2), shade, -1)
            if table[row, column]:
                ink = (255, 255, 255) if share > 0.5 else INK
                put_text(
                    image,
                    str(table[row, column]),
                    (x + cell // 2, y + cell // 2 + 5),
                    0.42,
                    ink,
                    centred=True,
                )
        put_text(image, name[:32], (10, margin + cell * row + cell // 2 + 5), 0.42, INK)
        _upright(image, name[:32], margin + cell * row + cell // 2, margin - 8)
    return image


def _upright(image: Image, text: str, x: int, bottom: int) -> None:
    """Text that reads upwards and ends below ``bottom``."""
    strip = np.full((20, bottom - 40, 3), 255, np.uint8)
    put_text(strip, text, (2, 14), 0.42, INK)
    turned = np.rot90(strip)
    image[bottom - len(turned) : bottom, x - 10 : x + 10] = turned


def below(parts: Sequence[Image]) -> Image:
    """Pictures one below the other, on white."""
    width = max(part.shape[1] for part in parts)
    padded = [
        np.pad(part, ((0, 0), (0, width - part.shape[1]), (0, 0)), constant_values=255) for part in parts
    ]
    return np.concatenate(padded)
