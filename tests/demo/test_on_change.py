"""A command that is run when the label changes: its arguments, how often, and that it can do no harm."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import pytest

from tsm_edge.demo.on_change import OnChange, parse
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
        ("sh -c 'oops", UsageError, "No closing quotation"),
        ("no-such-program-anywhere x", ToolMissing, "no-such-program-anywhere"),
        (__file__, ToolMissing, "chmod +x"),
    ],
)
def test_what_cannot_be_run_is_refused_at_once(command, kind, said):
    with pytest.raises(kind, match="--on-change") as caught:
        parse(command)
    assert said in str(caught.value)


def test_it_is_split_like_a_shell_does():
    assert parse('sh -c \'echo "$1"\' "two words" x\\ y') == ["sh", "-c", 'echo "$1"', "two words", "x y"]


def test_label_and_confidence_are_arguments_that_no_shell_reads(script, tmp_path, capfd):
    told = script('printf "%s|" "$@" >> $here/out')
    change = OnChange([str(told), "a b"])
    change.tell('$(touch hit); "quoted" `x` > y', 0.874)
    change.close()
    assert (tmp_path / "out").read_text() == 'a b|$(touch hit); "quoted" `x` > y|0.87|'
    assert not (tmp_path / "hit").exists()
    assert capfd.readouterr() == ("", "")


def test_what_it_prints_goes_to_stderr_and_it_is_given_no_input(script, capfd):
    change = OnChange([str(script("cat; echo heard $1"))])
    change.tell("Stop Sign", 1.0)
    change.close()
    assert capfd.readouterr() == ("", "heard Stop Sign\n")


def test_of_many_changes_the_first_and_the_newest_are_told(script, tmp_path):
    change = OnChange([str(script("echo $1 $(date +%s%N) >> $here/out"))], every_s=0.5)
    change.tell("a", 0.5)
    wait_for(lambda: lines(tmp_path / "out"))
    for label in "bcd":
        change.tell(label, 0.5)
    wait_for(lambda: len(lines(tmp_path / "out")) == 2)
    change.close()
    labels, times = zip(*(line.split() for line in lines(tmp_path / "out")))
    assert labels == ("a", "d")
    assert int(times[1]) - int(times[0]) > 0.3e9  # half a second, less what starting a shell may take
    assert (change.started, change.failed) == (2, 0)


def test_there_and_back_again_is_no_change(script, tmp_path):
    change = OnChange([str(script("echo $1 >> $here/out"))], every_s=0.3)
    change.tell("a", 0.5)
    wait_for(lambda: lines(tmp_path / "out"))
    change.tell("b", 0.5)
    change.tell("a", 0.5)
    time.sleep(0.5)
    change.close()
    assert lines(tmp_path / "out") == ["a"]


def test_one_runs_at_a_time_and_nobody_waits_for_it(script, tmp_path):
    body = (
        'echo begin $1 >> $here/out; while [ ! -e "$here/go" ]; do sleep 0.02; done; echo end $1 >> $here/out'
    )
    change = OnChange([str(script(body))], every_s=0.0)
    change.tell("a", 0.5)
    wait_for(lambda: lines(tmp_path / "out"))
    for label in "bc":
        change.tell(label, 0.5)  # returns, although "a" still runs
    assert lines(tmp_path / "out") == ["begin a"]
    (tmp_path / "go").touch()
    wait_for(lambda: len(lines(tmp_path / "out")) == 4)
    change.close()
    assert lines(tmp_path / "out") == ["begin a", "end a", "begin c", "end c"]


def test_the_last_change_is_told_before_the_end(script, tmp_path):
    change = OnChange([str(script("echo $1 >> $here/out"))], every_s=3600.0)
    change.tell("a", 0.5)
    wait_for(lambda: lines(tmp_path / "out"))
    change.tell("b", 0.5)
    change.close()
    assert lines(tmp_path / "out") == ["a", "b"]


def test_one_that_fails_is_said_once(script, capfd):
    change = OnChange([str(script("exit 3"))], every_s=0.0)
    change.tell("a", 0.5)
    wait_for(lambda: change.failed == 1)
    change.tell("b", 0.5)
    change.close()
    err = capfd.readouterr().err
    assert err.count("\n") == 1
    assert "ended with status 3" in err
    assert (change.started, change.failed) == (2, 2)


def test_one_that_has_gone_is_said_once(script, capfd):
    path = script("true")
    words = parse(str(path))
    path.unlink()
    change = OnChange(words, every_s=0.0)
    change.tell("a", 0.5)
    wait_for(lambda: change.failed == 1)
    change.tell("b", 0.5)
    change.close()
    err = capfd.readouterr().err
    assert err.count("\n") == 1
    assert "could not be started" in err
    assert change.started == 0


def test_one_that_hangs_is_ended_with_its_children_and_leaves_no_zombie(script, tmp_path, capfd):
    change = OnChange([str(script("sleep 600 & echo $$ $! > $here/pids; wait"))], longest_s=0.3)
    change.tell("a", 0.5)
    wait_for(lambda: change.failed == 1)
    change.close()
    assert "took too long" in capfd.readouterr().err
    shell, sleep = (int(pid) for pid in (tmp_path / "pids").read_text().split())
    assert not Path(f"/proc/{shell}").exists()
    # The grandchild is an orphan: whoever is process 1 here may take its time to reap it.
    status = Path(f"/proc/{sleep}/stat")
    wait_for(lambda: not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] == "Z")


def test_the_end_does_not_wait_for_one_that_hangs(script, tmp_path, capfd):
    change = OnChange([str(script("echo $$ > $here/pid; exec sleep 600"))], parting_s=0.2)
    change.tell("a", 0.5)
    wait_for(lambda: lines(tmp_path / "pid"))
    change.close()
    assert "took too long" in capfd.readouterr().err
    assert not Path("/proc", lines(tmp_path / "pid")[0]).exists()
