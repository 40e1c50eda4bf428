"""Building the C sources for the tests beside them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
#: warnings are errors here; the sources promise to have none
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror")


@pytest.fixture(scope="session")
def runtime(repository: Path) -> Path:
    """The folder of the runtime's sources."""
    return repository / "compile" / "runtime"


@pytest.fixture(scope="session")
def library(runtime: Path) -> list[Path]:
    """The sources of libtsm, with the plan of the tests."""
    return [*sorted(runtime.glob("*.c")), HERE / "tiny_plan.c"]


@pytest.fixture(scope="session")
def command(runtime: Path) -> list[Path]:
    """The sources of tsm-edge-run."""
    return [*sorted((runtime / "command").glob("*.c")), runtime / "cpu.c"]


@pytest.fixture(scope="session")
def gcc() -> str:
    """The compiler of this machine."""
    found = shutil.which("gcc")
    if found is None:
        pytest.skip("gcc is not installed; the sanitizers come with it")
    return found


@pytest.fixture(scope="session")
def build(gcc: str, runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return build(name, sources, *flags) -> the built file, compiled with gcc in a folder of its own."""

    def build(name: str, sources: Sequence[Path], *flags: str) -> Path:
        out = tmp_path_factory.mktemp("build") / name
        includes = [f"-I{folder}" for folder in (runtime, runtime / "command", HERE)]
        arguments = [
            gcc,
            "-std=c11",
            "-g",
            "-O1",
            *WARNINGS,
            *includes,
            *map(str, sources),
            "-o",
            str(out),
            *flags,
        ]
        done = subprocess.run(
            [*arguments, "-lm", "-ldl", "-lpthread"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return out

    return build
