"""The fuzz targets of tests/abuse/fuzz, each for a short time by a fixed seed. `make abuse` runs them for long."""

from __future__ import annotations

import shutil

import fuzz_lab
import pytest

#: executions in `make test`: a second or two of each target
RUNS = {
    **{"manifest": 6000, "bundle": 2000, "resample": 3000, "image_step": 4000},
    **{"api": 2000, "command": 1000, "jpeg": 3000},
}
#: reads a byte beyond a block when the input begins with two letters
PLANTED = """
#include "fuzz.h"
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static volatile int begun;
    char *block = malloc(size + 1);
    memcpy(block, data, size);
    int read = 0;
    if (size > 2 && block[0] == 'o') {
        begun++;
        if (block[1] == 'h') read = *(const volatile char *)(block + size + 1);
    }
    free(block);
    return read > 999;
}
"""


@pytest.fixture(scope="module")
def compiler() -> str | None:
    """clang where it has libFuzzer; None means gcc and driver.c."""
    found = fuzz_lab.clang()
    if found is None and shutil.which("gcc") is None:
        pytest.skip("neither clang with libFuzzer nor gcc is installed")
    return found


@pytest.mark.parametrize("target", fuzz_lab.TARGETS)
def test_fuzz(compiler, tmp_path, target):
    program = fuzz_lab.build(target, tmp_path, compiler)
    result = fuzz_lab.run(program, target, tmp_path, RUNS[target], 1, compiler, tmp_path / "kept")
    assert result.code == 0, result.output
    assert result.executions >= RUNS[target]


def test_every_target_has_a_file():
    written = {path.stem for path in fuzz_lab.HERE.glob("*.c")} - {"driver"}
    assert written == set(fuzz_lab.TARGETS) == set(RUNS)


@pytest.mark.parametrize("engine", ["clang", "gcc"])
def test_the_engine_finds_a_planted_fault(compiler, tmp_path, engine, monkeypatch):
    if engine == "clang" and compiler is None:
        pytest.skip("clang with libFuzzer is not installed")
    if engine == "gcc" and shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    (tmp_path / "manifest.c").write_text(PLANTED)
    monkeypatch.setattr(fuzz_lab, "sources", lambda target: [tmp_path / "manifest.c"])
    monkeypatch.setattr(fuzz_lab, "corpus_of", lambda target: [])
    chosen = compiler if engine == "clang" else None
    program = fuzz_lab.build("manifest", tmp_path, chosen)
    result = fuzz_lab.run(program, "manifest", tmp_path, 300_000, 1, chosen, tmp_path / "kept")
    assert result.code != 0 and "heap-buffer-overflow" in result.output
    inputs = [*tmp_path.glob("crash-*")]
    assert inputs and inputs[0].read_bytes()[:2] == b"oh"
