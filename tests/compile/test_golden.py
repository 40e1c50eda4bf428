"""What the compiler makes of fixed networks is, byte for byte, what is kept in golden/.

A refactoring leaves the files untouched. A change of what is generated rewrites them with `make golden`, and its
commit shows what it gains.
"""

from __future__ import annotations

import difflib

import golden_lab
import pytest


@pytest.mark.parametrize("case", golden_lab.CASES, ids=lambda case: case.path.stem)
def test_what_is_generated_is_what_was(case: golden_lab.Case) -> None:
    kept = case.path.read_text(encoding="utf-8").splitlines()
    made = golden_lab.text(case).splitlines()
    changes = "\n".join(difflib.unified_diff(kept, made, "kept", "made", n=0, lineterm=""))
    assert not changes, f"{case.path.name} has changed; if that is meant, `make golden` rewrites it\n{changes}"


def test_every_file_has_its_case() -> None:
    assert {path.name for path in golden_lab.FOLDER.iterdir()} == {case.path.name for case in golden_lab.CASES}
