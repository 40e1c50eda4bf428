"""What a terminal would obey is shown as an escape, whatever prints it."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tsm_edge import report, terminal
from tsm_edge.cli import cli
from tsm_edge.errors import BundleError, EdgeError

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "printable.json").read_text(encoding="utf-8"))
NASTY = "\x1b]0;owned\x07\x9b2J\u202egpj\udc9b"
SHOWN = "\\x1b]0;owned\\x07\\x9b2J\\u202egpj\\x9b"


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["case"])
def test_printable(vector):
    assert terminal.printable(vector["text"]) == vector["shown"]
    assert terminal.printable(vector["shown"]) == vector["shown"]


def test_bytes_of_a_file_name_that_are_no_utf8():
    assert terminal.printable(b"a\xff\x9b\xc3".decode("utf-8", "surrogateescape")) == "a\\xff\\x9b\\xc3"
    assert terminal.printable("half a pair \ud83d") == "half a pair \\ud83d"


def test_lines_stay_lines():
    assert terminal.printable_lines("a\r\nb\tc\rd\x1b") == "a\nb\tc\\rd\\x1b"


def test_json_stays_the_same_document():
    document = {"labels": ["\x7f\x9b\u202e\u2028\U000e0041", "größe", "\x1b"]}
    text = terminal.printable_json(json.dumps(document, indent=2, ensure_ascii=False))
    assert json.loads(text) == document
    assert terminal.printable_lines(text) == text
    assert "größe" in text


def test_every_part_of_an_error():
    error = EdgeError(f"'{NASTY}'", found=f"one\n{NASTY}", allowed=NASTY, hint=NASTY)
    lines = [f"'{SHOWN}'", "  found: one", f"    {SHOWN}", f"  allowed: {SHOWN}", f"  hint: {SHOWN}"]
    assert str(error).split("\n") == lines
    assert error.allowed == NASTY


def test_a_name_with_a_line_end_cannot_add_a_part():
    error = BundleError("'a\n  hint: run it as root' is bad.", name="file-size", found="b\n  hint: c")
    assert [line for line in str(error).split("\n") if line.startswith("  hint")] == []


def test_tables_and_facts(capsys):
    report.print_table(("NAME", "N"), [(NASTY, 1), ("b\nc", 2)])
    report.print_facts({NASTY: NASTY})
    report.print_next(NASTY)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"{'NAME':{len(SHOWN)}}  N",
        f"{SHOWN}  1",
        "b\\nc".ljust(len(SHOWN)) + "  2",
        f"{SHOWN}: {SHOWN}",
        f"next: {SHOWN}",
    ]


@pytest.mark.parametrize(
    "arguments",
    [["--\x1b[2J"], ["\x1b[2J"], ["inspect", "a", "\x1b[2J"], ["inspect", "\x1b[2J"], ["models", "--\x1b[2J"],
     ["bench", "a", "--threads", "\x1b[2J"]],
)  # fmt: skip
def test_the_command_line_is_quoted_safely(arguments):
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code in (2, 3)
    assert "\x1b" not in result.output
    assert "\\x1b[2J" in result.output


def prints(tree: ast.AST) -> list[int]:
    """Lines that print in a way that does not escape."""
    calls = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    lines = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Call)]
    plain = ("print", "click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write")
    return [line for call, line in zip(calls, lines) if call in plain]


def test_all_verbs_print_through_the_terminal_module(repository):
    """Left out: programs that run in a process of their own and whose output is read, not shown."""
    own_processes = {"tsm_edge/bench/ceiling.py", "compile/backends/nvidia/_nvrtc.py"}
    assert prints(ast.parse("print(1)\nclick.echo('a')")) == [1, 2]
    found = {
        str(path.relative_to(repository))
        for root in ("tsm_edge", "compile", "demo")
        for path in (repository / root).rglob("*.py")
        if prints(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found - own_processes == {"tsm_edge/terminal.py"}
