"""The tables that are read from the compiler's sources and goldens: the floors of compile/, and its schedules.

Nothing is imported, so that the documentation is written without TVM: docstrings and constants are parsed.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMPILE = ROOT / "compile"
GOLDEN = ROOT / "tests" / "compile" / "golden"
#: the columns of shares: target -> family of its schedules
SHARES = {"x86-64": "cpu", "raspberry-pi-4": "cpu", "jetson-nano": "gpu"}
#: whose module names the precisions of a family
BACKEND = {"cpu": "cpu", "gpu": "_gpu"}
#: the folders of a family's schedules; those of 8-bit operators have one of their own
FOLDERS = {"cpu": ("cpu", "cpu_int8"), "gpu": ("gpu",)}
INT8 = "int8"
WIDTH = 100  # characters of the picture of the floors


def parsed(path: Path) -> ast.Module:
    """The tree of a module, or of a package's `__init__`."""
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))


def first_line(node: ast.Module | ast.FunctionDef) -> str:
    """The first sentence of a docstring."""
    text = " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
    return re.split(r"(?<=\.) ", text)[0]


def constant(tree: ast.Module, name: str) -> object:
    """The literal that a module gives to a name."""
    for node in tree.body:
        targets = (
            node.targets
            if isinstance(node, ast.Assign)
            else [node.target]
            if isinstance(node, ast.AnnAssign)
            else []
        )
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            assert isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None
            return ast.literal_eval(node.value)
    raise KeyError(name)


def floors() -> str:
    """The floors of compile/ as a picture in text: the highest first, each with what its packages are."""
    numbers = constant(parsed(ROOT / "tests" / "pure" / "test_layout"), "FLOORS")
    assert isinstance(numbers, dict)
    line = f"+{'-' * (WIDTH - 2)}+"
    rows = [line]
    for floor in sorted(set(numbers.values()), reverse=True):
        for name in (name for name, number in numbers.items() if number == floor):
            words = textwrap.wrap(first_line(parsed(COMPILE / name)), WIDTH - 18)
            texts = [f"{head:<13} {line}" for head, line in zip([name, *[""] * len(words)], words)]
            rows += [f"| {text:<{WIDTH - 4}} |" for text in texts]
        rows.append(line)
    return "```text\n" + "\n".join(rows) + "\n```\n"


def shares(target: str) -> dict[str, float | None]:
    """Of each schedule that a frame runs, its share of the multiply-accumulates; None where it has none."""
    text = (GOLDEN / f"full-{target}.txt").read_text(encoding="utf-8")
    found: Counter[str] = Counter()
    for schedule, macs in re.findall(r"^op \S+ \S+ (\w+):?\S* items \d+ macs (\d+)", text, re.MULTILINE):
        found[schedule] += int(macs)
    assert sum(found.values()), target
    return {name: macs / sum(found.values()) if macs else None for name, macs in found.items()}


def schedules(family: str) -> list[tuple[str, Path]]:
    """Name and place of every schedule of a family; one with an underscore is none."""
    places = [path for path in (COMPILE / "schedules" / family).iterdir() if path.name[0] not in "_."]
    return sorted(
        (path.stem, path) for path in places if path.suffix == ".py" or (path / "__init__.py").is_file()
    )


def precisions(backend: ast.Module) -> list[str]:
    """Every precision that a backend's `precisions` answers for one target or another."""
    (function,) = (node for node in backend.body if isinstance(node, ast.FunctionDef) and node.name == "precisions")
    tuples = [node for node in ast.walk(function) if isinstance(node, ast.Tuple)]
    words = [part.value for each in tuples for part in each.elts if isinstance(part, ast.Constant)]
    found = list(dict.fromkeys(word for word in words if isinstance(word, str)))
    assert found, "a backend answers with literal tuples of names"
    return found


def claim(tree: ast.Module) -> str:
    """What a schedule claims, as the docstring of its `claims` has it."""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "claims"]
    assert found
    return first_line(found[0])


def of_folder(kinds: list[str], folder: str, tree: ast.Module) -> list[str]:
    """A family's precisions that a schedule computes in: of bytes, those of 8-bit operators and who names the type."""
    if folder.endswith(INT8):
        return [INT8]
    bytes_too = any(isinstance(node, ast.Name) and node.id == "INT8" for node in ast.walk(tree))
    return [kind for kind in kinds if kind != INT8 or bytes_too]


def percent(part: float) -> str:
    """One decimal, and no zero for what is there."""
    return f"{part:.1%}" if part >= 0.0005 else "< 0.1%"


def kernels() -> list[tuple[str, ...]]:
    """One row a schedule, the header first."""
    share = {target: shares(target) for target in SHARES}
    rows = [("schedule", "family", "precision", "is", "claims", *SHARES)]
    for family, backend in BACKEND.items():
        kinds = precisions(parsed(COMPILE / "backends" / backend))
        found = [(folder, *each) for folder in FOLDERS[family] for each in schedules(folder)]
        for folder, name, path in found:
            tree, full = parsed(path), f"{name}_{folder}"
            parts = []
            for target, of_family in SHARES.items():
                part = share[target].get(full, 0.0)
                used = of_family == family and full in share[target]
                parts.append("" if not used else "moves data" if part is None else percent(part))
            words = (f"`{full}`", family, ", ".join(of_folder(kinds, folder, tree)), first_line(tree), claim(tree))
            rows.append((*words, *parts))
    return rows
