"""What the cross-compiler leaves behind on the machine that compiles."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tsm_edge import target
from tsm_edge.compile.link import toolchain

KIB = 2**10


def test_weights_stay_out_of_the_cache_of_the_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kept there, every compile would take their size from the user's disk for good."""
    cache, folder = tmp_path / "kept", tmp_path / "build"
    monkeypatch.setenv("ZIG_LOCAL_CACHE_DIR", str(cache))
    folder.mkdir()
    (folder / "tsm_weights.bin").write_bytes(bytes(64 * KIB))
    (folder / "blobs.S").write_text(toolchain.BLOB_S.format(symbol="tsm_weights"))
    (folder / "plan.c").write_text("int tsm_plan(void) { return 0; }\n")
    compiler = toolchain.Compiler(target.load("raspberry-pi-4"), folder)
    for source in ("plan.c", "blobs.S"):
        compiler.object(source)
    kept = [file.stat().st_size for file in cache.rglob("*.o")]
    assert (folder / "blobs.S.o").stat().st_size > 64 * KIB
    assert kept and max(kept) < 64 * KIB


def test_a_library_calls_its_own_functions_and_offers_no_others(local_bundle: Path) -> None:
    """Two bundles in one process: the first one's public functions must not take the place of the second one's."""
    library = str(local_bundle / "libtsm.so")
    dynamic = subprocess.run(["readelf", "-d", library], capture_output=True, text=True, check=True).stdout
    assert "SYMBOLIC" in dynamic
    symbols = subprocess.run(["nm", "-D", library], capture_output=True, text=True, check=True).stdout
    lines = [line.split() for line in symbols.splitlines()]
    defined = {line[-1] for line in lines if len(line) == 3}
    undefined = {line[-1] for line in lines if len(line) == 2}
    assert "tsm_open" in defined and all(name.startswith("tsm_") for name in defined), defined
    assert not [name for name in undefined if name.startswith("tsm_")]
