"""The ONNX package's node cases, and operators inside networks, through the compiler: right, or refused with a hint.

classes.tsv says which. What is "wrong" there is a known fault: the test fails when it is mended, so that the table is
written again by `python docs/onnx_table.py --judge`.
"""

from __future__ import annotations

import os
from typing import Any

import around_cases
import foreign_lab
import foreign_table
import node_cases
import pytest
from foreign_lab import Verdict

ROWS = {row.name: row for row in foreign_table.read()}


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Verdict]:
    """All cases, judged; TVM writes a line to stderr for many of them."""
    steps = [*node_cases.steps(), *around_cases.steps()]
    with open(os.devnull, "wb") as nowhere:
        stderr = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            return foreign_lab.judge(steps, tmp_path_factory.mktemp("cases"))
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def row(name: str) -> Any:
    known = (pytest.mark.xfail(reason=ROWS[name].reason),) if ROWS[name].kind == "wrong" else ()
    return pytest.param(name, marks=known)


@pytest.mark.parametrize("name", map(row, ROWS))
def test_case(name: str, verdicts: dict[str, Verdict]) -> None:
    if name not in verdicts:
        pytest.skip("this version of onnx has no such case")
    found, expected = verdicts[name], ROWS[name]
    assert found.kind != "wrong", found.reason
    assert (found.kind, found.reason) == (expected.kind, expected.reason)


def test_cases_outside_the_table_are_right_too(verdicts: dict[str, Verdict]) -> None:
    """Another version of the package may have more of them."""
    assert len(verdicts) > 1000
    assert [(n, v) for n, v in verdicts.items() if n not in ROWS and v.kind == "wrong"] == []
