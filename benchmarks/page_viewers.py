"""What viewers of the live page cost the model: the time of a step with nobody and with many looking on.

    python benchmarks/page_viewers.py BUNDLE [--viewers 100] [--rounds 5] [--json] [--output FILE]

It takes under three minutes. Each round runs `tsm-edge demo --video CLIP --serve` by its clock twice, without and with
viewers, and takes the times of the steps from its JSON lines and the processor time of the demo from the system. A
viewer does what the page does: it asks for the next picture when it has the last one; one that is refused comes back
after half a second to five. In use viewers are on other machines; here they are one process on this machine, whose own
work is in the figures unless `--viewers-nice 19` has it give way. The ratios are medians over the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import _common
import numpy as np

from tsm_edge.demo import REAL_CLIP
from tsm_edge.errors import RuntimeFailure

SETTLING_S = 2.0  # of each run: the viewers come, the caches fill


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run the rounds, the order of the two runs changing."""
    rounds = []
    for number in range(options.rounds):
        _common.note(f"round {number + 1} of {options.rounds}")
        counts = (0, options.viewers) if number % 2 == 0 else (options.viewers, 0)
        runs = {count: one_run(options, count) for count in counts}
        rounds.append({"alone": runs[0], "viewed": runs[options.viewers]})
    ratios = {
        name: round(median(one["viewed"][name] / one["alone"][name] for one in rounds), 3)
        for name in ("median_ms", "p95_ms", "p99_ms", "processors")
    }
    return {
        "bundle": options.bundle.name,
        "viewers": options.viewers,
        "viewers_nice": options.viewers_nice,
        "stream": options.stream,
        "seconds": options.seconds,
        "ratio": ratios,
        "rounds": rounds,
    }


def one_run(options: argparse.Namespace, viewers: int) -> dict[str, Any]:
    """Return the times of the steps of one run, and what the viewers saw."""
    command = [sys.executable, "-m", "tsm_edge", "demo", "--bundle", str(options.bundle), "--loop", "--json"]
    command += ["--video", str(options.video), "--serve", "127.0.0.1:0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    found = re.search(r"http://\S+", process.stderr.readline())
    if found is None:
        raise RuntimeFailure("The demo did not start.", found=process.communicate()[1].strip())
    seen = multiprocessing.get_context("spawn").Manager().dict() if viewers else {}
    crowd = multiprocessing.get_context("spawn").Process(
        target=look_on, args=(found[0], options, seen), daemon=True
    )
    if viewers:
        crowd.start()
    steps = []
    try:
        for line in process.stdout:
            step = json.loads(line)
            if "ms" not in step:
                raise RuntimeFailure("The demo ended early.", found=line.strip())
            steps.append(step["ms"])
            if step["t_s"] >= SETTLING_S + options.seconds:
                break
            if step["t_s"] < SETTLING_S:
                steps.clear()
                began, cpu_s = time.monotonic(), _cpu_seconds(process.pid)
        cpu = (_cpu_seconds(process.pid) - cpu_s) / (time.monotonic() - began)
    finally:
        process.terminate()
        process.communicate(timeout=60)
        if viewers:
            crowd.terminate()
            crowd.join()
    times = {f"p{share}_ms": round(float(np.percentile(steps, share)), 4) for share in (95, 99)}
    pictures = {"pictures_a_second": round(sum(seen.values()) / options.seconds, 1)} if viewers else {}
    facts = {"steps": len(steps), "median_ms": round(median(steps), 4), **times}
    return {**facts, "processors": round(cpu, 4), **pictures}


def _cpu_seconds(pid: int) -> float:
    """The processor time that all threads of the demo have used, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def look_on(url: str, options: argparse.Namespace, seen: dict[int, int]) -> None:
    """Be the viewers until the demo has ended; count the pictures of all in ``seen``."""
    os.nice(options.viewers_nice)
    deadline = time.monotonic() + SETTLING_S + options.seconds + 30
    asyncio.run(_crowd(url, options.viewers, options.stream, deadline, seen))


async def _crowd(url: str, viewers: int, stream: bool, deadline: float, seen: dict[int, int]) -> None:
    counts = [0] * viewers
    kinds = [(_viewer, _reader)[number % 2] if stream else _viewer for number in range(viewers)]
    ones = [asyncio.create_task(one(url, number, counts, deadline)) for number, one in enumerate(kinds)]
    while time.monotonic() < deadline:
        await asyncio.sleep(0.5)
        seen[0] = sum(counts)
    await asyncio.gather(*ones)


async def _viewer(url: str, number: int, counts: list[int], deadline: float) -> None:
    """One page: a request at a time on one connection."""
    where = urlsplit(url)
    assert where.hostname is not None
    failures, after = 0, 0
    while time.monotonic() < deadline:
        try:
            reader, writer = await asyncio.open_connection(where.hostname, where.port)
            while time.monotonic() < deadline:
                request = f"GET /next?after={after} HTTP/1.1\r\nHost: {where.netloc}\r\n\r\n"
                writer.write(request.encode())
                status, body = await _answer(reader)
                if status != 200:
                    break
                after = json.loads(body[4 : 4 + int.from_bytes(body[:4], "big")])["number"]
                failures = 0
                counts[number] += 1
            writer.close()
        except (OSError, asyncio.IncompleteReadError):
            pass
        failures += 1
        await asyncio.sleep(min(5.0, 0.5 * 2 ** min(failures, 4)))


async def _reader(url: str, number: int, counts: list[int], deadline: float) -> None:
    """One program that reads the Motion JPEG stream."""
    where = urlsplit(url)
    assert where.hostname is not None
    while time.monotonic() < deadline:
        try:
            reader, writer = await asyncio.open_connection(where.hostname, where.port, limit=1 << 20)
            writer.write(f"GET /stream.mjpg HTTP/1.1\r\nHost: {where.netloc}\r\n\r\n".encode())
            if (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1] == b"200":
                while time.monotonic() < deadline:
                    head = await reader.readuntil(b"\r\n\r\n")
                    await reader.readexactly(int(head.rpartition(b":")[2]) + 2)
                    counts[number] += 1
            writer.close()
        except (OSError, ValueError, IndexError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        await asyncio.sleep(1.0)


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    length = re.search(r"content-length: *([0-9]+)", head, re.IGNORECASE)
    body = await reader.readexactly(int(length[1])) if length else b""
    return int(head.split(" ", 2)[1]), body


def show(document: dict[str, Any]) -> None:
    """Print the rounds and the ratios."""
    names = ("median_ms", "p95_ms", "p99_ms", "processors")
    lines = []
    for number, one in enumerate(document["rounds"], 1):
        for kind in ("alone", "viewed"):
            lines.append((number, kind, *(one[kind][name] for name in names)))
    _common.rows(("round", "run", *names), lines)
    ratios = ", ".join(f"{name.removesuffix('_ms')} {document['ratio'][name]}" for name in names)
    print(f"with {document['viewers']} viewers over without: {ratios}")


if __name__ == "__main__":
    parser = _common.parser(__doc__.partition("\n")[0])
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument("--viewers", type=int, default=100, metavar="N")
    parser.add_argument("--stream", action="store_true", help="every other viewer reads /stream.mjpg")
    parser.add_argument("--viewers-nice", type=int, default=0, metavar="N", help="nice level of their process")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S", help="of each run, after 2 s to settle")
    parser.add_argument("--video", type=Path, default=REAL_CLIP, metavar="CLIP")
    _common.main(parser.parse_args(), measure, show)
