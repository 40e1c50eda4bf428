"""The 8-bit kernels of each x86 instruction set, and a whole bundle, against the integer reference, to the bit."""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path

import int8_lab
import numpy as np
import pytest

from tsm_edge import target
from tsm_edge.compile.backends import cpu
from tsm_edge.compile.schedules import registry
from tsm_edge.target import EdgeTarget, host

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="runs x86 programs")

V3, V4 = ("avx2", "fma", "f16c"), ("avx512f", "avx512vl", "avx512bw", "avx512dq")
#: what the processor requires, LLVM's processor and its features, bits and number of vector registers
SETS = {
    "AVX512-VNNI": ((*V3, *V4, "avx512_vnni"), "x86-64-v4", ("-prefer-256-bit", "+avx512vnni"), 512, 32),
    "AVX-512": ((*V3, *V4), "x86-64-v4", ("-prefer-256-bit",), 512, 32),
    "AVX-VNNI": ((*V3, "avx_vnni"), "x86-64-v3", ("+avxvnni",), 256, 16),
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
