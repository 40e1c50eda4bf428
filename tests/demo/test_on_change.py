"""The command that hears of gestures: what it is given, that none is lost, and that it can do no harm."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path

import pytest

from tsm_edge.demo.events import Event
from tsm_edge.demo.on_change import SECRETS, OnChange, Told, parse
from tsm_edge.errors import ToolMissing, UsageError


@pytest.fixture
def script(tmp_path):
    """Return a function that writes a shell script, which finds its folder in $here, and gives its path."""

    def write(body: str, name: str = "told") -> Path:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\nhere={tmp_path}\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    return write


def event(label: str, number: int = 0, ended: str = "") -> Event:
    return Event(index=number, label=label, probability=0.87449, t_s=number / 12, frame=number, ended=ended)


def wait_for(condition, timeout_s=20.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize(
    ("command", "kind", "said"),
    [
        ("", UsageError, "names no command"),
        ("   ", UsageError, "names no command"),
        ("''", UsageError, "names no command"),
        ("echo $TSM_EDGE_LABEL", UsageError, "sh -c"),
        ("say --text=${TSM_EDGE_LABEL}", UsageError, "--text=${TSM_EDGE_LABEL}"),
        ("sh -c 'oops", UsageError, "No closing quotation"),
        ("no-such-program-anywhere x", ToolMissing, "no-such-program-anywhere"),
        ("-- x", ToolMissing, "'--'"),
        (__file__, ToolMissing, "chmod +x"),
    ],
)
def test_what_cannot_be_run_is_refused_at_once(command, kind, said):
    with pytest.raises(kind, match="--on-change") as caught:
        parse(command)
    assert said in str(caught.value)


def test_it_is_split_like_a_shell_does():
    assert parse('sh -c \'echo "$1"\' "two words" x\\ y') == ["sh", "-c", 'echo "$1"', "two words", "x y"]


def test_a_shell_that_is_asked_for_may_read_the_variables():
    words = parse('sh -c "echo \\"$TSM_EDGE_LABEL\\""')
    assert words == ["sh", "-c", 'echo "$TSM_EDGE_LABEL"']


def test_a_gesture_stands_in_the_environment(script, tmp_path, capfd, monkeypatch):
    for name in [name for name in os.environ if name.startswith("TSM_EDGE_")]:
        monkeypatch.delenv(name)
    for name in SECRETS:  # are none of the command's business
        monkeypatch.setenv(name, "a secret of the demo")
    told = OnChange([str(script("env | grep ^TSM_EDGE_ | sort > $here/out"))])
    told.tell(event("Swiping Left", 3))
    told.finish(patient=True)
    assert lines(tmp_path / "out") == [
        "TSM_EDGE_CONFIDENCE=0.8745",
        "TSM_EDGE_ENDED=",
        "TSM_EDGE_EVENT=gesture",
        "TSM_EDGE_FRAME=3",
        "TSM_EDGE_INDEX=3",
        "TSM_EDGE_LABEL=Swiping Left",
        f"TSM_EDGE_RECORD={json.dumps(event('Swiping Left', 3).record())}",
        "TSM_EDGE_TIME=0.250",
    ]
    assert capfd.readouterr() == ("", "")


HOSTILE = [
    "--help",
    "-rf",
    "-delete",
    "--version",
    "",
    "$(touch hit); \"quoted\" `touch hit` > hit | 'x'",
    "line\nTSM_EDGE_INDEX=9\rend",
    "\x1b]0;owned\x07\x9b2J\u202egpj",
    "nul\0nul",
    "half a pair \ud83d",
    "手势 é",
]


def test_no_label_is_an_option_or_a_command(script, tmp_path, capfd):
    """A program that takes options, one that takes expressions, and one that runs its argument."""
    (tmp_path / "kept").write_text("x")
    path = script("printf '%s|' $# \"$TSM_EDGE_INDEX\" \"$TSM_EDGE_LABEL\" >> $here/out", "show")
    for words in ([str(path)], ["find", str(tmp_path)], ["env"], ["rm", "-f"], ["sh", "-c", "true", "sh"]):
        told = OnChange(words)
        for number, label in enumerate(HOSTILE):
            told.tell(event(label, number))
        told.finish(patient=True)
        assert told.told == Told(called=len(HOSTILE), failed=0, dropped=0, untold=0)
    assert (tmp_path / "kept").exists() and path.exists()
    assert not (tmp_path / "hit").exists()
    shown = (tmp_path / "out").read_text().split("|")[:-1]
    assert shown[:9] == ["0", "0", "--help", "0", "1", "-rf", "0", "2", "-delete"]
    assert "line\\nTSM_EDGE_INDEX=9\\rend" in shown
    assert "\\x1b]0;owned\\x07\\x9b2J\\u202egpj" in shown
    assert "nul\\x00nul" in shown
    assert shown[-1] == "手势 é"
    assert "\x1b" not in (tmp_path / "out").read_text()


def test_a_command_that_ends_its_options_gets_label_and_confidence(script, tmp_path):
    told = OnChange([str(script('printf "%s|" "$@" >> $here/out')), "-t", "a b", "--"])
    told.tell(event("-rf"))
    told.tell(event("a\nb"))
    told.finish(patient=True)
    assert (tmp_path / "out").read_text() == "-t|a b|--|-rf|0.8745|-t|a b|--|a\\nb|0.8745|"


def test_what_it_prints_goes_to_stderr_and_it_is_given_no_input(script, capfd):
    told = OnChange([str(script("cat; echo heard $TSM_EDGE_LABEL"))])
    told.tell(event("Stop Sign"))
    told.finish(patient=True)
    assert capfd.readouterr() == ("", "heard Stop Sign\n")


def test_all_are_told_in_order_one_at_a_time_and_nobody_waits(script, tmp_path):
    body = (
        'echo begin $TSM_EDGE_LABEL >> $here/out; while [ ! -e "$here/go" ]; do sleep 0.02; done; '
        "echo end $TSM_EDGE_LABEL >> $here/out"
    )
    told = OnChange([str(script(body))])
    for label in "abacb":
        told.tell(event(label))  # returns, although "a" still runs
    wait_for(lambda: lines(tmp_path / "out"))
    assert lines(tmp_path / "out") == ["begin a"]
    (tmp_path / "go").touch()
    told.finish(patient=True)
    assert lines(tmp_path / "out") == [f"{what} {label}" for label in "abacb" for what in ("begin", "end")]
    assert told.told == Told(called=5, failed=0, dropped=0, untold=0)


def test_what_finds_the_queue_full_is_counted_and_said(script, tmp_path, capfd):
    body = 'echo $TSM_EDGE_LABEL >> $here/out; while [ ! -e "$here/go" ]; do sleep 0.02; done'
    told = OnChange([str(script(body))], room=3)
    told.tell(event("a"))
    wait_for(lambda: lines(tmp_path / "out"))
    for label in "bcdef":
        told.tell(event(label))
    (tmp_path / "go").touch()
    told.finish(patient=True)
    assert lines(tmp_path / "out") == list("abcd")
    assert told.told == Told(called=4, failed=0, dropped=2, untold=0)
    assert capfd.readouterr().err.count("3 gestures wait") == 1


def test_a_replay_waits_for_a_place_in_the_queue(script, tmp_path):
    told = OnChange([str(script("sleep 0.05; echo $TSM_EDGE_LABEL >> $here/out"))], room=2, wait=True)
    for number in range(12):
        told.tell(event(str(number)))
    told.finish(patient=True)
    assert lines(tmp_path / "out") == [str(number) for number in range(12)]
    assert told.told == Told(called=12, failed=0, dropped=0, untold=0)


def test_a_run_that_is_stopped_names_what_was_not_told(script, tmp_path, capfd):
    told = OnChange([str(script("echo $$ >> $here/out; exec sleep 600"))], parting_s=0.3)
    for number, label in enumerate(["a", "b", "\x1b[2J", "d", "e", "f", "g", "h"]):
        told.tell(event(label, number))
    wait_for(lambda: lines(tmp_path / "out"))
    began = time.monotonic()
    told.finish(patient=False)
    assert time.monotonic() - began < 5
    assert told.told == Told(called=1, failed=1, dropped=0, untold=7)
    err = capfd.readouterr().err
    assert "heard of b (0.08 s), \\x1b[2J (0.17 s), d (0.25 s), e (0.33 s), f (0.42 s) and 2 more" in err
    assert not Path("/proc", lines(tmp_path / "out")[0]).exists()
    told.finish(patient=False)
    assert capfd.readouterr().err == ""


def test_in_the_parting_time_what_waits_is_still_told(script, tmp_path):
    told = OnChange([str(script("sleep 0.1; echo $TSM_EDGE_LABEL >> $here/out"))], parting_s=20)
    for label in "abcd":
        told.tell(event(label))
    told.finish(patient=False)
    assert lines(tmp_path / "out") == list("abcd")


def test_the_user_can_stop_the_end_of_a_file_from_waiting(script, tmp_path, capfd):
    asked = iter([False] * 3)
    path = script("echo >> $here/out; exec sleep 600")
    told = OnChange([str(path)], stopped=lambda: next(asked, True), parting_s=0.2)
    told.tell(event("a"))
    told.tell(event("b"))
    wait_for(lambda: lines(tmp_path / "out"))
    told.finish(patient=True)
    assert told.told == Told(called=1, failed=1, dropped=0, untold=1)


def test_the_end_of_a_file_says_what_it_waits_for(script, monkeypatch, capfd):
    monkeypatch.setattr("tsm_edge.demo.on_change._PATIENCE_S", 0.1)
    told = OnChange([str(script("sleep 0.5"))])
    told.tell(event("a"))
    told.tell(event("b"))
    told.finish(patient=True)
    assert "2 calls of --on-change are still to end; Ctrl-C gives up" in capfd.readouterr().err


def test_one_that_fails_is_said_once(script, capfd):
    told = OnChange([str(script("exit 3"))])
    told.tell(event("a"))
    told.tell(event("b"))
    told.finish(patient=True)
    err = capfd.readouterr().err
    assert err.count("\n") == 1
    assert "ended with status 3" in err
    assert told.told == Told(called=2, failed=2, dropped=0, untold=0)


def test_one_that_has_gone_is_said_once(script, capfd):
    path = script("true")
    words = parse(str(path))
    path.unlink()
    told = OnChange(words)
    told.tell(event("a"))
    told.tell(event("b"))
    told.finish(patient=True)
    err = capfd.readouterr().err
    assert err.count("\n") == 1
    assert "could not be started" in err
    assert told.told == Told(called=0, failed=2, dropped=0, untold=0)


def test_one_that_hangs_is_ended_with_its_children_and_leaves_no_zombie(script, tmp_path, capfd):
    told = OnChange([str(script("sleep 600 & echo $$ $! > $here/pids; wait"))], longest_s=0.3)
    told.tell(event("a"))
    told.finish(patient=True)
    assert "took too long" in capfd.readouterr().err
    shell, sleep = (int(pid) for pid in (tmp_path / "pids").read_text().split())
    assert not Path(f"/proc/{shell}").exists()
    # The grandchild is an orphan: whoever is process 1 here may take its time to reap it.
    status = Path(f"/proc/{sleep}/stat")
    wait_for(lambda: not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] == "Z")
