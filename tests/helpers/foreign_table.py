"""The stored classes of all foreign cases: a line each, `case, operator, class, hint or fault`, tab-separated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).resolve().parent.parent / "foreign" / "classes.tsv"


@dataclass(frozen=True)
class Row:
    """One case. `kind` is a class of foreign_lab, `reason` the hint of a refusal, or what is still wrong."""

    name: str
    operator: str
    kind: str
    reason: str


def read() -> list[Row]:
    """The table."""
    return [Row(*line.split("\t")) for line in FILE.read_text().splitlines()]


def write(rows: list[Row]) -> None:
    """Replace the table."""
    lines = ["\t".join((row.name, row.operator, row.kind, row.reason)) for row in rows]
    FILE.write_text("".join(line + "\n" for line in lines))
