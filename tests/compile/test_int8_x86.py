"""The 8-bit kernels of each x86 instruction set, and a whole bundle, against the integer reference, to the bit."""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path

import int8_lab
import numpy as np
import pytest

import tsm_edge
from tsm_edge import target
from tsm_edge.compile.backends import cpu
from tsm_edge.compile.schedules import registry
from tsm_edge.errors import FrameError
from tsm_edge.target import EdgeTarget, host

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="runs x86 programs")

V3, V4 = ("avx2", "fma", "f16c"), ("avx512f", "avx512vl", "avx512bw", "avx512dq")
#: what the processor requires, LLVM's processor and its features, bits and number of vector registers
SETS = {
    "AVX512-VNNI": ((*V3, *V4, "avx512_vnni"), "x86-64-v4", ("-prefer-256-bit", "+avx512vnni"), 512, 32),
    "AVX-512": ((*V3, *V4), "x86-64-v4", ("-prefer-256-bit",), 512, 32),
    "AVX-VNNI": ((*V3, "avx_vnni"), "gracemont", (), 256, 16),  # as intel-n100
    "AVX2": (V3, "x86-64-v3", (), 256, 16),
    "SSE4.2": (("sse4.2",), "x86-64-v2", (), 128, 16),
}


def device_of(name: str) -> EdgeTarget:
    """The target of an instruction set; skips the test where this machine lacks it."""
    requires, llvm, features, bits, registers = SETS[name]
    missing = set(requires) - host.features_of(host.read_host())
    if missing:
        pytest.skip(f"this machine has no {', '.join(sorted(missing))}")
    plain = target.load("x86-64")
    facts = replace(
        plain.cpu,
        llvm_cpu=llvm,
        llvm_features=features,
        requires=requires,
        simd_bits=bits,
        simd_registers=registers,
        fma_vector_bits=min(bits, plain.cpu.fma_vector_bits),
    )
    return replace(plain, cpu=facts)


@pytest.mark.parametrize("name", SETS)
def test_kernels_equal_the_reference(name: str, tmp_path: Path) -> None:
    device = device_of(name)
    every = 1 if name == "AVX512-VNNI" else 4  # the sets differ in the arithmetic of a vector, not in the loops
    int8_lab.check(int8_lab.cases(device, np.random.default_rng(3))[::every], device, tmp_path, [])


@pytest.mark.parametrize("name", SETS)
def test_products_of_bytes_where_the_set_has_them(name: str) -> None:
    machine = cpu.machine(device_of(name))
    rule = next(rule for rule in registry.rules("cpu_int8") if rule.name == "pointwise_cpu_int8")
    case = int8_lab.case_of(rule, rule.cases[1], machine, np.random.default_rng(3))
    assert ("vpdpbusd" in case.kernel.build().script()) == ("VNNI" in name)


def test_a_bundle_equals_the_reference(tmp_path: Path) -> None:
    int8_lab.check_bundle(target.load("local"), tmp_path)
    check_stored_states(tmp_path / "bundle")


def check_stored_states(folder: Path) -> None:
    """A state's bytes come and go as they are, are what the floats stand for, and continue a stream to the bit."""
    rng = np.random.default_rng(0)
    with tsm_edge.open(folder) as model, model.stream() as stream, model.stream() as other:
        frames = rng.standard_normal((3, *model.signature.inputs[0].shape)).astype(np.float32)
        for frame in frames[:2]:
            stream.step_tensor(frame)
        stored, floats = stream.raw_states(), stream.states()
        for form in model.state_forms():
            array = stored[form.name]
            assert (array.dtype, array.shape) == (np.int8, form.shape)
            assert np.ptp(array.astype(int)) > 0
            real = (array.astype(np.int32) - form.zero).astype(np.float32) * np.float32(form.scale)
            assert np.array_equal(real, floats[form.name])
        noise = {name: rng.integers(-128, 128, array.shape).astype(np.int8) for name, array in stored.items()}
        other.set_raw_states(noise)
        assert all(np.array_equal(array, noise[name]) for name, array in other.raw_states().items())
        other.set_raw_states(stored)
        assert np.array_equal(other.step_tensor(frames[2]), stream.step_tensor(frames[2]))
        with pytest.raises(FrameError, match=form.name):
            other.set_raw_states({form.name: floats[form.name]})
