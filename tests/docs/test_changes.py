"""The news fragments of docs/changes: of a known kind, one sentence each."""

from __future__ import annotations

import re
import sys

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def test_every_fragment_is_of_a_known_kind_and_one_sentence(repository):
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    kinds = {kind["directory"] for kind in project["tool"]["towncrier"]["type"]}
    for path in (repository / "docs" / "changes").iterdir():
        if path.name == "README.md":
            continue
        found = re.fullmatch(r"[a-z0-9-]+\.([a-z]+)\.md", path.name)
        assert found and found[1] in kinds, path.name
        text = path.read_text(encoding="utf-8")
        assert text.endswith(".\n") and text.count("\n") == 1, path.name
