"""What the Markdown pages of the project show: fenced blocks, and commands in running text."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: a command that is quoted in a sentence begins with one of these
PROGRAMS = ("tsm-edge", "tsm-edge-run", "python", "make", "pip")


@dataclass(frozen=True)
class Block:
    """A fenced block: the page, its first line (from 1), its language ("" when none is given), its text."""

    page: Path
    line: int
    language: str
    text: str


def pages(repository: Path) -> list[Path]:
    """Every page that a reader is sent to."""
    listed = [repository / "README.md", repository / "benchmarks" / "README.md"]
    return [*listed, repository / "demo" / "data" / "README.md", *sorted((repository / "docs").glob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found, opened = [], None
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fence = re.match(r"\s*```(\{[\w-]+\}|\w*)", line)
        if fence and opened is None:
            opened = (number + 1, fence[1], [])
        elif fence and opened is not None:
            found.append(Block(page, opened[0], opened[1], "\n".join(opened[2]) + "\n"))
            opened = None
        elif opened is not None:
            opened[2].append(line)
    assert opened is None, f"{page}: a block is not closed"
    return found


def quoted_commands(page: Path) -> Iterator[tuple[int, str]]:
    """(line, command) of the commands between single backquotes outside of blocks."""
    text = re.sub(r"```.*?```", lambda block: "\n" * block[0].count("\n"), page.read_text("utf-8"), flags=re.DOTALL)
    for match in re.finditer(r"`([^`]+)`", text):
        command = " ".join(match[1].split())
        first, _, rest = command.partition(" ")
        if rest and first in PROGRAMS:
            yield text[: match.start()].count("\n") + 1, command


def commands(block: Block) -> Iterator[tuple[int, list[str]]]:
    """(line, words) of the programs that a shell block starts, pipes taken apart, comments left out."""
    joined = re.sub(r"\\\n", lambda _: "  ", block.text)
    line = block.line
    for raw, text in zip(_physical(block.text), joined.splitlines()):
        for part in _parts(text):
            yield line, part
        line += raw


def _physical(text: str) -> Iterator[int]:
    """How many lines of the page each logical line takes."""
    count = 1
    for line in text.splitlines():
        if line.endswith("\\"):
            count += 1
        else:
            yield count
            count = 1


def _parts(text: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|&;<>")
    lexer.commenters = "#"
    part: list[str] = []
    for word in [*lexer, "|"]:
        if set(word) <= set("|&;"):
            if part:
                yield part
            part = []
        else:
            part.append(word)
