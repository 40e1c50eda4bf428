"""Fixtures that build the C sources of the runtime and of the command; a conftest.py imports those it wants."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

#: where the plans and the programs of the tests are
HERE = Path(__file__).resolve().parents[1] / "runtime"
SHARED = ("-shared", "-fPIC", "-fvisibility=hidden", "-Wl,-Bsymbolic")
#: the sources of runtime/ that a GPU bundle has; plan_gpu.h says so
OF_BOTH = (
    *("checks", "cpu", "decision", "feed", "guard", "half", "image", "message", "pixels", "placement"),
    *("resample", "sampler", "tensor", "threads"),
)
CROP, CLASSES = 20, 3
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
def gpu_library(runtime: Path) -> Callable[[str], list[Path]]:
    """gpu_library(family) -> the sources of a GPU bundle's libtsm, with the plan of the tests."""

    def sources(family: str) -> list[Path]:
        own = [path for kind in ("gpu_", family) for path in sorted((runtime / "gpu").glob(f"{kind}*.c"))]
        return [*(runtime / f"{name}.c" for name in OF_BOTH), *own, HERE / "tiny_gpu_plan.c"]

    return sources


@pytest.fixture(scope="session")
def gpu_objects(
    gcc: str,
    runtime: Path,
    gpu_library: Callable[[str], list[Path]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], list[Path]]:
    """As gpu_library, with all but the plan compiled once: for many bundles that differ in the plan."""
    made: dict[str, list[Path]] = {}

    def objects(family: str) -> list[Path]:
        if family not in made:
            *sources, plan = gpu_library(family)
            out = tmp_path_factory.mktemp("objects") / f"{family}.o"
            flags = [
                "-std=c11",
                "-O1",
                "-g",
                "-fPIC",
                "-fvisibility=hidden",
                f"-I{runtime}",
                f"-I{runtime / 'gpu'}",
            ]
            subprocess.run([gcc, "-r", *flags, *WARNINGS, *map(str, sources), "-o", out], check=True)
            made[family] = [out, plan]
        return made[family]

    return objects


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
        includes = [f"-I{folder}" for folder in (runtime, runtime / "command", runtime / "gpu", HERE)]
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


@pytest.fixture(scope="session")
def good(repository: Path) -> dict[str, Any]:
    """A manifest that fits the plan of tiny_plan.c and this machine."""
    manifest = json.loads((repository / "tests" / "vectors" / "bundles" / "ok" / "manifest.json").read_text())
    manifest["labels"] = ["nothing", 'a "wave"\n', "café"]
    manifest["preprocess"].update(resize=[24, 24], crop=[CROP, CROP])
    manifest["signature"]["inputs"][0]["shape"] = [1, 3, CROP, CROP]
    manifest["signature"]["outputs"][0]["shape"] = [1, CLASSES]
    shapes = {"seen": [1, 3, CROP, CROP], "steps": [1, 5]}
    state = manifest["signature"]["states"][0]
    manifest["signature"]["states"] = [
        {"input": {**state["input"], "name": name, "shape": shape}, "output_name": f"{name}_out"}
        for name, shape in shapes.items()
    ]
    manifest["target"]["arch"] = {"armv8l": "armv7l"}.get(platform.machine(), platform.machine())
    return manifest


@pytest.fixture(scope="session")
def program(build: Callable[..., Path], command: list[Path]) -> Path:
    """tsm-edge-run under the address sanitizer."""
    sanitized = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    return build("tsm-edge-run", command, *sanitized, '-DTSM_VERSION="9.8.7"')


@pytest.fixture(scope="session")
def plain_program(build: Callable[..., Path], command: list[Path]) -> Path:
    """tsm-edge-run as it is."""
    return build("tsm-edge-run", command)


@pytest.fixture(scope="session")
def make(
    build: Callable[..., Path],
    library: list[Path],
    program: Path,
    good: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., Path]:
    """make(*macros, sources=…, runner=…, **manifest changes) -> a bundle's folder."""

    def make(
        *macros: str, sources: list[Path] | None = None, runner: Path = program, **changes: object
    ) -> Path:
        folder = tmp_path_factory.mktemp("bundle")
        shutil.copy(runner, folder / "tsm-edge-run")
        shutil.copy(build("libtsm.so", sources or library, *SHARED, *macros), folder / "libtsm.so")
        for name in ("tsm_edge.h", "plan.txt"):
            (folder / name).write_text("nothing\n")
        files = {
            path.name: {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "bytes": path.stat().st_size}
            for path in folder.iterdir()
        }
        (folder / "manifest.json").write_text(json.dumps({**good, **changes, "files": files}))
        return folder

    return make
