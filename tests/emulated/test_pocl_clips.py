"""A window of frames through the OpenCL runtime: two clips and two windows of pictures against PyTorch."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pocl_lab
from opencl_here import needs_a_device

#: float16, relative to the largest score
TOLERANCE = 2e-2
CLIPS = 2

pytestmark = needs_a_device


def test_a_window_computes_the_network(tmp_path: Path) -> None:
    """In a process of its own: PoCL's compiler keeps its memory."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        outcome, launches = pool.submit(pocl_lab.prove_clip, "tsm-resnet18", "fp16", tmp_path, CLIPS).result()
    assert outcome.frames == outcome.top1 == CLIPS
    assert [difference.name for difference in outcome.differences] == ["logits", "logits, of pictures"]
    assert all(difference.within(TOLERANCE) for difference in outcome.differences), outcome.differences
    assert launches > 3 * 20, "a launch for each of the three frames of a layer"
