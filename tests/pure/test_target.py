"""Targets: every file loads, and every kind of mistake in a file is refused by field, value and what is allowed."""

from __future__ import annotations

import dataclasses

import pytest

from tsm_edge import target
from tsm_edge.errors import UnknownName, UnsupportedTarget

GOOD = """
summary = "a board"
family = "cpu"
arch = "aarch64"
triple = "aarch64-linux-gnu"
libc = "glibc"
glibc = "2.27"
link = "shared"
fallback = ""
[cpu]
llvm_cpu = "cortex-a72"
llvm_features = ["+neon"]
requires = ["asimd"]
simd_bits = 128
simd_registers = 32
flops_per_cycle = 8
fma_vector_bits = 128
load_ports = 1
paired_loads = true
private_l2 = false
software_prefetch = false
clock_ghz = 1.8
cores = 4
l1d_kib = 32
l2_kib = 256
dram_gb_s = 12.8
[emulator]
program = "qemu-aarch64"
package = "qemu-user"
cpu = "cortex-a72"
sysroot = "/usr/aarch64-linux-gnu"
sysroot_package = "libc6-arm64-cross"
"""


def check_refused(good, old, new, field, part):
    """The file ``good`` with ``new`` in the place of ``old`` is refused, and the error names the field."""
    assert old in good
    with pytest.raises(UnsupportedTarget) as caught:
        target.parse("board", good.replace(old, new, 1))
    assert caught.value.what == f"Target 'board': bad value of '{field}'."
    assert part in str(caught.value.allowed)
    assert caught.value.found is not None



@pytest.mark.parametrize("name", target.names())
def test_every_target_loads(name):
    loaded = target.load(name)
    assert loaded.name == name
    assert loaded.cpu.simd_lanes * 32 == loaded.cpu.simd_bits
    if loaded.fallback:
        assert target.load(loaded.fallback).family == "cpu"
    if loaded.emulator and loaded.libc == "glibc":
        assert loaded.emulator.sysroot


def test_there_are_targets_and_they_are_sorted():
    names = target.names()
    assert "local" in names and len(names) > 5
    assert names == sorted(names)


def test_records_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        target.parse("board", GOOD).arch = "x86_64"


def test_lists_become_tuples_and_facts_are_computed():
    board = target.parse("board", GOOD)
    assert board.cpu.llvm_features == ("+neon",) and board.cpu.requires == ("asimd",)
    assert board.cpu.simd_lanes == 4
    assert board.cpu.peak_gflops == pytest.approx(14.4)


def test_a_second_level_cache_is_shared_where_the_file_says_so():
    assert not target.parse("board", GOOD).cpu.shared_l2
    shared = target.parse("board", GOOD.replace("l2_kib = 256", "l2_kib = 256\nshared_l2 = true"))
    assert shared.cpu.shared_l2


def test_a_target_without_emulator():
    assert target.parse("board", GOOD[: GOOD.index("[emulator]")]).emulator is None


@pytest.mark.parametrize(
    ("old", "new", "field", "part"),
    [
        ('summary = "a board"', 'summary = " "', "summary", "non-empty"),
        ('family = "cpu"', 'family = "gpu"', "family", "cpu, cuda, opencl"),
        ('arch = "aarch64"', 'arch = "riscv64"', "arch", "x86_64"),
        (
            'triple = "aarch64-linux-gnu"',
            'triple = "aarch64-linux-gnu.2.27"',
            "triple",
            "aarch64-linux-gnu for arch",
        ),
        ('libc = "glibc"', 'libc = "uclibc"', "libc", "glibc, musl, bionic"),
        ('libc = "glibc"', 'libc = "bionic"', "triple", "aarch64-linux-android for arch"),
        ('glibc = "2.27"', 'glibc = ""', "glibc", "2.27"),
        ('glibc = "2.27"', "glibc = 2.27", "glibc", "2.27"),
        ('link = "shared"', 'link = "static"', "link", "static with musl"),
        ('fallback = ""', 'fallback = "local"', "fallback", "empty for family cpu"),
        ('"+neon"', '"neon"', "cpu.llvm_features", "+ or -"),
        ('["+neon"]', '"+neon"', "cpu.llvm_features", "list of strings"),
        ('["asimd"]', '["avx2"]', "cpu.requires", "asimd, fp16, dotprod"),
        ("simd_bits = 128", "simd_bits = 100", "cpu.simd_bits", "64, 128, 256, 512"),
        ("fma_vector_bits = 128", "fma_vector_bits = 256", "cpu.fma_vector_bits", "64, 128"),
        ("load_ports = 1", "load_ports = 0", "cpu.load_ports", "from 1"),
        ("paired_loads = true", "paired_loads = 1", "cpu.paired_loads", "true or false"),
        ("l2_kib = 256", "l2_kib = 256\nshared_l2 = 1", "cpu.shared_l2", "true or false"),
        ("simd_registers = 32", "simd_registers = 31", "cpu.simd_registers", "8, 16, 32"),
        ("cores = 4", "cores = 0", "cpu.cores", "from 1"),
        ("cores = 4", "cores = true", "cpu.cores", "integer"),
        ("cores = 4", 'cores = "4"', "cpu.cores", "integer"),
        ("clock_ghz = 1.8", "clock_ghz = 1800", "cpu.clock_ghz", "0.0 to 10.0"),
        ("clock_ghz = 1.8", "clock_ghz = nan", "cpu.clock_ghz", "0.0 to 10.0"),
        ("l1d_kib = 32", "l1d_kib = 32768", "cpu.l1d_kib", "4 to 1024"),
        ("l1d_kib = 32", "l1d = 32", "cpu.l1d", "no such field"),
        ("l1d_kib = 32", "", "cpu.l1d_kib", "every field"),
        ('fallback = ""', "", "fallback", "every field"),
        ('fallback = ""', 'fallback = ""\ncolour = "red"', "colour", "no such field"),
        ('fallback = ""', 'fallback = ""\nname = "x"', "name", "no such field"),
        ('package = "qemu-user"', "", "emulator.package", "every field"),
        ('package = "qemu-user"', 'package = ""', "emulator.package", "non-empty"),
        ('sysroot = "/usr/aarch64-linux-gnu"', 'sysroot = ""', "emulator.sysroot_package", "exactly when"),
    ],
)
def test_mistakes_are_refused(old, new, field, part):
    check_refused(GOOD, old, new, field, part)


def test_a_table_that_is_a_value():
    text = GOOD[: GOOD.index("[cpu]")]
    with pytest.raises(UnsupportedTarget, match="'cpu'"):
        target.parse("board", text + "cpu = 3\n")


def test_a_file_that_is_not_toml():
    with pytest.raises(UnsupportedTarget, match="not TOML"):
        target.parse("board", "summary = ")


def test_a_detected_target_has_no_further_fields():
    with pytest.raises(UnsupportedTarget, match="'arch'"):
        target.parse("board", 'detect = true\nsummary = "here"\narch = "aarch64"\n')


def test_musl_goes_with_static():
    text = GOOD.replace('"aarch64-linux-gnu"', '"aarch64-linux-musl"', 1).replace('"glibc"', '"musl"')
    static = text.replace('glibc = "2.27"', 'glibc = ""').replace('"shared"', '"static"')
    assert target.parse("board", static).link == "static"
    with pytest.raises(UnsupportedTarget, match="'glibc'"):
        target.parse("board", text)


GPU = """
[gpu]
sm = 53
ptx_isa = "6.4"
driver_cuda = "10.2"
wave = 32
units = 1
flops_per_cycle = 256
fp16_rate = 2.0
clock_ghz = 0.9216
registers = 65536
thread_registers = 128
unit_threads = 2048
unit_groups = 32
group_threads = 1024
shared_kib = 64
group_shared_kib = 48
l2_kib = 256
dram_gb_s = 25.6
launch_us = 5.0
"""
GPU_BOARD = (
    GOOD.replace('family = "cpu"', 'family = "cuda"').replace('fallback = ""', 'fallback = "a-cpu"') + GPU
)


def test_a_gpu_target():
    board = target.parse("board", GPU_BOARD)
    assert board.gpu is not None and board.gpu.peak_gflops == pytest.approx(235.9296)
    assert target.parse("board", GOOD).gpu is None


@pytest.mark.parametrize(
    ("old", "new", "field", "part"),
    [
        ('fallback = "a-cpu"', 'fallback = ""', "fallback", "CPU target"),
        (GPU, "", "gpu", "facts of the GPU"),
        ('family = "cuda"', 'family = "opencl"', "gpu.sm", "otherwise 0"),
        ("sm = 53", "sm = 0", "gpu.ptx_isa", "otherwise empty"),
        ('ptx_isa = "6.4"', 'ptx_isa = "6"', "gpu.ptx_isa", "6.4"),
        ('driver_cuda = "10.2"', "driver_cuda = 10.2", "gpu.driver_cuda", "a string"),
        ("wave = 32", "wave = 33", "gpu.wave", "16, 32, 64"),
        ("units = 1", "units = 0", "gpu.units", "from 1"),
        ("thread_registers = 128", "thread_registers = 256", "gpu.thread_registers", "16 to 255"),
        ("group_shared_kib = 48", "group_shared_kib = 65", "gpu.group_shared_kib", "8 to 64"),
        ("launch_us = 5.0", "", "gpu.launch_us", "every field"),
        ("launch_us = 5.0", "launch_us = 5.0\ncolour = 1", "gpu.colour", "no such field"),
    ],
)
def test_mistakes_in_a_gpu_are_refused(old, new, field, part):
    check_refused(GPU_BOARD, old, new, field, part)


def test_every_gpu_target_falls_back_to_a_cpu_target_of_its_architecture():
    gpus = [target.load(name) for name in target.names() if target.load(name).gpu]
    assert {board.family for board in gpus} == {"cuda", "opencl"}
    for board in gpus:
        fallback = target.load(board.fallback)
        assert (fallback.family, fallback.arch) == ("cpu", board.arch)


def test_the_facts_of_a_cuda_target_agree():
    """An ISA that knows its sm (PTX ISA manual, release notes) and that its driver reads."""
    knows = {53: (4, 1), 62: (5, 0), 72: (6, 1), 75: (6, 3), 87: (7, 4)}
    reads = {"10.2": (6, 5), "11.4": (7, 4), "12.6": (8, 5)}
    boards = [target.load(name) for name in target.names() if target.load(name).family == "cuda"]
    assert len(boards) >= 6
    for board in boards:
        isa = tuple(map(int, board.gpu.ptx_isa.split(".")))
        assert knows[board.gpu.sm] <= isa <= reads[board.gpu.driver_cuda], board.name


def test_unknown_targets_name_their_neighbour():
    names = target.names()
    with pytest.raises(UnknownName, match=f"Did you mean '{names[0]}'"):
        target.load(names[0] + "x")
