"""Which label was shown when, over the last minute: the timeline below the picture and on the page."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Span:
    """One label from ``start_s`` until ``end_s``, in the source's seconds."""

    index: int
    label: str
    start_s: float
    end_s: float
    idle: bool = False


@dataclass(frozen=True)
class Segment:
    """A span as a part of a timeline: ``begin`` and ``end`` are shares of its length, 1 is now."""

    index: int
    label: str
    begin: float
    end: float
    idle: bool = False


class History:
    """The spans of the last ``keep_s`` seconds; a span may have begun earlier."""

    def __init__(self, keep_s: float = 60.0) -> None:
        self._keep_s = keep_s
        self._spans: deque[Span] = deque()

    def add(self, index: int, label: str, t_s: float, *, idle: bool = False) -> None:
        """Take the label shown from ``t_s`` on. All idle classes are one span, with the first label."""
        if self._spans:
            self._spans[-1] = replace(self._spans[-1], end_s=t_s)
        last = self._spans[-1] if self._spans else None
        if last is None or (last.index != index and not (idle and last.idle)):
            self._spans.append(Span(index, label, t_s, t_s, idle))
        while self._spans[0].end_s < t_s - self._keep_s:
            self._spans.popleft()

    def clear(self) -> None:
        """Forget everything."""
        self._spans.clear()

    def spans(self) -> tuple[Span, ...]:
        """Return the spans, the oldest first; the last one ends now."""
        return tuple(self._spans)


def segments(spans: Sequence[Span], length_s: float) -> list[Segment]:
    """Return the part of ``spans`` that lies in the ``length_s`` seconds before the end of the last."""
    if not spans:
        return []
    start_s = spans[-1].end_s - length_s
    return [
        Segment(
            span.index,
            span.label,
            max(0.0, (span.start_s - start_s) / length_s),
            (span.end_s - start_s) / length_s,
            span.idle,
        )
        for span in spans
        if span.end_s > start_s
    ]
