"""The declarations of cuda_api.h and opencl_api.h against the vendors' own headers, where these are installed."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest


def constants(header: Path) -> list[tuple[str, str]]:
    """Every enumerator with a value of its own."""
    return re.findall(r"^    ((?:CU|CL)\w+) = ([^,/\n]+)", header.read_text(), flags=re.M) + re.findall(
        r"[{,] (CU_\w+) = (\d+)", header.read_text()
    )


def check(gcc: str, folder: Path, include: str, text: str, *flags: str) -> None:
    source = folder / "constants.c"
    source.write_text(f'#include "{include}"\n{text}')
    done = subprocess.run([gcc, "-fsyntax-only", *flags, source], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def asserts(pairs: list[tuple[str, str]]) -> str:
    return "".join(f'_Static_assert((long)({name}) == ({value}), "{name}");\n' for name, value in pairs)


def test_cuda(gcc, runtime, tmp_path):
    found = importlib.util.find_spec("nvidia")
    places = [
        Path(place) / "cuda_runtime/include" for place in (found.submodule_search_locations if found else ())
    ]
    include = next((place for place in places if (place / "cuda.h").is_file()), None)
    if include is None:
        pytest.skip("cuda.h is not installed: pip install nvidia-cuda-runtime-cu12")
    header = runtime / "gpu" / "cuda_api.h"
    pairs = constants(header)
    assert len(pairs) > 20
    check(gcc, tmp_path, "cuda.h", asserts(pairs), f"-I{include}")
    declared = re.findall(r"CALL\((cu\w+),", header.read_text())
    vendors = (include / "cuda.h").read_text()
    for name in declared:
        assert re.search(
            rf"CUresult CUDAAPI {name}\(|define {name.removesuffix('_v2')} +{name}\b", vendors
        ), name


def test_opencl(gcc, runtime, tmp_path):
    if not Path("/usr/include/CL/cl.h").is_file():
        pytest.skip("CL/cl.h is not installed: apt-get install opencl-c-headers")
    header = runtime / "gpu" / "opencl_api.h"
    pairs = constants(header)
    assert len(pairs) > 30
    calls = re.findall(r"CALL\(\w+, (cl\w+), ", header.read_text())
    known = "".join(f"void *take_{name}(void) {{ return (void *){name}; }}\n" for name in calls)
    check(gcc, tmp_path, "CL/cl.h", asserts(pairs) + known, "-DCL_TARGET_OPENCL_VERSION=120", "-Werror")


def test_opencl_prototypes(gcc, runtime, tmp_path):
    """Every entry point of the table takes the real function, whose handles have the same tags."""
    if not Path("/usr/include/CL/cl.h").is_file():
        pytest.skip("CL/cl.h is not installed: apt-get install opencl-c-headers")
    text = (runtime / "gpu" / "opencl_api.h").read_text()
    table = text[text.index("/* CALL(result") : text.index("#endif", text.index("} opencl_api;"))]
    uses = "static opencl_api api;\nvoid fill(void);\nvoid fill(void) {\n#define SET(r, name, a) api.name = name;\n"
    check(
        gcc,
        tmp_path,
        "CL/cl.h",
        f"{table}\n{uses}OPENCL_CALLS(SET)\n}}\n",
        "-DCL_TARGET_OPENCL_VERSION=120",
        "-Werror",
    )
