"""How every verb reports: results on stdout as a table or as one JSON document, then the exact next command."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from .terminal import printable, printable_json, say, say_lines

#: version of the JSON documents; a key that changes its meaning or goes away makes it one higher
SCHEMA = 1


def print_json(document: dict[str, Any]) -> None:
    """Print one JSON document with its ``schema`` number."""
    text = json.dumps({"schema": SCHEMA, **document}, indent=2, ensure_ascii=False)
    say_lines(printable_json(text))


def print_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print aligned columns; a column that holds numbers only is aligned to the right."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = (
        [max(map(len, column)) for column in zip(header, *cells)] if cells else [len(name) for name in header]
    )
    right = [bool(rows) and all(isinstance(row[i], (int, float)) for row in rows) for i in range(len(header))]
    for line in ([*header], *cells):
        padded = (cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(line, widths, right))
        say("  ".join(padded).rstrip())


def print_facts(facts: dict[str, object]) -> None:
    """Print names and values, one a line."""
    width = max(map(len, facts)) + 1
    for name, value in facts.items():
        say(f"{name + ':':{width}} {value}".rstrip())


def print_next(command: str) -> None:
    """Print the command that comes next, as the last line."""
    say(f"next: {command}")


def kib(count: int) -> str:
    """Return a number of bytes in KiB, or in MiB from one MiB on."""
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 2**10:.1f} KiB"
