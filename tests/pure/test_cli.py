"""The command line: fast help, lazy verbs, errors as messages and exit codes, JSON documents."""

from __future__ import annotations

import errno
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tsm_edge import __version__, cli, report
from tsm_edge.errors import AccuracyError, FrameError
from tsm_edge.processes import interrupts

HEAVY = ("torch", "tvm", "cv2", "numpy", "onnx", "ziglang")
PROGRAM = [sys.executable, "-c", "from tsm_edge.cli import main; main()"]


def invoke(*arguments):
    return CliRunner().invoke(cli.cli, list(arguments), prog_name="tsm-edge")


@pytest.fixture
def verb(monkeypatch):
    """Return a function that puts a command called "test" into the group: verb(body)."""

    def add(body):
        module = type(sys)("tsm_edge_test_verb")
        module.verb = click.command("test")(body)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(cli.VERBS, "test", cli.Verb(f"{module.__name__}:verb", "A test."))

    return add


SLEEPS = """
import click, sys, time
from pathlib import Path
from tsm_edge import cli
from tsm_edge.files import atomic, temporaries

def body():
    with temporaries.scratch(), atomic.file("result") as out:
        out.write(b"half")
        print(flush=True)
        try:
            time.sleep(30)
        except BaseException as error:
            if "hides" in sys.argv:
                raise ValueError("a library took the signal for an error of its own") from error
            raise

module = type(sys)("tsm_edge_test_verb")
module.verb = click.command("test")(click.argument("how")(lambda how: body()))
sys.modules[module.__name__] = module
cli.VERBS["test"] = cli.Verb("tsm_edge_test_verb:verb", "A test.")
cli.main()
"""


@pytest.mark.parametrize("how", ["plain", "hides"])
@pytest.mark.parametrize(
    ("number", "code", "word"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "terminated"),
        (signal.SIGHUP, 129, "terminated: the terminal is gone"),
    ],
)
def test_a_signal_cleans_up_and_decides_the_exit_code(tmp_path, number, code, word, how):
    if (number, how) == (signal.SIGINT, "hides"):
        pytest.skip("Ctrl-C is Python's own and keeps no record")
    process = subprocess.Popen(
        [sys.executable, "-c", SLEEPS, "test", how],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    process.stdout.readline()
    assert len(list(tmp_path.iterdir())) == 2
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (code, word + "\n")
    assert list(tmp_path.iterdir()) == []


def test_nohup_is_respected(monkeypatch):
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        interrupts.listen()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, previous)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_a_full_disk_behind_stdout(tmp_path):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*PROGRAM, "targets"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr.startswith("error[output]: The output cannot be written.\n  found: No space left on device\n")
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize(
    ("number", "hint"), [(errno.ENOSPC, "the disk is full"), (errno.EMFILE, "ulimit -n"), (errno.EIO, "dmesg")]
)
def test_a_refusal_of_the_system_that_no_verb_foresaw(verb, number, hint):
    verb(raising(OSError(number, os.strerror(number), "/some/file")))
    result = invoke("test")
    assert result.exit_code == 1 and result.stderr.startswith("error[output]: '/some/file' cannot be used.")
    assert hint in result.stderr and "unexpectedly" not in result.stderr


def raising(error):
    def body():
        raise error

    return body


@pytest.mark.parametrize("arguments", ["['--help']", "['--version']", "['nonsense']"])
def test_the_group_imports_nothing_heavy(arguments):
    code = (
        "import sys; from tsm_edge import cli\n"
        f"try: cli.cli({arguments}, prog_name='tsm-edge')\n"
        "except SystemExit: pass\n"
        "print('|', *[name for name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.rpartition("|")[2].split()
    assert "tsm_edge.cli" in loaded
    assert not set(HEAVY) & set(loaded)
    assert not [name for name in loaded if name.startswith(("tsm_edge.compile", "tsm_edge.demo"))]


def test_help_answers_at_once():
    times = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([*PROGRAM, "--help"], capture_output=True, check=True)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.5


def test_help_lists_every_verb_with_its_summary():
    text = " ".join(invoke("--help").stdout.split())
    for name, entry in cli.VERBS.items():
        assert f"{name} {entry.summary}" in text


@pytest.mark.parametrize("name", cli.VERBS)
def test_every_verb_exists_and_has_a_help(name):
    module, _, attribute = cli.VERBS[name].where.partition(":")
    if module.startswith("tsm_edge.compile"):
        pytest.importorskip("tvm", reason="the compiler's packages are not installed")
    result = invoke(name, "--help")
    assert result.exit_code == 0, result.output
    assert f"Usage: tsm-edge {name}" in result.stdout
    assert getattr(importlib.import_module(module), attribute).name == name


def test_version():
    assert invoke("--version").stdout == f"tsm-edge {__version__}\n"


def test_an_unknown_verb_names_its_neighbour():
    result = invoke("inspekt")
    assert result.exit_code == 2
    assert "Did you mean 'inspect'?" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    "arguments", [["--nonsense"], ["targets", "--nonsense"], ["inspect"], ["models", "a", "b"]]
)
def test_usage_errors(arguments):
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert "Usage: tsm-edge" in result.stderr


def test_an_error_becomes_its_message_and_exit_code(verb):
    verb(raising(FrameError("Too small.", found=3, hint="take a larger one")))
    result = invoke("test")
    assert result.exit_code == FrameError.exit_code
    assert result.stderr == "error[frame]: Too small.\n  found: 3\n  hint: take a larger one\n"
    assert result.stdout == ""


def test_verbose_shows_the_traceback(verb):
    verb(raising(FrameError("Too small.")))
    result = invoke("--verbose", "test")
    assert "Traceback (most recent call last)" in result.stderr
    assert result.stderr.endswith("error[frame]: Too small.\n")


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("torch", "compile"),
        ("tvm.relax", "compile"),
        ("ziglang", "compile"),
        ("openvino", "bench"),
        ("tornado.web", "serve"),
    ],
)
def test_a_missing_extra_is_named(verb, module, extra):
    verb(raising(ModuleNotFoundError(f"No module named '{module}'", name=module)))
    result = invoke("test")
    assert result.exit_code == 5
    assert f'".[{extra}]"' in result.stderr
    assert f"'{module.partition('.')[0]}'" in result.stderr


def test_a_missing_extra_is_found_when_the_verb_is_loaded(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(cli.VERBS, "test", cli.Verb("torch:nothing", "A test."))
    result = invoke("test")
    assert result.exit_code == 5 and '".[compile]"' in result.stderr


def test_other_import_errors_are_no_missing_extra(verb):
    verb(raising(ModuleNotFoundError("No module named 'tsm_edge.nothing'", name="tsm_edge.nothing")))
    result = invoke("test")
    assert result.exit_code == 1
    assert "failed unexpectedly: ModuleNotFoundError" in result.stderr and "pip install" not in result.stderr


def test_an_unforeseen_error_is_a_failure_without_traceback(verb):
    verb(raising(ZeroDivisionError("division by zero")))
    result = invoke("test")
    assert result.exit_code == 1
    assert "ZeroDivisionError: division by zero" in result.stderr and "--verbose" in result.stderr
    assert "Traceback" not in result.stderr
    assert "Traceback" in invoke("-v", "test").stderr


def test_an_interrupt_exits_with_130(verb):
    verb(raising(KeyboardInterrupt()))
    result = invoke("test")
    assert result.exit_code == 130
    assert result.stderr.strip() == "interrupted"


def test_a_verb_may_choose_its_exit_code(verb):
    verb(lambda: click.get_current_context().exit(3))
    assert invoke("test").exit_code == 3


def test_a_reader_that_goes_away_is_no_error():
    done = subprocess.run(
        f"'{sys.executable}' -c 'from tsm_edge.cli import main; main()' targets | true; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 141)  # 0: all was written before the reader left
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "code", "kind"),
    [
        (["targets", "raspbery-pi-4", "--json"], 2, "UnknownName"),
        (["inspect", "--json", "nowhere"], 3, "BundleError"),
        (["inspect", "--json"], 2, "MissingParameter"),
        (["models", "--json", "--wide"], 2, "NoSuchOption"),
        (["nonsense", "--json"], 2, "UnknownName"),
    ],
)
def test_an_error_is_a_json_document_where_json_was_asked_for(arguments, code, kind):
    result = invoke(*arguments)
    assert result.exit_code == code and result.stderr.strip()
    document = json.loads(result.stdout)
    assert document["schema"] == 1
    assert (document["error"]["kind"], document["error"]["exit_code"]) == (kind, code)
    assert document["error"]["what"]


def test_an_error_without_json_leaves_stdout_empty():
    assert invoke("inspect", "nowhere").stdout == ""


def test_a_document_that_was_printed_stays_the_only_one(verb):
    def body(as_json):
        report.print_json({"top1": 40.0})
        raise AccuracyError("Too few are recognised.", found="40 %")

    verb(click.option("--json", "as_json", is_flag=True)(body))
    result = invoke("test", "--json")
    assert result.exit_code == 3 and json.loads(result.stdout) == {"schema": 1, "top1": 40.0}


def test_the_next_command_is_quoted_for_a_shell(tmp_path):
    for name in ("plain", "two words", "it's", "-x", "$(id)"):
        (tmp_path / name).mkdir()
        words = report.shell("printf '%s|' {} {}", Path(name), 7)
        done = subprocess.run(["sh", "-c", words], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout == ("./-x" if name == "-x" else name) + "|7|"
    here = "scp() { shift; printf '%s|' \"$@\"; }; ssh() { shift; sh -c \"printf '%s|' $*\"; }; "
    for name in ("plain", "two words", "it's"):
        command = report.run_on_board(tmp_path / name)
        done = subprocess.run(["sh", "-c", here + command], capture_output=True, text=True, check=True)
        assert done.stdout == f"{tmp_path / name}|BOARD:|{name}/tsm-edge-run|--bench|"
