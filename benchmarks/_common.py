"""What the benchmarks share: running the command line, compiling into a folder, and leaving a document."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tsm_edge.bench import machine
from tsm_edge.bench.turns import Entry, Turn
from tsm_edge.errors import EdgeError, RuntimeFailure
from tsm_edge.report import SCHEMA


def parser(description: str) -> argparse.ArgumentParser:
    """Return a parser with the options that every benchmark has."""
    result = argparse.ArgumentParser(description=description)
    result.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    result.add_argument(
        "--output", type=Path, metavar="FILE", help="also write the JSON document to this file"
    )
    result.add_argument(
        "--bundles", type=Path, metavar="DIR", help="keep what is compiled in this folder, and use it again"
    )
    return result


def contest_options(parser: argparse.ArgumentParser) -> None:
    """The thread counts and the end of a contest of two of our bundles."""
    parser.add_argument("--threads", type=counts, default=[1, 2], metavar="1,2")
    parser.add_argument("--min-runs", type=int, default=200, metavar="N")
    parser.add_argument("--min-secs", type=float, default=5.0, metavar="S")
    parser.add_argument("--max-secs", type=float, default=60.0, metavar="S")


def tsm_edge(*arguments: object) -> dict[str, Any]:
    """Run one verb with --json in a process of its own and return its document; its progress goes to stderr."""
    command = [sys.executable, "-W", "ignore", "-m", "tsm_edge", *map(str, arguments), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RuntimeFailure(
            f"tsm-edge {arguments[0]} failed; its message is above.", found=f"exit {done.returncode}"
        )
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def compiled(
    folder: Path, model: object, *options: object, target: str = "local"
) -> tuple[Path, float | None]:
    """Compile into ``folder`` unless it is there already; return it and the seconds that took, None for nothing."""
    if (folder / "manifest.json").is_file():
        return folder, None
    note(f"compiling {folder.name}")
    start = time.perf_counter()
    tsm_edge("compile", model, "--target", target, *options, "--output", folder)
    return folder, round(time.perf_counter() - start, 1)


def note(text: str) -> None:
    """Say what goes on, on stderr."""
    print(f"-- {text}", file=sys.stderr, flush=True)


def main(
    options: argparse.Namespace,
    measure: Callable[[argparse.Namespace, Path], dict[str, Any]],
    show: Callable[[dict[str, Any]], None],
) -> None:
    """Measure, then print and write the document; the facts of the machine and the time it took are added here."""
    facts, start = machine.facts(), time.perf_counter()
    try:
        with _folder(options.bundles) as folder:
            body = measure(options, folder)
        document = {
            "schema": SCHEMA,
            "benchmark": Path(sys.argv[0]).stem,
            "date": time.strftime("%Y-%m-%d"),
            "machine": facts,
            **body,
            "total_seconds": round(time.perf_counter() - start),
        }
        text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
        if options.output is not None:
            _write(options.output, text)
    except EdgeError as error:
        print(error.report(), file=sys.stderr)
        sys.exit(error.exit_code)
    if options.json:
        print(text, end="")
    elif "skipped" in document:
        print(f"skipped: {document['skipped']}")
    else:
        show(document)


@contextlib.contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix="tsm-edge-bench-") as name:
        yield Path(name)


def _write(path: Path, text: str) -> None:
    """An older result stays whole until the new one is complete."""
    sibling = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    sibling.write_text(text, encoding="utf-8")
    os.replace(sibling, path)


def paired(one: Entry, other: Entry) -> NDArray[np.float64]:
    """The ratio of the median steps of two runners' turns, for every round of a contest.

    The turns of a round are a fraction of a second apart, so what slows a machine for longer slows both; the median
    over the rounds is the ratio to report. Of medians or minima over a whole contest, one may come from another minute
    than the other: the shift of three networks on one and two threads, measured twice, was 0.95 to 1.03 of medians,
    0.995 to 1.020 of minima and 0.994 to 1.006 of rounds.
    """
    turns = (np.reshape(entry.times_ns, (-1, Turn().timed)) for entry in (one, other))
    first, second = (np.median(turn, axis=1) for turn in turns)
    return np.asarray(first / second)


def counts(text: str) -> list[int]:
    """Parse "1,2"."""
    return [int(part) for part in text.split(",")]


def rows(header: Sequence[str], lines: Sequence[Sequence[object]]) -> None:
    """Print a table; numbers with three decimals."""
    from tsm_edge.bench.summary import Fixed
    from tsm_edge.report import print_table

    shown = [[Fixed(cell) if isinstance(cell, float) else cell for cell in line] for line in lines]
    print_table(header, shown)
