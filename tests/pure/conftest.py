"""A small, complete bundle for the tests of this folder; its library holds no code."""

from __future__ import annotations

from pathlib import Path

import pytest

from tsm_edge import bundle, target
from tsm_edge.bundle.manifest import Manifest, ModelInfo, PlanInfo, TargetInfo, WeightsInfo
from tsm_edge.signature import Preprocess, Signature, StatePair, TensorSpec

FILES = {
    "libtsm.so": b"\x7fELF no code",
    "tsm-edge-run": b"#!",
    "tsm_edge.h": b"/* C */\n",
    "plan.txt": b"1 conv\n",
}


@pytest.fixture
def files() -> dict[str, bytes]:
    """Content of every file but the manifest."""
    return dict(FILES)


@pytest.fixture
def manifest() -> Manifest:
    """A manifest without its list of files."""
    return Manifest(
        model=ModelInfo(
            "toy", {"size": 8, "width": 0.5}, WeightsInfo("seeded", "untrained, seed 0", ""), "zoo"
        ),
        labels=("Stillstand", "Bewegung ↔"),
        preprocess=Preprocess.square(9, 8, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), "rgb", 12.0),
        signature=Signature(
            (TensorSpec("frame", (1, 3, 8, 8)),),
            (StatePair(TensorSpec("cache0", (1, 2, 4, 4)), "cache0_out"),),
            (TensorSpec("logits", (1, 2)),),
        ),
        target=TargetInfo.of(target.load("x86-64")),
        backend="cpu",
        precision="float32",
        threads=2,
        plan=PlanInfo(
            steps=1, arena_bytes=4096, state_bytes=128, weights_bytes=640, scratch_bytes=64, macs=1000
        ),
        compiler={"tsm-edge": "0.1.0", "apache-tvm": "0.27.0"},
    )


@pytest.fixture
def toy(tmp_path: Path, manifest: Manifest, files: dict[str, bytes]) -> Path:
    """A bundle on disk."""
    folder = tmp_path / "toy-x86-64"
    bundle.write(folder, manifest, files)
    return folder
