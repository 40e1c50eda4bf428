"""`Any` is for what TVM, torch, ONNX and OpenCV have without types: how often each package says it may only go down."""

from __future__ import annotations

import ast
from pathlib import Path

#: package -> uses of the name `Any`, with their imports; lower the number with a change that needs fewer
LIMITS: dict[str, int] = {
    "compile": 2,
    "compile/frontend": 20,
    "compile/frontend/onnx_import": 15,
    "compile/kernels/cpu": 3,
    "compile/lowering": 2,
    "compile/schedules": 2,
    "demo": 2,
    "demo/sources": 2,
    "tsm_edge/bench": 4,
    "tsm_edge/bench/peers": 4,
    "tsm_edge/onnx": 15,
    "tsm_edge/synth/people": 2,
    "tsm_edge/weights": 6,
}


def uses(source: str) -> int:
    """How often a module says `Any`: names, attributes such as `typing.Any`, and names in quoted annotations."""
    count = 0
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isprintable():
            try:
                count += sum(
                    isinstance(n, ast.Name) and n.id == "Any" for n in ast.walk(ast.parse(node.value))
                )
            except SyntaxError:
                continue
        count += isinstance(node, ast.Name) and node.id == "Any"
        count += isinstance(node, ast.Attribute) and node.attr == "Any"
        count += isinstance(node, ast.alias) and node.name == "Any"
    return count


def test_every_form_is_counted() -> None:
    source = (
        "import typing\nfrom typing import Any\na: Any\nb: list[Any]\nc: typing.Any\nd: 'dict[str, Any]'\n"
    )
    assert uses(source) == 5


def test_no_package_says_any_more_often(repository: Path) -> None:
    found: dict[str, int] = {}
    for root in ("compile", "demo", "targets", "tsm_edge"):
        for path in sorted((repository / root).rglob("*.py")):
            package = path.relative_to(repository).parent.as_posix()
            found[package] = found.get(package, 0) + uses(path.read_text(encoding="utf-8"))
    more = {package: count for package, count in found.items() if count > LIMITS.get(package, 0)}
    assert not more, f"these packages say Any more often than {LIMITS}"
