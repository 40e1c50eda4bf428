"""How every verb reports: results on stdout as a table or as one JSON document, then the exact next command."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from .terminal import printable, printable_json, say, say_lines

#: version of the JSON documents; a key that changes its meaning or goes away makes it one higher
SCHEMA = 1
_PRINTED = "tsm_edge.json_printed"  # in the meta of click's context


def print_json(document: Mapping[str, object]) -> None:
    """Print one JSON document with its ``schema`` number."""
    text = json.dumps({"schema": SCHEMA, **document}, indent=2, ensure_ascii=False)
    say_lines(printable_json(text))
    _note_printed()


def print_json_line(document: Mapping[str, object]) -> None:
    """Print one JSON document with its ``schema`` number in a line of its own."""
    say_lines(printable_json(json.dumps({"schema": SCHEMA, **document}, ensure_ascii=False)))
    _note_printed()


def has_printed() -> bool:
    """Whether the running command has printed its JSON document."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.find_root().meta.get(_PRINTED))


def _note_printed() -> None:
    context = click.get_current_context(silent=True)
    if context is not None:
        context.find_root().meta[_PRINTED] = True


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


def print_facts(facts: Mapping[str, object]) -> None:
    """Print names and values, one a line."""
    width = max(map(len, facts)) + 1
    for name, value in facts.items():
        say(f"{name + ':':{width}} {value}".rstrip())


def shell(command: str, *words: object) -> str:
    """Return ``command`` with each ``{}`` replaced by one word of ``words``, quoted for a POSIX shell.

    A path that begins with "-" gets "./" before it, so that no program takes it for an option.
    """
    texts = (
        f"./{word}" if isinstance(word, Path) and str(word).startswith("-") else str(word) for word in words
    )
    return command.format(*map(shlex.quote, texts))


def run_on_board(bundle: Path) -> str:
    """Return the command that copies a bundle to a board and times it there. Two shells read the second half."""
    program = shlex.quote(f"{bundle.resolve().name}/tsm-edge-run")
    there = f"{program} --bench"
    return shell("scp -r {} BOARD: && ssh BOARD ", bundle) + (
        there if "'" not in there else shlex.quote(there)
    )


def print_next(command: str, *words: object) -> None:
    """Print the command that comes next, as the last line; ``words`` as for :func:`shell`."""
    say(f"next: {shell(command, *words) if words else command}")


def kib(count: int) -> str:
    """Return a number of bytes in KiB, or in MiB from one MiB on."""
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 2**10:.1f} KiB"
