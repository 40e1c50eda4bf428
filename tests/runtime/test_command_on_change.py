"""tsm-edge-run --on-change: a program is run for every gesture, as the demo runs it, and never holds up a step."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from command_lab import refused, run

from tsm_edge.demo.events import Event
from tsm_edge.demo.on_change import environment

SIDE = 20
RAW = ("--raw", f"{SIDE}x{SIDE}", "--format", "rgb", "--fps", "12")


@pytest.fixture(scope="module", params=["asan", "tsan"])
def tiny(request, make, build, command, program) -> Path:
    """Its scores are the mean of red, green and blue; red means that there is nothing to report."""
    runner = program if request.param == "asan" else build("tsm-edge-run", command, "-fsanitize=thread")
    return make("-DTINY_WEIGHTS=0.0f,0.0f,0.0f", "-DTINY_IDLE={0}", runner=runner)


@pytest.fixture
def teller(tmp_path) -> Path:
    """A program that writes what it is told into a file, each call as a record of variables."""
    path = tmp_path / "tell it"
    path.write_text(
        "#!/bin/sh\n"
        f"exec >> {shlex.quote(str(tmp_path / 'told'))}\n"
        'env | grep ^TSM_EDGE_ | sort; printf "arguments %s %s\\n" $# "$*"; readlink /proc/self/fd/0; echo end\n'
    )
    path.chmod(0o755)
    return path


def clip(colours: str) -> bytes:
    frames = np.zeros((len(colours), SIDE, SIDE, 3), np.uint8)
    for frame, colour in zip(frames, colours, strict=True):
        frame[..., "rgb".index(colour)] = 255
    return frames.tobytes()


GESTURES = clip("r" * 6 + "g" * 8 + "r" * 8 + "b" * 8 + "r" * 6)


def told(tmp_path: Path) -> list[dict[str, str]]:
    calls = (tmp_path / "told").read_text(encoding="utf-8").split("end\n")[:-1]
    return [dict(line.split("=", 1) for line in call.splitlines() if "=" in line) for call in calls]


def records(lines: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in lines.splitlines()]


@pytest.mark.parametrize("idle", [False, True])
def test_it_is_told_what_the_demo_tells(tiny, teller, tmp_path, idle):
    more = ("--on-change-idle",) if idle else ()
    secret = {"TSM_EDGE_MQTT_PASSWORD": "secret", "TSM_EDGE_LABEL": "old"}
    command = shlex.join([str(teller), "-x", "a b"])
    done = run(tiny, *RAW, "--events", "-", "--on-change", command, *more, data=GESTURES, environment=secret)
    assert done.returncode == 0 and done.stderr == b""
    expected = [record for record in records(done.stdout) if idle or record["kind"] == "gesture"]
    assert len(expected) == (4 if idle else 2)
    calls = told(tmp_path)
    for variables, record in zip(calls, expected, strict=True):
        assert json.loads(variables.pop("TSM_EDGE_RECORD")) == record
        names = ("index", "label", "probability", "ended", "t_s", "frame")
        event = Event(**{name: record[name] for name in names}, id="", at=0.0, source="", model="")
        wanted = environment(event)
        del wanted["TSM_EDGE_RECORD"]
        assert variables == wanted
    text = (tmp_path / "told").read_text()
    assert text.count("arguments 2 -x a b\n/dev/null") == len(expected)


def test_label_and_confidence_are_arguments_after_two_dashes(tiny, teller, tmp_path):
    run(tiny, *RAW, "--on-change", f"'{teller}' --", data=GESTURES)
    text = (tmp_path / "told").read_text()
    assert 'arguments 3 -- a "wave"\\n 0.' in text and "arguments 3 -- café 0." in text


def test_with_decisions_and_alone(tiny, teller, tmp_path):
    lines = records(run(tiny, *RAW, "--decide", "--on-change", f'"{teller}"', data=GESTURES).stdout)
    assert len(lines) == 36 and sum(bool(line["changed"]) for line in lines) >= 4
    done = run(tiny, *RAW, "--on-change", f'"{teller}"', data=GESTURES)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert len(told(tmp_path)) == 4


def test_a_recording_waits_for_a_slow_program_and_a_failing_one_is_said_once(tiny, tmp_path):
    counted = tmp_path / "counted"
    command = f"sh -c 'echo x >> {counted}; exit 3'"
    done = run(tiny, *RAW, "--on-change", command, data=clip(("g" * 8 + "b" * 8) * 40))
    assert len(counted.read_text().split()) == 80
    assert done.stderr.decode().count("ended with status 3; this goes on, and is said once") == 1


def test_one_that_hangs_holds_nothing_up_and_is_ended_with_the_program(tiny, tmp_path):
    """The steps go on; at the end by a signal, what has not run within five seconds is given up."""
    mark = tmp_path / "mark"
    live = RAW[:-2]
    pipe = subprocess.PIPE
    command = f"sh -c 'sleep 300 & echo $! > {mark}; wait'"
    arguments = [tiny / "tsm-edge-run", *live, "--decide", "--on-change", command]
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    with subprocess.Popen(arguments, stdin=pipe, stdout=pipe, stderr=pipe, env=environment) as process:
        assert process.stdin and process.stdout and process.stderr
        begun = time.monotonic()
        seen = 0
        while seen < 30:  # two and a half seconds of a live source
            process.stdin.write(clip("g" if seen < 8 else "b" if seen < 16 else "g"))
            process.stdin.flush()
            time.sleep(0.09)
            seen += 1
        process.send_signal(signal.SIGTERM)
        steps = len(process.stdout.read().splitlines())
        said = process.stderr.read().decode()
        assert process.wait(60) == 128 + signal.SIGTERM
        assert time.monotonic() - begun < 40  # a hang would be 300 s
    assert steps >= 12
    assert "took too long and was ended" in said and "heard of 2 gestures" in said and "Sanitizer" not in said
    sleeper = int(mark.read_text())
    for _ in range(100):
        if not Path(f"/proc/{sleeper}/cmdline").exists() or not Path(f"/proc/{sleeper}/cmdline").read_text():
            break
        time.sleep(0.05)
    else:
        pytest.fail("what the program had started still runs")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("", 2, "bad value for --on-change"),
        ("  ", 2, "names no command"),
        ("'a", 2, "a quote that is not closed"),
        ("a\\", 2, "nothing behind it"),
        ("echo $TSM_EDGE_LABEL", 2, "ask for a shell"),
        ("no-such-program-anywhere x", 5, "no executable file 'no-such-program-anywhere'"),
        ("/etc/passwd", 5, "chmod +x"),
    ],
)
def test_commands_that_cannot_be_run(tiny, words, code, says):
    refused(tiny, code, says, arguments=(*RAW, "--on-change", words))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--bench", "--on-change", "true"), "--on-change does not go with this mode"),
        ((*RAW, "--on-change-idle"), "it needs --on-change"),
        ((*RAW, "--dump", "--on-change", "true"), "choose one of --dump and --on-change"),
        ((*RAW, "--on-change"), "found: nothing"),
    ],
)
def test_usage(tiny, arguments, says):
    refused(tiny, 2, says, arguments=arguments)


WORDS = """
#include "words.h"
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv) {
    for (int a = 1; a < argc; a++) {
        size_t count;
        const char *why;
        char **words = words_split(argv[a], &count, &why);
        for (size_t i = 0; words != NULL && i < count; i++) fwrite(words[i], 1, __builtin_strlen(words[i]) + 1, stdout);
        putchar(words == NULL ? 2 : 1);
        free(words);
    }
    return 0;
}
"""


def test_words_are_those_of_the_demo(build, runtime, tmp_path):
    source = tmp_path / "words_main.c"
    source.write_text(WORDS)
    program = build("words", [source, runtime / "command" / "words.c"], "-fsanitize=address,undefined")
    rng = np.random.default_rng(2)
    texts = ["", "a", "a ''", "''", '"\\a\\"\\\\"', "a\\ b", "'a\"b'c\"d'\"", "é '"]
    texts += ["".join(rng.choice(list("ab \\'\"\t$"), rng.integers(1, 12))) for _ in range(150)]
    found = subprocess.run([program, *texts], capture_output=True, check=True).stdout.decode()
    for text in texts:
        try:
            expected = "".join(word + "\0" for word in shlex.split(text)) + "\1"
        except ValueError:
            expected = found[: found.index("\2") + 1]
            assert "\1" not in expected, text
        assert found.startswith(expected), text
        found = found[len(expected) :]
    assert found == ""
