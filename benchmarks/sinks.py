"""What dead sinks cost the model: the time of a step with none, and with all of them stalled.

    python benchmarks/sinks.py BUNDLE [--rounds 8] [--seconds 6] [--json] [--output FILE]

It takes under three minutes. Each round runs `tsm-edge demo --video CLIP --loop --serve` by its clock twice and takes
the times of the steps from its JSON lines: alone, and with a webhook and a broker that accept connections and never
answer, a command of --on-change that never ends, listeners of /events and readers of /metrics that never read. The clip
holds a gesture every few seconds, and the model sees each of its frames (`--fps 24`), twice as many as in use, so that
there are more steps to take the 95th percentile of. The order of the two runs changes, and the ratios are medians over
the rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import _common
import numpy as np

from tsm_edge.demo import SAMPLE_CLIP
from tsm_edge.errors import RuntimeFailure

_SETTLE_S = 2.0
_LISTENERS = 4  # that never read, of each page


class Silent:
    """Accepts every connection and says nothing."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._kept: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._kept.append(self._listener.accept()[0])

    @property
    def connections(self) -> int:
        """How many came."""
        return len(self._kept)

    def close(self) -> None:
        """Let all go."""
        for one in (self._listener, *self._kept):
            one.close()


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Take turns and compare."""
    rounds = []
    for number in range(options.rounds):
        _common.note(f"round {number + 1} of {options.rounds}")
        order = ("alone", "stalled") if number % 2 == 0 else ("stalled", "alone")
        rounds.append({kind: turn(options, stalled=kind == "stalled") for kind in order})
    names = ("median_ms", "p95_ms", "p99_ms")
    medians = {
        kind: {name: round(float(np.median([one[kind][name] for one in rounds])), 4) for name in names}
        for kind in ("alone", "stalled")
    }
    ratios = {name: [one["stalled"][name] / one["alone"][name] for one in rounds] for name in names}
    ratio = {name: round(float(np.median(ratios[name])), 3) for name in names}
    return {
        "bundle": options.bundle.name,
        "seconds": options.seconds,
        "rounds": rounds,
        "medians": medians,
        "ratio": ratio,
        "p95_bound": 1.1,
    }


def turn(options: argparse.Namespace, *, stalled: bool) -> dict[str, Any]:
    """One run of the demo."""
    silent = [Silent(), Silent()] if stalled else []
    command = [
        sys.executable, "-W", "ignore", "-m", "tsm_edge", "demo", "--bundle", str(options.bundle), "--json", "--loop",
        "--video", str(options.video), "--fps", "24", "--serve", "127.0.0.1:0",
    ]  # fmt: skip
    if stalled:
        command += [
            "--webhook", f"http://127.0.0.1:{silent[0].port}/", "--mqtt", f"mqtt://127.0.0.1:{silent[1].port}/x",
            "--on-change", "sleep 1000", "--on-change-idle",
        ]  # fmt: skip
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        with listeners(demo, stalled):
            times, events = steps(demo, options.seconds)
    finally:
        demo.kill()
        demo.wait()
    if stalled and not (events and silent[0].connections and silent[1].connections):
        raise RuntimeFailure("Nothing was told in this turn, so nothing stalled.", found=f"{events} events")
    for one in silent:
        one.close()
    return {
        "steps": len(times),
        "events": events,
        "median_ms": round(float(np.median(times)), 4),
        "p95_ms": round(float(np.percentile(times, 95)), 4),
        "p99_ms": round(float(np.percentile(times, 99)), 4),
    }


@contextlib.contextmanager
def listeners(demo: subprocess.Popen[str], stalled: bool) -> Iterator[None]:
    """Wait for the page's address; open connections to it that never read."""
    assert demo.stderr is not None
    port = 0
    for line in demo.stderr:
        if found := re.search(r"live page: http://127\.0\.0\.1:(\d+)/", line):
            port = int(found[1])
            break
    if not port:
        raise RuntimeFailure("The demo did not start.", hint="run it alone: tsm-edge demo --bundle BUNDLE")
    threading.Thread(target=demo.stderr.read, daemon=True).start()
    opened = []
    for path in ("/events", "/metrics") if stalled else ():
        for _ in range(_LISTENERS):
            one = socket.create_connection(("127.0.0.1", port))
            one.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            opened.append(one)
    try:
        yield
    finally:
        for one in opened:
            one.close()


def steps(demo: subprocess.Popen[str], seconds: float) -> tuple[list[float], int]:
    """The times of the steps after the run has settled, and how many events there were in all."""
    assert demo.stdout is not None
    times, events, begin = [], 0, 0.0
    for line in demo.stdout:
        now = time.monotonic()
        begin = begin or now
        result = json.loads(line)
        events += result.get("event") is not None
        if now - begin > _SETTLE_S:
            times.append(float(result["ms"]))
        if now - begin > _SETTLE_S + seconds:
            break
    if len(times) < 10:
        raise RuntimeFailure("The demo ended before it was measured.", found=f"{len(times)} steps")
    return times, events


def show(document: dict[str, Any]) -> None:
    """Print the rounds and the ratios."""
    names = ("median_ms", "p95_ms", "p99_ms")
    lines = []
    for number, one in enumerate(document["rounds"], 1):
        for kind in ("alone", "stalled"):
            lines.append((number, kind, one[kind]["events"], *(one[kind][name] for name in names)))
    _common.rows(("round", "run", "events", *names), lines)
    ratios = ", ".join(f"{name.removesuffix('_ms')} {document['ratio'][name]}" for name in names)
    print(f"with all sinks stalled over none: {ratios}")


if __name__ == "__main__":
    parser = _common.parser(__doc__.partition("\n")[0])
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument("--rounds", type=int, default=8, metavar="N")
    parser.add_argument("--seconds", type=float, default=6.0, metavar="S", help="of each run, after 2 s to settle")
    parser.add_argument("--video", type=Path, default=SAMPLE_CLIP, metavar="CLIP")
    _common.main(parser.parse_args(), measure, show)
