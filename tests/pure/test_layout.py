"""The house: which package may import which, what the wheel holds, and what no Python file may contain."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tsm_edge import target

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: folder in the checkout -> package
ROOTS = {
    "tsm_edge": "tsm_edge",
    "compile": "tsm_edge.compile",
    "demo": "tsm_edge.demo",
    "targets": "tsm_edge.targets",
}
#: the packages and modules of compile/ and the floor of each; an import goes down
FLOORS = {
    "ir": 0,
    "passes": 1,
    "kernels": 1,
    "schedules": 2,
    "lowering": 3,
    "quantize": 2,
    "link": 4,
    "backends": 5,
    "tune": 5,
    "precision": 6,
    "pipeline": 7,
    "summary": 8,
    "frontend": 8,
    "verification": 9,
    "comparison": 9,
    "command": 9,
    "training": 9,
}
#: packages that a board does without; tests/demo/test_board.py runs what a board runs without them
HOST_TOOLS = ("tsm_edge.bench", "tsm_edge.onnx", "tsm_edge.synth", "tsm_edge.train", "tsm_edge.weights.checkpoints")
#: what the core may import when it is imported, apart from the standard library and itself
CORE_IMPORTS = {"click", "numpy", "tomli"}


def sources(repository: Path, root: str) -> list[Path]:
    return sorted(path for path in (repository / root).rglob("*.py") if "__pycache__" not in path.parts)


def module_of(repository: Path, path: Path) -> str:
    """Dotted name under which the file is installed."""
    folder, *rest = path.relative_to(repository).with_suffix("").parts
    parts = [ROOTS[folder], *rest]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def nodes(tree: ast.AST, only_at_import: bool):
    """All nodes, or those that run when the module is imported: not in functions, not for type checkers only."""
    for node in ast.iter_child_nodes(tree):
        is_function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        is_typing = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if only_at_import and (is_function or is_typing):
            continue
        yield node
        yield from nodes(node, only_at_import)


def imports(repository: Path, path: Path, *, only_at_import: bool = False) -> list[str]:
    """Absolute dotted names of what the file imports, also through importlib with a literal name."""
    package = module_of(repository, path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    found = []
    for node in nodes(ast.parse(path.read_text(encoding="utf-8")), only_at_import):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            found += [f"{origin}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            found += [
                arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
            ]
    return found


def below(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def test_the_scanner_sees_every_kind_of_import(tmp_path):
    folder = tmp_path / "compile" / "passes"
    folder.mkdir(parents=True)
    (folder / "a.py").write_text(
        "import os.path, tvm as t\nfrom ..ir.graph import Graph\nfrom . import b\nfrom tsm_edge import demo\n"
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\n"
        "try:\n    import cv2\nexcept ImportError:\n    pass\n"
        "def f():\n    import onnx\n    importlib.import_module('tsm_edge.demo.loop')\n"
    )
    always = ["os.path", "tvm", "tsm_edge.compile.ir.graph.Graph", "tsm_edge.compile.passes.b", "tsm_edge.demo"]
    at_import = [*always, "typing.TYPE_CHECKING", "cv2"]
    assert imports(tmp_path, folder / "a.py", only_at_import=True) == at_import
    everything = [*always, "typing.TYPE_CHECKING", "torch", "cv2", "onnx", "tsm_edge.demo.loop"]
    assert imports(tmp_path, folder / "a.py") == everything


def test_every_package_is_listed(repository):
    settings = tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["setuptools"]
    inits = [path for root in ROOTS for path in sources(repository, root) if path.stem == "__init__"]
    assert sorted(module_of(repository, path) for path in inits) == settings["packages"]
    assert {package: folder for folder, package in ROOTS.items()} == settings["package-dir"]


@pytest.mark.parametrize("root", ROOTS)
def test_every_folder_with_python_files_is_a_package(repository, root):
    folders = {path.parent for path in sources(repository, root)}
    assert repository / root in folders
    assert not [str(folder) for folder in folders if not (folder / "__init__.py").is_file()]


def test_nothing_in_the_core_hides_a_mapped_package(repository):
    names = [path.name for path in (repository / "tsm_edge").iterdir()]
    assert not [name for name in names if name.startswith(("compile", "demo", "targets"))]


def test_a_checkout_is_not_mixed_with_an_installation(repository):
    """Started in the checkout, Python finds tsm_edge there, and must then find the mapped packages there as well."""
    names = ", ".join(ROOTS.values())
    code = f"import {names}; print(*[module.__file__ for module in ({names})])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(repository / folder / "__init__.py") for folder in ROOTS]


def test_the_core_needs_little_when_it_is_imported(repository):
    for path in sources(repository, "tsm_edge"):
        for name in imports(repository, path, only_at_import=True):
            top = name.partition(".")[0]
            allowed = top in sys.stdlib_module_names or top in CORE_IMPORTS or top == "tsm_edge"
            assert allowed, f"{path.relative_to(repository)} imports {name}"


@pytest.mark.parametrize(
    ("root", "forbidden"),
    [
        ("tsm_edge", ["tsm_edge.compile", "tsm_edge.demo"]),
        ("compile", ["tsm_edge.demo"]),
        ("demo", ["tsm_edge.compile", *HOST_TOOLS, "onnx", "torch", "tvm"]),
        ("targets", [""]),
    ],
)
def test_the_arrows(repository, root, forbidden):
    for path in sources(repository, root):
        for name in imports(repository, path):
            wrong = [package for package in forbidden if not package or below(name, package)]
            assert not wrong, f"{path.relative_to(repository)} imports {name}"


def arrows_up(repository: Path) -> list[str]:
    """Imports inside the compiler that do not go to a lower floor, nor stay in their package."""
    found = []
    for path in sources(repository, "compile"):
        part = path.relative_to(repository / "compile").parts[0].removesuffix(".py")
        for name in imports(repository, path):
            other = name.removeprefix("tsm_edge.compile.").partition(".")[0]
            inside = below(name, "tsm_edge.compile") and other != part
            if inside and FLOORS[other] >= FLOORS[part]:
                found.append(f"{path.relative_to(repository)} imports {name}")
    return found


def private_modules(name: str, modules: set[str]) -> list[str]:
    """The modules with an underscore on the way to a dotted name."""
    parts = name.split(".")
    prefixes = [".".join(parts[: length + 1]) for length in range(len(parts))]
    return [prefix for prefix in prefixes if prefix in modules and prefix.rpartition(".")[2].startswith("_")]


def shared_private_modules(repository: Path) -> list[tuple[str, str]]:
    """Who imports a module with an underscore that lies in neither its own package nor one around it."""
    paths = {module_of(repository, path): path for root in ROOTS for path in sources(repository, root)}
    found = []
    for module, path in paths.items():
        package = module if path.stem == "__init__" else module.rpartition(".")[0]
        for name in imports(repository, path):
            private = private_modules(name, set(paths))
            found += [(module, each) for each in private if not below(package, each.rpartition(".")[0])]
    return found


def private_modules_outside(repository: Path) -> list[str]:
    """Where programs beside the packages (tests, benchmarks, documentation) import a module with an underscore."""
    modules = {module_of(repository, path) for root in ROOTS for path in sources(repository, root)}
    found = []
    for folder in ("benchmarks", "docs", "examples", "tests"):
        for path in sorted((repository / folder).rglob("*.py")):
            for node in nodes(ast.parse(path.read_text(encoding="utf-8")), only_at_import=False):
                names = [alias.name for alias in node.names] if isinstance(node, (ast.Import, ast.ImportFrom)) else []
                if isinstance(node, ast.ImportFrom):
                    names = [] if node.level else [f"{node.module}.{name}" for name in names]
                found += [f"{path.relative_to(repository)}: {name}" for name in names if private_modules(name, modules)]
    return found


def test_an_arrow_up_and_a_shared_private_module_are_seen(tmp_path):
    for folder in ("kernels/cpu", "schedules/cpu"):
        (tmp_path / "compile" / folder).mkdir(parents=True)
    (tmp_path / "compile/kernels/cpu/tile.py").write_text("from ...ir.ops import Op\nfrom ...schedules import cpu\n")
    (tmp_path / "compile/schedules/cpu/_rule.py").write_text("from ...kernels.cpu import tile\n")
    (tmp_path / "compile/schedules/cpu/conv.py").write_text("from . import _rule\n")
    (tmp_path / "compile/pipeline.py").write_text("from .schedules.cpu._rule import Kernel\n")
    assert arrows_up(tmp_path) == ["compile/kernels/cpu/tile.py imports tsm_edge.compile.schedules.cpu"]
    assert shared_private_modules(tmp_path) == [
        ("tsm_edge.compile.pipeline", "tsm_edge.compile.schedules.cpu._rule")
    ]
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_a.py").write_text(
        "def test_a():\n    from tsm_edge.compile.schedules.cpu import _rule, conv\n"
    )
    assert private_modules_outside(tmp_path) == ["tests/test_a.py: tsm_edge.compile.schedules.cpu._rule"]


def test_no_arrow_in_the_compiler_goes_up(repository):
    folder = repository / "compile"
    parts = {path.relative_to(folder).parts[0].removesuffix(".py") for path in sources(repository, "compile")}
    assert parts - {"__init__"} == set(FLOORS)
    assert not arrows_up(repository)


def test_a_module_with_an_underscore_is_imported_in_its_own_package_only(repository):
    assert not shared_private_modules(repository)
    assert not private_modules_outside(repository)


@pytest.mark.parametrize("root", ["compile", "demo", "targets"])
def test_mapped_folders_are_imported_by_their_full_name(repository, root):
    """`import compile` would find the folder in a checkout and nothing in an installation."""
    for folder in [*ROOTS, "tests"]:
        for path in (repository / folder).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            plain = [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
            plain += [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and not n.level]
            assert not [name for name in plain if below(name, root)], path


@pytest.mark.parametrize("root", ["compile", "demo", "targets"])
def test_relative_imports_stay_inside_their_folder(repository, root):
    """Type checkers and editors cannot follow the mapping; a dotted way out of the folder leads them nowhere."""
    for path in sources(repository, root):
        depth = len(path.relative_to(repository).parts) - 1
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level <= depth, f"{path.relative_to(repository)}:{node.lineno}"


def test_no_python_file_names_a_device(repository):
    """A device is data: code asks for facts. The words are the first parts of the target's names, but for those that
    name an operating system, an instruction set or a family of backends."""
    generic = {"local", "linux", "x86", "android", *target.FAMILIES}
    words = sorted({name.partition("-")[0] for name in target.names()} - generic)
    assert "raspberry" in words
    pattern = re.compile("|".join(words), re.IGNORECASE)
    for root in ROOTS:
        for path in sources(repository, root):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                assert not pattern.search(line), f"{path.relative_to(repository)}:{number}: {line.strip()}"


def tracked(repository: Path) -> dict[str, Path]:
    """Every source file of the four packages, by the name under which the wheel holds it."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *ROOTS]
    listed = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("this is no git checkout")
    files = {}
    for line in listed.stdout.splitlines():
        folder, _, rest = line.partition("/")
        if (repository / line).is_file():
            files[f"{ROOTS[folder].replace('.', '/')}/{rest}"] = repository / line
    return files


@pytest.fixture
def installed():
    """The files of the installed wheel; an editable installation has none to compare."""
    try:
        files = importlib.metadata.files("tsm-edge") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    wheel = {str(file): Path(str(file.locate())) for file in files if str(file).startswith("tsm_edge/")}
    wheel = {name: path for name, path in wheel.items() if "__pycache__" not in name}
    if not wheel:
        pytest.skip("tsm-edge is not installed from a wheel; `make test` does that")
    return wheel


def test_the_wheel_holds_every_source_file_and_nothing_else(repository, installed):
    expected = tracked(repository)
    assert sorted(installed) == sorted(expected)
    stale = [name for name, path in expected.items() if path.read_bytes() != installed[name].read_bytes()]
    assert not stale, "the wheel is older than the checkout: make test"


def test_every_requirement_is_pinned(repository):
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *sum(project["optional-dependencies"].values(), [])]
    names = {re.match(r"[A-Za-z0-9._-]+", requirement)[0] for requirement in asked} - {"tsm-edge", "tomli"}
    lines = (repository / "constraints.txt").read_text().splitlines()
    pinned = {line.partition("==")[0] for line in lines if "==" in line and not line.startswith("#")}
    assert names <= pinned


def test_the_version_has_one_home(repository, installed):
    import tsm_edge

    assert importlib.metadata.version("tsm-edge") == tsm_edge.__version__
    assert "version" in tomllib.loads((repository / "pyproject.toml").read_text())["project"]["dynamic"]
