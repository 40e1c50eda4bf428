"""Read a bundle again and again beside a process that replaces it without a pause.

Every read must give a whole bundle, the older or the newer one; none may fail. With `--two-renames` the writer does as
on a file system that cannot exchange two folders.

    python tests/abuse/readers.py --long
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "helpers"))
import disk_scenes

LONG_READS = 1_000_000
_CHANGES, _LONGEST_S = 5, 120.0  # that a reader must have seen, so that the writer wrote; how long it waits for that


def write_for_ever(folder: Path, *, two_renames: bool) -> None:
    """Replace the bundle in `folder` by one with another number of threads, 1 to 64, again and again."""
    from tsm_edge.files import atomic

    if two_renames:
        atomic.exchange = lambda one, other: False
    while True:
        for threads in range(1, 65):
            disk_scenes.write_bundle(folder, threads)


def main() -> int:
    """Read beside a writer and print how often; 1 when a read failed or the writer stood still."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--long", action="store_true", help=f"{LONG_READS} reads")
    parser.add_argument("--reads", type=int, default=2000)
    parser.add_argument("--two-renames", action="store_true")
    options = parser.parse_args()
    from tsm_edge import bundle
    from tsm_edge.errors import BundleError

    reads = LONG_READS if options.long else options.reads
    with tempfile.TemporaryDirectory(prefix="abuse-readers-") as place:
        folder = Path(place) / "toy"
        disk_scenes.write_bundle(folder, 1)
        writer = os.fork()
        if writer == 0:
            write_for_ever(folder, two_renames=options.two_renames)
        seen, changes, failures, last, begin = set(), 0, [], 0, time.monotonic()
        number = 0
        while number < reads or (changes < _CHANGES and time.monotonic() < begin + _LONGEST_S):
            number += 1
            if number % 100_000 == 0:
                print(f"{number} reads, {changes} changes, {len(failures)} failures", file=sys.stderr, flush=True)
            try:
                threads = bundle.verify(folder).threads
            except BundleError as error:
                failures.append(str(error))
                continue
            seen.add(threads)
            changes += threads != last
            last = threads
        seconds = time.monotonic() - begin
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
    print(f"{number} reads in {seconds:.0f} s beside a writer, {changes} changes seen, {len(failures)} failures")
    for failure in failures[:5]:
        print(f"  {failure}")
    return int(bool(failures) or changes < _CHANGES)


if __name__ == "__main__":
    sys.exit(main())
