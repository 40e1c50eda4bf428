"""This machine as a target, from the literal words of many machines' /proc/cpuinfo."""

from __future__ import annotations

import pytest

from tsm_edge import target
from tsm_edge.errors import UnsupportedHost
from tsm_edge.target import host
from tsm_edge.target.host import Cache, Host

V3_FLAGS = "fpu sse sse2 ssse3 fma cx16 sse4_1 sse4_2 movbe popcnt aes xsave avx f16c bmi1 avx2 bmi2"
XEON = f"""processor\t: 0
model name\t: Intel(R) Xeon(R) Platinum 8370C CPU @ 2.80GHz
cpu MHz\t\t: 3490.123
flags\t\t: {V3_FLAGS} avx512f avx512dq avx512cd avx512bw avx512vl avx512_vnni

processor\t: 1
flags\t\t: fpu
"""
ZEN = f"processor\t: 0\nmodel name\t: AMD EPYC\ncpu MHz\t\t: 2445.406\nflags\t\t: {V3_FLAGS}\n"
A72 = "processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU part\t: 0xd08\n"
A76 = (
    "processor\t: 0\nFeatures\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm "
    "lrcpc dcpop asimddp\nCPU part\t: 0xd0b\n"
)
ARMV7 = (
    "processor\t: 0\nmodel name\t: ARMv7 Processor rev 4 (v7l)\n"
    "Features\t: half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm crc32\n"
)
ZEN_CACHES = (
    Cache(1, "Data", 32, 2),
    Cache(1, "Instruction", 32, 2),
    Cache(2, "Unified", 512, 2),
    Cache(3, "Unified", 32768, 16),
)
A72_CACHES = (Cache(1, "Data", 32, 1), Cache(1, "Instruction", 48, 1), Cache(2, "Unified", 1024, 4))


def machine(cpuinfo, machine="x86_64", **changes):
    facts = {
        "machine": machine, "pointer_bytes": 8, "cpuinfo": cpuinfo, "caches": (), "threads_per_core": 1,
        "threads": 4, "max_khz": 0, "libc": "glibc 2.36",
    }  # fmt: skip
    return Host(**{**facts, **changes})


def local(*arguments, **changes):
    return host.local_target("local", "here", machine(*arguments, **changes))


def test_xeon_with_avx512():
    found = local(XEON, threads_per_core=2, threads=8)
    assert (found.cpu.llvm_cpu, found.cpu.simd_bits, found.cpu.simd_registers) == ("x86-64-v4", 512, 32)
    assert found.cpu.llvm_features == ("-prefer-256-bit", "+avx512vnni")
    assert {"avx512f", "avx512vl", "avx512bw", "avx512dq", "avx512_vnni", "avx2", "fma"} <= set(found.cpu.requires)
    assert found.cpu.vnni
    without = local(XEON.replace(" avx512_vnni", ""))
    assert without.cpu.llvm_features == ("-prefer-256-bit",) and not without.cpu.vnni
    assert (found.cpu.cores, found.cpu.flops_per_cycle) == (4, 64)
    assert found.cpu.clock_ghz == 2.8
    assert (found.arch, found.triple, found.family) == ("x86_64", "x86_64-linux-gnu", "cpu")


def test_half_an_avx512_is_none():
    found = local(XEON.replace(" avx512vl", ""))
    assert (found.cpu.llvm_cpu, found.cpu.simd_bits, found.cpu.simd_registers) == ("x86-64-v3", 256, 16)
    assert not any(feature.startswith("avx512") for feature in found.cpu.requires) and not found.cpu.vnni
    assert local(XEON.replace(" avx512vl", " avx_vnni")).cpu.requires[-1] == "avx_vnni"


def test_zen_with_avx2_and_two_threads_a_core():
    found = local(ZEN, caches=ZEN_CACHES, threads_per_core=2, threads=2)
    assert found.cpu.llvm_cpu == "x86-64-v3"
    assert (found.cpu.l1d_kib, found.cpu.l2_kib, found.cpu.cores) == (32, 512, 1)
    assert found.cpu.clock_ghz == 2.4
    assert found.cpu.dram_gb_s == 0


@pytest.mark.parametrize(("family", "flops"), [(25, 32), (26, 64)])
def test_zen_with_avx512_takes_a_vector_in_halves_before_zen_5(family, flops):
    found = local(f"vendor_id\t: AuthenticAMD\ncpu family\t: {family}\n{XEON}")
    assert (found.cpu.llvm_cpu, found.cpu.simd_bits, found.cpu.flops_per_cycle) == ("x86-64-v4", 512, flops)
    assert (found.cpu.fma_vector_bits, found.cpu.load_ports) == ((256, 1) if family == 25 else (512, 2))


def test_x86_with_sse_only():
    found = local("flags\t\t: fpu sse sse2 ssse3 sse4_1 sse4_2 popcnt\n")
    assert (found.cpu.llvm_cpu, found.cpu.simd_bits, found.cpu.requires) == ("x86-64-v2", 128, ("sse4.2",))


def test_a_72_like_core():
    found = local(A72, "aarch64", caches=A72_CACHES, max_khz=1_800_000)
    assert found.triple == "aarch64-linux-gnu"
    assert found.cpu.requires == ("asimd",)
    assert found.cpu.llvm_features == ("+neon",)
    assert (found.cpu.simd_bits, found.cpu.simd_registers, found.cpu.flops_per_cycle) == (128, 32, 8)
    assert (found.cpu.clock_ghz, found.cpu.l2_kib) == (1.8, 256)
    assert (found.cpu.paired_loads, found.cpu.load_ports, found.cpu.software_prefetch) == (True, 1, False)
    assert not (found.cpu.fp16 or found.cpu.dotprod or found.cpu.i8mm or found.cpu.vnni)


@pytest.mark.parametrize(
    ("sharers", "threads", "per_core", "shared"),
    [(4, 4, 1, True), (4, 8, 1, False), (1, 4, 1, False), (2, 2, 2, False), (8, 8, 2, True), (0, 4, 1, False)],
)
def test_a_second_level_cache_is_shared_where_every_core_has_the_same(sharers, threads, per_core, shared):
    caches = (*A72_CACHES[:2], Cache(2, "Unified", 1024, sharers))
    found = local(A72, "aarch64", caches=caches, threads=threads, threads_per_core=per_core)
    assert found.cpu.shared_l2 is shared
    assert found.cpu.l2_kib == 1024 // max(1, sharers // per_core)


def test_a_machine_that_names_no_cache_shares_none():
    assert not local(A72, "aarch64").cpu.shared_l2


def test_a_76_like_core():
    found = local(A76, "aarch64")
    assert found.cpu.requires == ("asimd", "fp16", "dotprod")
    assert found.cpu.llvm_features == ("+neon", "+fullfp16", "+dotprod")
    assert (found.cpu.flops_per_cycle, found.cpu.load_ports) == (16, 2)
    assert found.cpu.fp16 and found.cpu.dotprod and not found.cpu.i8mm
    assert found.cpu.clock_ghz == 0


def test_32_bit_arm():
    found = local(ARMV7, "armv7l", pointer_bytes=4)
    assert (found.arch, found.triple) == ("armv7l", "arm-linux-gnueabihf")
    assert (found.cpu.requires, found.cpu.simd_registers) == (("neon", "vfpv4"), 16)


def test_32_bit_system_on_a_64_bit_kernel():
    found = local(A72, "aarch64", pointer_bytes=4)
    assert (found.arch, found.cpu.requires) == ("armv7l", ("neon", "vfpv4"))


@pytest.mark.parametrize(
    ("libc", "glibc", "kind", "triple"),
    [
        ("glibc 2.36", "2.28", "glibc", "x86_64-linux-gnu"),
        ("glibc 2.28", "2.28", "glibc", "x86_64-linux-gnu"),
        ("glibc 2.9", "2.9", "glibc", "x86_64-linux-gnu"),
        ("glibc 2.17", "2.17", "glibc", "x86_64-linux-gnu"),
        ("", "", "musl", "x86_64-linux-musl"),
    ],
)
def test_c_library(libc, glibc, kind, triple):
    found = local(ZEN, libc=libc)
    assert (found.glibc, found.libc, found.triple) == (glibc, kind, triple)
    assert found.link == ("shared" if glibc else "static")


@pytest.mark.parametrize(
    ("cpuinfo", "changes", "part"),
    [
        (ZEN, {"machine": "riscv64"}, "riscv64"),
        (ZEN, {"pointer_bytes": 4}, "i686"),
        ("flags\t\t: fpu sse sse2\n", {}, "SSE4.2"),
        ("", {}, "SSE4.2"),
        ("Features\t: half thumb neon vfpv3\n", {"machine": "armv7l", "pointer_bytes": 4}, "VFPv4"),
    ],
)
def test_machines_that_cannot_be_targets(cpuinfo, changes, part):
    with pytest.raises(UnsupportedHost, match=part):
        local(cpuinfo, **changes)


def test_features_use_the_names_of_targets():
    assert {"sse4.2", "avx2", "fma", "f16c"} <= host.features_of(machine(ZEN))
    assert {"asimd", "fp16", "dotprod"} <= host.features_of(machine(A76))
    assert "dotprod" not in host.features_of(machine(A72))


@pytest.mark.parametrize(
    ("text", "count"), [("0", 1), ("0-3", 4), ("0-1,8-9", 4), ("0,5", 2), ("", 0), ("\n", 0)]
)
def test_lists_of_processors(text, count):
    assert host._count_list(text) == count


def test_this_machine():
    here = host.read_host()
    assert here.threads >= 1 and here.cpuinfo
    found = target.load("local")
    assert found.arch == host.arch_of(here)
    assert found == target.load("local"), "detection must not wander"
