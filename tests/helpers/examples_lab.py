"""C++ programs around a bundle: a strict compiler, and folders as bundles are."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

STRICT = ("-std=c++17", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror")


def cxx(*arguments: str | Path) -> None:
    """Compile with g++; skipped where it is not installed."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("g++ is not installed")
    done = subprocess.run(
        [compiler, *STRICT, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def bundles(
    build: Callable[..., Path], library: list[Path], runtime: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    """Two folders as a bundle is: the scores of one grow for another class than those of the other."""
    from tsm_edge.compile.link.toolchain import for_programs

    folders = []
    for best in ("1", "2"):
        folder = tmp_path_factory.mktemp(f"bundle-{best}")
        flags = ("-shared", "-fPIC", "-fvisibility=hidden", "-Wl,-Bsymbolic", "-Wl,-soname,libtsm.so")
        shutil.copy(build(f"lib{best}.so", library, *flags, f"-DTINY_BEST={best}"), folder / "libtsm.so")
        for name, content in for_programs(runtime).items():
            (folder / name).write_bytes(content)
        folders.append(folder)
    return folders
