"""The GPU schedules against plain numpy, on PoCL: OpenCL on this machine's CPU."""

from __future__ import annotations

from dataclasses import replace

import gpu_lab
import kernel_perf
import numpy as np
import opencl_lab
import pytest

from tsm_edge import target
from tsm_edge.compile.backends import cuda, opencl
from tsm_edge.compile.ir.dtype import FLOAT32
from tsm_edge.compile.ir.ops import Attention, Conv, Copy, GlobalPool, MaxPool
from tsm_edge.compile.kernels.gpu import tiling
from tsm_edge.compile.schedules import registry
from tsm_edge.errors import CompileError

CASES = [case for rule in registry.rules("gpu") for case in rule.cases]
#: shapes at, below and above a tile, and every width of a vector
AWKWARD = [
    *(Conv(1, pixels, 13, 21, residual=True, high=1.0) for pixels in (2, 31, 33)),
    *(Conv(3, 4, channels, 20, fold_in=channels // 8, low=0.0) for channels in (8, 24, 31)),
    Conv(5, 5, 12, 5, fold_out=5, fold_in=11),
    Conv(6, 6, 48, 1, low=-0.5, high=0.5),
    Conv(3, 3, 2, 70, (3, 3), (1, 1), (1, 0, 0, 1)),
    *(Conv(size, size, 12, 12, (3, 3), (2, 2), (1, 1, 1, 1), 12, low=0.0, high=6.0) for size in (2, 5)),
    Conv(4, 9, 6, 6, (5, 3), (1, 2), (2, 1, 2, 1), 6, fold_out=3),
    GlobalPool(2, 1, 66),
    MaxPool(5, 5, 6, (3, 3), (1, 1), (1, 1, 1, 1), fold_out=1),
]


@pytest.fixture(scope="module")
def device() -> opencl_lab.Device:
    try:
        return opencl_lab.Device()
    except opencl_lab.OpenCLError as error:
        pytest.skip(f"needs the packages pocl-opencl-icd and ocl-icd-libopencl1: {error}")


def test_each_case_is_claimed_by_its_own_schedule() -> None:
    machine = opencl.machine(target.load("opencl"), "fp16")
    for rule in registry.rules("gpu"):
        for case in rule.cases:
            assert registry.find("gpu", case, machine) is rule, case


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_kernels_equal_numpy(device: opencl_lab.Device, precision: str) -> None:
    facts = opencl.machine(target.load("opencl"), precision)
    gpu_lab.run(device, gpu_lab.stored(CASES + AWKWARD, facts), facts, 1)


def test_a_case_is_timed(device: opencl_lab.Device) -> None:
    (found,) = kernel_perf.gpu_times(device, kernel_perf.chosen("copy_784x64_8", "gpu"))
    assert found.kernel.rule == "copy_gpu" and 0 < found.least_ns <= found.median_ns


def test_kernels_with_the_tiles_of_another_device(device: opencl_lab.Device) -> None:
    """Many units, waves of 64, 64 registers, small groups: small tiles and several slices."""
    facts = opencl.machine(target.load("android-adreno"), "fp16")
    few = replace(facts, units=20, group_threads=128)
    dense = [case for case in CASES if isinstance(case, Attention) or (isinstance(case, Conv) and case.groups == 1)]
    gpu_lab.run(device, gpu_lab.stored(dense, few), few, 2)


def test_attention_where_threads_take_many_positions(device: opencl_lab.Device) -> None:
    """One unit: tiles of four positions by four keys, which other devices take at full size only."""
    facts = cuda.machine(target.load("jetson-nano"), "fp16")
    cases = gpu_lab.stored([Attention(2, 61, 68, 123, 0.125), Attention(2, 61, 66, 123, 0.2, pitch=4032)], facts)
    for case in cases:
        selection = registry.select("gpu", case, facts)
        assert selection is not None and "each=4" in selection.name
    gpu_lab.run(device, cases, facts, 4)


def test_a_gpu_without_room_for_a_tile_is_refused() -> None:
    facts = replace(opencl.machine(target.load("opencl"), "fp16"), thread_registers=40)
    with pytest.raises(CompileError, match="No tile") as caught:
        tiling.choose_gemm(facts, 30, 32, 27)
    assert "40 registers a thread" in str(caught.value.found)


@pytest.mark.parametrize("wide", ["x", "y"])
def test_the_frame_and_the_scores_are_float32(device: opencl_lab.Device, wide: str) -> None:
    """With 16-bit storage everywhere else."""
    facts = opencl.machine(target.load("opencl"), "fp16")
    stem, classifier = Conv(9, 9, 3, 8, (3, 3), (2, 2), (1, 1, 1, 1)), Conv(1, 1, 24, 5)
    shift = [Conv(4, 4, 8, 8, fold_in=2, residual=True), Copy(16, 8, 2)]  # of a network that shifts its frame
    ops = gpu_lab.stored([stem, classifier, *shift], facts, **{wide: FLOAT32})
    gpu_lab.run(device, ops, facts, 3)


def test_the_lab_sees_a_write_beside_an_argument(device: opencl_lab.Device) -> None:
    source = "__kernel void bad(__global float *y) { y[get_global_id(0)] = 1.0f; y[%s] = 2.0f; }"
    for place, word in (("-1", "before"), ("64", "after")):
        program = device.build(source % place)
        with pytest.raises(AssertionError, match=f"bad wrote {word}"):
            device.run(program, "bad", [np.zeros(64, np.float32)], (1, 1, 1), 64)
