"""Whole bundles through the OpenCL runtime: 32 frames with states against PyTorch, streams, reset."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

import pocl_lab
import pytest
import volume_nets
from opencl_here import needs_a_device

FRAMES = 32
#: relative to the largest value of each output and state
TOLERANCE = {"fp32": 1e-4, "fp16": 2e-2}
FULL = {"size": 224}
SMALL = {"size": 64}
CASES = {
    "mobilenetv2-fp16-full-size": ("tsm-mobilenetv2", FULL, "fp16"),
    "mobilenetv2-fp32": ("tsm-mobilenetv2", {**SMALL, "width": 0.35}, "fp32"),
    "resnet18-fp16": ("tsm-resnet18", SMALL, "fp16"),
    "resnet18-fp32": ("tsm-resnet18", SMALL, "fp32"),
}

pytestmark = needs_a_device


@pytest.fixture(scope="module")
def proofs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[pocl_lab.Proof]]]:
    """All cases under way, two at a time: most of it is the work of compilers on one thread."""
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        yield {
            case: pool.submit(pocl_lab.prove, *what, tmp_path_factory.mktemp(case), FRAMES)
            for case, what in CASES.items()
        }


@pytest.mark.parametrize("case", CASES)
def test_a_bundle_computes_the_network(case: str, proofs: dict[str, Future[pocl_lab.Proof]]) -> None:
    outcome = proofs[case].result().outcome
    assert outcome.frames == outcome.top1 == FRAMES
    tolerance = TOLERANCE[CASES[case][2]]
    assert all(difference.within(tolerance) for difference in outcome.differences), outcome.differences
    assert len(outcome.differences) > 8, "the scores and every state"


@pytest.mark.parametrize("case", CASES)
def test_streams_of_a_bundle(case: str, proofs: dict[str, Future[pocl_lab.Proof]]) -> None:
    """Two streams in turn are two streams alone, bit for bit; a reset is a new stream; states move between streams,
    as floats and as they are stored."""
    proof = proofs[case].result()
    device = proof.streams.pop("device")
    assert "OpenCL" in str(device)
    assert proof.streams == {
        "streams": True,
        "reset": True,
        "moved": True,
        "stored": [{"fp16": "float16", "fp32": "float32"}[CASES[case][2]]],
        "alike": True,
        "resumed": True,
        "nan": True,
        "differ": True,
        "ops": proof.launches,
        "timed": proof.launches,
    }
    assert proof.launches <= 60


@pytest.mark.parametrize(
    ("net", "precision"),
    [("volumes", "fp32"), ("relations", "fp16"), ("attention", "fp16"), ("regions", "fp16")],
)
def test_clips_compute_what_pytorch_does(net: str, precision: str, tmp_path: Path) -> None:
    """Scores of two clips, relative to the largest: every operator of the family's networks is in one of these."""
    built = volume_nets.compiled(net, "opencl", tmp_path / "bundle", precision)
    assert volume_nets.difference(net, built) <= TOLERANCE[precision]
