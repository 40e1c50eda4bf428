"""Small C programs that ask this machine something; they take a C compiler: ``cc``, or the one of ``ziglang``."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .. import children
from ..temporaries import scratch

FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-pthread", "-xc", "-")


@contextmanager
def built(source: str) -> Iterator[Path | None]:
    """The program of a C source while the context lasts; None without a C compiler."""
    with scratch() as folder:
        program = folder / "program"
        yield program if any(_compiled(command, source, program) for command in compilers()) else None


def compilers() -> list[list[str]]:
    """The commands of the C compilers there are."""
    found = [[path] for path in [shutil.which("cc")] if path]
    if importlib.util.find_spec("ziglang") is not None:
        found.append([sys.executable, "-m", "ziglang", "cc"])
    return found


def _compiled(command: list[str], source: str, program: Path) -> bool:
    arguments = [*command, *FLAGS, "-o", str(program)]
    done = children.run(arguments, input=source, text=True)
    return done.returncode == 0 and program.is_file()
