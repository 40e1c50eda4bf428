"""docs/onnx.md is made of the table of classes, and is what the table says now."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import foreign_table
import pytest


@pytest.fixture
def maker(repository: Path) -> ModuleType:
    """The program that writes the page."""
    spec = importlib.util.spec_from_file_location("onnx_table", repository / "docs" / "onnx_table.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_current(repository: Path, maker: ModuleType) -> None:
    page = (repository / "docs" / "onnx.md").read_text()
    assert page == maker.page(foreign_table.read()), "run: python docs/onnx_table.py"


def test_every_refusal_on_the_page_has_its_hint(repository: Path) -> None:
    page = (repository / "docs" / "onnx.md").read_text()
    refused = {row.reason for row in foreign_table.read() if row.kind == "refused"}
    assert refused and "" not in refused
    assert all(reason in page for reason in refused)
