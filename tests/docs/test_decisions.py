"""The records of docs/decisions: numbered without a gap, each with its four parts."""

from __future__ import annotations

import re

PARTS = ["Context", "Options", "Figures", "Decision"]


def test_records_are_numbered_and_have_their_parts(repository):
    records = sorted((repository / "docs" / "decisions").glob("[0-9]*.md"))
    assert [int(path.name[:3]) for path in records] == list(range(1, len(records) + 1))
    for path in records:
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# {path.name[:3]}. "), path.name
        parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
        assert parts[1::2] == PARTS, path.name
        assert all(part.strip() for part in parts[2::2]), path.name


def test_a_record_that_a_file_names_is_there(repository):
    named = []
    for root in ("compile", "demo", "docs", "tests", "tsm_edge"):
        for path in (repository / root).rglob("*.py"):
            named += re.findall(r"docs/decisions/(\d{3}-[a-z0-9-]+\.md)", path.read_text(encoding="utf-8"))
    assert "005-winograd.md" in named
    assert not [name for name in set(named) if not (repository / "docs" / "decisions" / name).is_file()]


def test_the_design_fits_two_screens(repository):
    assert len((repository / "docs" / "design.md").read_text(encoding="utf-8").splitlines()) <= 120
