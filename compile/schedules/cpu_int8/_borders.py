"""Borders of windowed 8-bit operators: which taps of each output position lie inside the image."""

from __future__ import annotations

from dataclasses import dataclass

from ...ir.ops import Conv


def taps_along(size: int, kernel: int, stride: int, before: int, out: int) -> list[tuple[int, int]]:
    """For every output position the range of taps inside the image."""
    found = []
    for position in range(out):
        first = position * stride - before
        found.append((max(0, -first), max(0, min(kernel, size - first))))
    return found


@dataclass(frozen=True)
class Borders:
    """The range of kernel rows of every output row, and of kernel columns of every output column."""

    rows: list[tuple[int, int]]
    columns: list[tuple[int, int]]

    @classmethod
    def of(cls, op: Conv) -> Borders:
        """Those of a convolution."""
        return cls(
            taps_along(op.height, op.kernel[0], op.stride[0], op.pad[0], op.out_height),
            taps_along(op.width, op.kernel[1], op.stride[1], op.pad[1], op.out_width),
        )

    @property
    def row_sets(self) -> list[tuple[int, int]]:
        """The distinct ranges of rows."""
        return sorted(set(self.rows))

    @property
    def column_sets(self) -> list[tuple[int, int]]:
        """The distinct ranges of columns."""
        return sorted(set(self.columns))

    def number(self, rows: tuple[int, int], columns: tuple[int, int]) -> int:
        """The index of the bias for a pair of sets."""
        return self.row_sets.index(rows) * len(self.column_sets) + self.column_sets.index(columns)


def runs_of(taps: list[tuple[int, int]]) -> list[tuple[int, tuple[int, int]]]:
    """(first position, taps) of every run of equal taps."""
    return [(i, each) for i, each in enumerate(taps) if i == 0 or taps[i - 1] != each]


def column_runs(taps: list[tuple[int, int]]) -> list[tuple[int, tuple[int, int], int]]:
    """(first position, taps, length) of every run of equal taps."""
    runs = runs_of(taps)
    ends = [first for first, _ in runs[1:]] + [len(taps)]
    return [(first, each, end - first) for (first, each), end in zip(runs, ends, strict=True)]
