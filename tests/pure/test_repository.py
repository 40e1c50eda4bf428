"""What stands beside the code: hooks, hosted CI, the page for contributors; and how long functions and files are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

#: of code that is shipped, measured with or built from
FOLDERS = ("benchmarks", "compile", "demo", "docs", "examples", "targets", "tsm_edge")
MOST_LINES_OF_A_FUNCTION, MOST_LINES_OF_A_FILE = 60, 400


def text(repository: Path, name: str) -> str:
    return (repository / name).read_text(encoding="utf-8")


def test_the_hook_runs_the_ruff_that_ci_runs(repository: Path) -> None:
    hook = re.search(r"ruff-pre-commit\n\s+rev: v(\S+)", text(repository, ".pre-commit-config.yaml"))
    pinned = re.search(r"^ruff==(\S+)$", text(repository, "constraints.txt"), re.MULTILINE)
    assert hook is not None and pinned is not None and hook[1] == pinned[1]


def test_hosted_ci_runs_what_everybody_runs(repository: Path) -> None:
    hosted = text(repository, ".github/workflows/ci.yml")
    assert "bash .ci/run" in hosted and "bash .ci/release" in hosted
    tried = re.search(r"^for version in ([\d. ]+);", text(repository, ".ci/release"), re.MULTILINE)
    assert tried is not None
    assert set(tried[1].split()) <= set(re.findall(r"\b3\.\d+\b", hosted))
    least = re.search(r'requires-python = ">=([\d.]+)"', text(repository, "pyproject.toml"))
    assert least is not None and tried[1].split()[0] == least[1]


def test_the_page_for_contributors_names_files_that_exist(repository: Path) -> None:
    page = text(repository, "CONTRIBUTING.md")
    named = re.findall(r"\]\(([^)#:]+)\)", page) + re.findall(r"`((?:tests|compile|docs|tsm_edge)/[\w./]+)`", page)
    assert len(named) > 10
    examples = ("compile/schedules/cpu/NAME.py", "tsm_edge/models/tsm_NAME.py", "targets/NAME.toml")
    assert not [name for name in named if name not in examples and not (repository / name).exists()]


def too_long(source: str) -> list[str]:
    """The functions of a module that are longer than the house allows, and the module where it is."""
    found = [f"a file of {source.count(chr(10))} lines"] if source.count("\n") > MOST_LINES_OF_A_FILE else []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            found += [f"{node.name} of {lines} lines"] if lines > MOST_LINES_OF_A_FUNCTION else []
    return found


def test_long_functions_and_files_are_seen() -> None:
    assert too_long("def f():\n" + 60 * "    pass\n") == ["f of 61 lines"]
    assert too_long(401 * "pass\n") == ["a file of 401 lines"]
    assert not too_long("def f():\n" + 59 * "    pass\n" + 340 * "pass\n")


def test_functions_and_files_are_short(repository: Path) -> None:
    found = {}
    for folder in FOLDERS:
        for path in sorted((repository / folder).rglob("*.py")):
            long = too_long(path.read_text(encoding="utf-8"))
            if long:
                found[str(path.relative_to(repository))] = long
    assert not found
