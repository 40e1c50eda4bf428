"""The panel under the picture: decision, the three likeliest classes, a timeline, speed, and a plain warning.

The layout is computed from the picture's size and the texts alone, so it can be checked without a screen. The
panel is added below the picture instead of being drawn over it, because a hand in the lower third is what a
gesture model is shown. Its height depends on the picture's size and on whether there is a note, never on the
texts, so a recording keeps one size. A wide picture has the bars beside the label, a narrow one below it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from . import text
from .colours import DIM_INK, INK, PANEL, TRACK, WARN, Rgb, bgr, class_colour
from .history import Span, segments
from .text import SMALLEST, Text

TOP = 3  # bars
STRIP_S = 10.0  # seconds of the timeline


@dataclass(frozen=True)
class Score:
    """One class with its smoothed probability; ``idle``: it means "nothing to report"."""

    index: int
    label: str
    probability: float
    idle: bool = False


@dataclass(frozen=True)
class Status:
    """What there is to tell after a frame.

    ``label`` is the decision and ``probability`` its mean over the smoother's window, the same as in ``top``, which has
    the likeliest classes in order; None while nothing is recognised, because then a low number would stand for a
    certain answer. ``spans`` are the labels shown so far. ``ms`` is the time of the last step, ``fps`` steps per second
    over the last few, ``delay_ms`` from when a live source took the picture to the end of its step.
    """

    label: str
    probability: float | None
    ms: float
    fps: float
    dropped: int
    note: str = ""
    top: tuple[Score, ...] = ()
    spans: tuple[Span, ...] = ()
    delay_ms: float | None = None

    def speed(self) -> str:
        """Return the row that tells how fast it is."""
        late = "" if self.delay_ms is None else f" | delay {self.delay_ms:.0f} ms"
        return f"model {self.ms:.1f} ms | {self.fps:.1f} FPS | dropped {self.dropped}{late}"


class Rect(NamedTuple):
    """A filled rectangle; ``x1`` and ``y1`` lie outside it."""

    x0: int
    y0: int
    x1: int
    y1: int
    colour: Rgb


@dataclass(frozen=True)
class Layout:
    """Everything of the panel, in pixels of the panel itself (its top is row 0)."""

    width: int
    height: int
    rects: tuple[Rect, ...]
    texts: tuple[Text, ...]


class _Cell(NamedTuple):
    """Where a part of the panel goes."""

    x0: int
    y0: int
    x1: int
    y1: int


def render(image: np.ndarray, status: Status) -> np.ndarray:
    """Return a new uint8 BGR image: ``image`` (H, W, 3) with the panel below it."""
    height, width = image.shape[:2]
    plan = layout(width, height, status)
    panel = np.empty((plan.height, width, 3), np.uint8)
    panel[:] = bgr(PANEL)
    for x0, y0, x1, y1, colour in plan.rects:
        panel[y0:y1, x0:x1] = bgr(colour)
    for one in plan.texts:
        one.draw(panel)
    return np.vstack([image, panel])


def layout(width: int, height: int, status: Status) -> Layout:
    """Return the panel for a picture of ``width`` x ``height`` pixels."""
    scale = max(0.55, 0.8 * min(width / 640, height / 480))
    label, bars, strip, speed, note, total = _cells(width, height, scale, bool(status.note))
    rects: list[Rect] = []
    texts = _decision(label, scale, status)
    for row in range(TOP):
        cell = bars[row]
        rects.append(Rect(*cell, TRACK))
        if row < len(status.top):
            _bar(cell, scale, status.top[row], rects, texts)
    _strip(strip, scale, status, rects, texts)
    texts.append(_text(status.speed(), speed, 0.7 * scale, DIM_INK))
    if status.note:
        rects.append(Rect(0, note.y0, width, total, WARN))
        texts.append(_text(status.note, note, 0.75 * scale, INK))
    return Layout(width, total, tuple(rects), tuple(texts))


def _cells(
    width: int, height: int, scale: float, has_note: bool
) -> tuple[_Cell, list[_Cell], _Cell, _Cell, _Cell, int]:
    """Return the cells of label, bars, timeline, speed and note, and the panel's height."""
    pad = round(8 * scale)
    gap = max(2, round(4 * scale))
    big, row, low = round(40 * scale), max(16, round(26 * scale)), max(16, round(24 * scale))
    bars_height = TOP * row + (TOP - 1) * gap
    wide = width >= 640 and width >= 1.5 * height
    left, right = pad, width - pad
    if wide:
        middle = round(0.56 * width)
        label = _Cell(left, pad, middle - 2 * pad, pad + big)
        speed = _Cell(left, pad + bars_height - row, middle - 2 * pad, pad + bars_height)
        bars_left, bars_top = middle, pad
        strip_top = pad + bars_height + 2 * gap
        end = strip_top + low + pad
    else:
        label = _Cell(left, pad // 2, right, pad // 2 + big)
        bars_left, bars_top = left, label.y1 + gap
        strip_top = bars_top + bars_height + 2 * gap
        speed = _Cell(left, strip_top + low + gap, right, strip_top + low + gap + row)
        end = speed.y1 + gap
    tops = [bars_top + number * (row + gap) for number in range(TOP)]
    bars = [_Cell(bars_left, top, right, top + row) for top in tops]
    strip = _Cell(left, strip_top, right, strip_top + low)
    note = _Cell(left, end, right, end + (round(32 * scale) if has_note else 0))
    total = note.y1 + (height + note.y1) % 2  # video encoders want even sizes
    return label, bars, strip, speed, note, total


def _decision(cell: _Cell, scale: float, status: Status) -> list[Text]:
    if status.probability is None:
        return [_text(status.label, cell, scale, INK)]
    percent = _right(_percent(status.probability), cell, scale, INK)
    room = cell._replace(x1=max(cell.x0, percent.box[0] - 2 * percent.thickness))
    return [_text(status.label, room, scale, INK), percent]


def _bar(cell: _Cell, scale: float, score: Score, rects: list[Rect], texts: list[Text]) -> None:
    """Add a bar that is filled from the left, with the class's name and its percentage on it."""
    filled = cell.x0 + round((cell.x1 - cell.x0) * min(1.0, max(0.0, score.probability)))
    rects.append(Rect(cell.x0, cell.y0, filled, cell.y1, class_colour(score.index, idle=score.idle)))
    inset = max(4, round(6 * scale))
    inner = cell._replace(x0=cell.x0 + inset, x1=cell.x1 - inset)
    percent = _right(_percent(score.probability), inner, 0.7 * scale, INK)
    room = inner._replace(x1=max(inner.x0, percent.box[0] - inset))
    texts += [_text(score.label, room, 0.7 * scale, INK), percent]


def _strip(cell: _Cell, scale: float, status: Status, rects: list[Rect], texts: list[Text]) -> None:
    """Add the timeline: a part for each label shown, named where the name fits, the newest on the right."""
    rects.append(Rect(*cell, TRACK))
    inset = max(3, round(4 * scale))
    for segment in segments(status.spans, STRIP_S):
        x0, x1 = (cell.x0 + round((cell.x1 - cell.x0) * share) for share in (segment.begin, segment.end))
        if x1 <= x0:
            continue
        rects.append(Rect(x0, cell.y0, x1, cell.y1, class_colour(segment.index, idle=segment.idle)))
        rects.append(Rect(x0, cell.y0, min(x0 + 1, x1), cell.y1, PANEL))  # apart from its neighbour
        name = _text(segment.label, cell._replace(x0=x0 + inset, x1=x1 - inset), 0.6 * scale, INK)
        if name.text == text.drawable(segment.label):
            texts.append(name)


def _percent(probability: float) -> str:
    return f"{100 * probability:.0f}%"


def _text(words: str, cell: _Cell, scale: float, colour: Rgb) -> Text:
    thickness = max(1, round(1.4 * scale))
    return text.place(
        words, cell.x1 - cell.x0 - thickness, max(SMALLEST, scale), cell.x0, cell.y0, cell.y1, colour
    )


def _right(words: str, cell: _Cell, scale: float, colour: Rgb) -> Text:
    placed = _text(words, cell, scale, colour)
    return placed.moved(cell.x1 - placed.box[2])
