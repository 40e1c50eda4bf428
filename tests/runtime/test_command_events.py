"""tsm-edge-run --events: the record of the demo's events, on stdout and at a Unix socket."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from command_lab import refused, run

from tsm_edge.demo.events import RECORD, Event, Events, Shown

SIDE = 20
RAW = ("--raw", f"{SIDE}x{SIDE}", "--format", "rgb", "--fps", "12")


@pytest.fixture(scope="module")
def tiny(make, plain_program) -> Path:
    """Its scores are the mean of red, green and blue; red means that there is nothing to report."""
    return make("-DTINY_WEIGHTS=0.0f,0.0f,0.0f", "-DTINY_IDLE={0}", runner=plain_program)


def clip(colours: str) -> bytes:
    frames = np.zeros((len(colours), SIDE, SIDE, 3), np.uint8)
    for frame, colour in zip(frames, colours, strict=True):
        frame[..., "rgb".index(colour)] = 255
    return frames.tobytes()


def told_by_the_demo(lines: bytes) -> list[Event]:
    """What demo/events.py makes of the decisions that --decide printed."""
    events = Events(source="stdin", model="tiny", run="0" * 12)
    found = []
    for line in map(json.loads, lines.splitlines()):
        shown = {
            name: line[name] for name in ("index", "label", "probability", "idle", "changed", "t_s", "frame")
        }
        event = events.take(Shown(**shown))
        if event is not None:
            found.append(event)
    return found


@pytest.mark.parametrize(
    "colours", ["r" * 6 + "g" * 8 + "r" * 8 + "b" * 8 + "g" * 8 + "r" * 6, "g" * 9, "r" * 9]
)
def test_the_same_records_as_the_demo(tiny, colours):
    expected = told_by_the_demo(run(tiny, *RAW, "--decide", data=clip(colours)).stdout)
    done = run(tiny, *RAW, "--events", "-", data=clip(colours))
    assert done.returncode == 0 and done.stderr == b""
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(expected) == {"r": 0, "g": 1}.get(colours[0] if len(colours) < 10 else "", 5)
    runs = set()
    for number, (record, event) in enumerate(zip(found, expected, strict=True), 1):
        assert list(record) == [field.name for field in RECORD]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record.pop("time"))
        run_name, _, count = record.pop("id").partition("-")
        runs.add(run_name)
        assert int(count) == number and re.fullmatch("[0-9a-f]{12}", run_name)
        assert record == {name: value for name, value in event.record().items() if name not in ("id", "time")}
    assert len(runs) <= 1


def started(folder: Path, place: Path) -> subprocess.Popen[bytes]:
    command = [folder / "tsm-edge-run", *RAW, "--events", str(place)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=dict(os.environ))
    until = time.monotonic() + 30
    while not place.exists() and time.monotonic() < until and process.poll() is None:
        time.sleep(0.01)
    return process


def test_a_socket_for_several_readers(tiny, tmp_path):
    """Two read; one hangs up; one connects late. The place of a run that was killed is taken over."""
    place = tmp_path / "events"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(place))
    readers = [socket.socket(socket.AF_UNIX) for _ in range(2)]
    with started(tiny, place) as process:
        assert process.stdin and process.stdout and process.stderr
        until = time.monotonic() + 30
        while readers[0].connect_ex(str(place)) != 0:
            assert time.monotonic() < until
            time.sleep(0.01)
        readers[1].connect(str(place))
        process.stdin.write(clip("r" * 4 + "g" * 8))
        process.stdin.flush()
        first = [json.loads(reader.makefile().readline()) for reader in readers]
        assert first[0] == first[1] and first[0]["kind"] == "gesture" and first[0]["index"] == 1
        readers[1].close()
        process.stdin.write(clip("r" * 8))
        process.stdin.flush()
        assert json.loads(readers[0].makefile().readline())["ended"] == first[0]["label"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM
        assert process.stdout.read() == b"" and process.stderr.read() == b""
        assert readers[0].recv(1) == b""
    readers[0].close()
    assert not place.exists()


def test_a_reader_that_never_reads_is_hung_up_on_and_stalls_nothing(tiny, tmp_path):
    """Its socket is full after some hundred records; the steps go on, and the other reader is told everything."""
    place, gestures = tmp_path / "events", 1500
    with (
        started(tiny, place) as process,
        socket.socket(socket.AF_UNIX) as deaf,
        socket.socket(socket.AF_UNIX) as good,
    ):
        assert process.stdin and process.stderr
        for reader in (deaf, good):
            until = time.monotonic() + 30
            while reader.connect_ex(str(place)) != 0:
                assert time.monotonic() < until
                time.sleep(0.01)
        heard: list[bytes] = []
        listener = threading.Thread(target=lambda: heard.extend(good.makefile("rb")))
        listener.start()
        for _ in range(gestures // 50):
            process.stdin.write(clip(("g" * 8 + "b" * 8) * 25))
        process.stdin.close()
        assert process.wait(60) == 0
        listener.join(30)
        said = process.stderr.read()
    assert said.count(b"does not keep up; it is hung up on") == 1
    assert len(heard) == gestures and [json.loads(line)["index"] for line in heard[-2:]] == [1, 2]


def test_places_that_cannot_be_had(tiny, tmp_path):
    file = tmp_path / "a file"
    file.write_text("mine")
    refused(tiny, 1, "a file' is in use", arguments=(*RAW, "--events", str(file)))
    assert file.read_text() == "mine"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "live"))
        other.listen()
        refused(tiny, 1, "a program behind it", arguments=(*RAW, "--events", str(tmp_path / "live")))
    refused(tiny, 1, "too long", arguments=(*RAW, "--events", "x" * 200))
    refused(
        tiny, 1, "cannot make the socket", arguments=(*RAW, "--events", str(tmp_path / "none" / "events"))
    )
    refused(tiny, 2, "bad value for --events", arguments=(*RAW, "--events", "--decide"))
    refused(
        tiny, 2, "choose one of --dump, --decide and --events", arguments=(*RAW, "--events", "-", "--decide")
    )
    refused(tiny, 2, "--events does not go", arguments=("--bench", "--events", "-"))
