"""Small C programs that ask this machine something; they take a C compiler: ``cc``, or the one of ``ziglang``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..files.temporaries import scratch
from ..processes import cc, children

FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-pthread", "-xc", "-")


@contextmanager
def built(source: str) -> Iterator[Path | None]:
    """The program of a C source while the context lasts; None without a C compiler."""
    with scratch() as folder:
        program = folder / "program"
        yield program if any(_compiled(command, source, program) for command in cc.compilers()) else None


def _compiled(command: list[str], source: str, program: Path) -> bool:
    arguments = [*command, *FLAGS, "-o", str(program)]
    done = children.run_text(arguments, input=source)
    return done.returncode == 0 and program.is_file()
