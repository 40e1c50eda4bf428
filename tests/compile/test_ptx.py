"""CUDA targets: every kernel of a shipped model is PTX that `ptxas` assembles for its board, without spills."""

from __future__ import annotations

import re

import pytest

from tsm_edge import models, target
from tsm_edge.compile import passes
from tsm_edge.compile.backends import cuda, nvidia
from tsm_edge.compile.frontend import networks
from tsm_edge.compile.ir.dtype import Types
from tsm_edge.compile.ir.graph import Graph
from tsm_edge.compile.ir.ops import Attention, FrameGather, Panels
from tsm_edge.compile.link.code import Code
from tsm_edge.compile.lowering import lower, planner
from tsm_edge.compile.lowering.planner import Planned
from tsm_edge.compile.precision import precision_of
from tsm_edge.compile.schedules import registry
from tsm_edge.errors import CompileError, ExtraMissing

BOARDS = [name for name in target.names() if target.load(name).family == "cuda"]


@pytest.fixture(scope="module")
def graph() -> Graph:
    imported = networks.zoo(models.load("tsm-mobilenetv2")).load()
    passes.run(imported)
    return imported


def built(graph: Graph, name: str, precision: str = "fp16") -> tuple[Planned, Code]:
    device = target.load(name)
    lowered = lower.lower(graph, cuda.SCHEDULES, cuda.machine(device, precision))
    planned = planner.plan(graph, lowered, cuda.ALIGN)
    functions = {symbol: build() for symbol, build in planned.kernels.items()}
    return planned, cuda.build(planned, functions, device, precision)


@pytest.mark.parametrize("name", BOARDS)
def test_every_kernel_is_assembled_for_its_board(graph: Graph, name: str) -> None:
    device = target.load(name)
    assert device.gpu is not None
    planned, code = built(graph, name)
    assert set(code.resources) == set(planned.kernels)
    ptx = code.blobs["tsm_program"].decode()
    assert ptx.endswith("\0") and re.search(rf"^\.version {device.gpu.ptx_isa}$", ptx, re.MULTILINE)
    assert f".target sm_{device.gpu.sm}" in ptx
    assert not re.search(r"\b(max|min)\.(ftz\.)?f32", ptx), "they drop NaN"
    assert ("max.NaN.f32" in ptx) == (device.gpu.sm >= 80)
    for op in planned.plan.ops:
        found, launch = code.resources[op.symbol], op.launch
        assert launch is not None
        assert (found.spill_loads, found.spill_stores, found.stack_bytes) == (0, 0, 0), op.symbol
        assert found.shared_bytes == launch.shared_bytes <= device.gpu.group_shared_kib * 1024
        # the CUDA programming guide's registers of one block
        most = 32768 if device.gpu.sm in (53, 62) else 65536
        assert -(-found.registers // 8) * 8 * -(-launch.threads // 64) * 64 <= most, op.symbol
    assert len(planned.plan.ops) <= 60
    assert not any("copy" in op.schedule for op in planned.plan.ops), "the shift takes no launch"
    modelled = cuda.modelled(planned, code, device, "fp16", 4)
    assert 0 < modelled.floor_ms < modelled.ms
    if device.gpu.sm == 53:
        assert modelled.ms < 13.4 / 2, "half of what the paper measured on this board"


@pytest.mark.parametrize(
    ("model", "precision"),
    [("tsm-mobilenetv2", "fp32"), ("tsm-resnet18", "fp16"), ("tsm-resnet50", "fp16")],
)
def test_nothing_spills_where_registers_are_few(model: str, precision: str) -> None:
    """A group has half of a unit's registers there, and they are handed to four waves at a time."""
    imported = networks.zoo(models.load(model)).load()
    passes.run(imported)
    planned, code = built(imported, "jetson-nano", precision)
    assert set(code.resources) == set(planned.kernels)
    spilled = {
        name: found for name, found in code.resources.items() if found.spill_loads or found.spill_stores
    }
    assert spilled == {}


@pytest.mark.parametrize("name", BOARDS)
def test_kernels_of_clips_are_assembled(name: str) -> None:
    """Non-local blocks at the sizes of ResNet-50's stages, panels and chosen frames."""
    device = target.load(name)
    assert device.gpu is not None
    facts = cuda.machine(device, "fp16")
    types = Types.stored(facts.storage)
    ops = [
        Attention(8, 784, 256, 1568, 0.0625, types=types),
        Attention(8, 196, 512, 392, types=types),
        Panels(8, 196, 256, keys=True, types=types),
        Panels(8, 49, 512, keys=False, types=types),
        FrameGather(8, 256, (0, 3, 5, 7), types=types),
    ]
    kernels = {f"k{index}": registry.apply("gpu", op, facts) for index, op in enumerate(ops)}
    functions = {symbol: kernel.build() for symbol, kernel in kernels.items() if kernel is not None}
    assert set(functions) == set(kernels)
    text = cuda.program(functions, device.gpu.sm, {"k0", "k1"})
    ptx = nvidia.lowered_isa(nvidia.to_ptx(text, device.gpu.sm), device.gpu.ptx_isa)
    assert not re.search(r"\b(max|min)\.(ftz\.)?f32", ptx), "they drop NaN"
    for symbol, found in nvidia.assemble(nvidia.renumbered(ptx), device.gpu.sm).items():
        kernel = kernels[symbol]
        assert kernel is not None and kernel.launch is not None
        assert (found.spill_loads, found.spill_stores, found.stack_bytes) == (0, 0, 0), kernel.op
        assert found.shared_bytes == kernel.launch.shared_bytes <= device.gpu.group_shared_kib * 1024
        assert found.registers * kernel.launch.threads <= device.gpu.registers // 2, "two groups at a time"


def test_the_assembler_refuses_what_the_isa_does_not_know() -> None:
    """An instruction of ISA 7.0 below a header of 6.4."""
    new = "createpolicy.fractional.L2::evict_last.b64 p, 1.0;"
    kernel = ".target sm_87\n.address_size 64\n.visible .entry k()\n{\n.reg .b64 p;\n" + new + "\nret;\n}\n"
    assert "k" in nvidia.assemble(".version 7.4\n" + kernel, 87)
    with pytest.raises(CompileError, match="PTX assembler failed"):
        nvidia.assemble(".version 6.4\n" + kernel.replace("sm_87", "sm_75"), 87)


def test_the_compiler_says_what_it_does_not_understand() -> None:
    with pytest.raises(CompileError, match="CUDA compiler failed") as caught:
        nvidia.to_ptx("__global__ void k() { nonsense; }", 53)
    assert "nonsense" in str(caught.value.found)


def test_ptx_without_a_version_is_no_ptx() -> None:
    with pytest.raises(CompileError, match="without a version"):
        nvidia.lowered_isa(".target sm_53\n", "6.4")


def test_registers_are_numbered_by_their_first_use() -> None:
    text = (
        ".entry k()\n{{\n\t.reg .f32 \t%f<{}>;\n\t.reg .b64 \t%rd<9>;\n"
        "\tadd.f32 %f{}, %f{}, %f{};\n\tmov.u32 %rd7, %tid.x;\n}}\n"
    )
    first, second = (nvidia.renumbered(text.format(*numbers)) for numbers in ((9, 7, 3, 7), (12, 9, 5, 9)))
    assert first == second
    assert "add.f32 %f1, %f2, %f1;" in first and "%f<3>" in first and "%rd<2>" in first and "%tid.x" in first


def test_a_spill_is_read_from_the_report() -> None:
    report = (
        "ptxas info    : 0 bytes gmem\n"
        "ptxas info    : Compiling entry function 'a' for 'sm_53'\n"
        "ptxas info    : Function properties for a\n"
        "    96 bytes stack frame, 100 bytes spill stores, 92 bytes spill loads\n"
        "ptxas info    : Used 128 registers, 13056 bytes smem, 352 bytes cmem[0]\n"
        "ptxas info    : Compiling entry function 'b' for 'sm_53'\n"
        "ptxas info    : Function properties for b\n"
        "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
        "ptxas info    : Used 7 registers, 344 bytes cmem[0]\n"
    )
    a, b = nvidia.parse_report(report).values()
    assert (a.registers, a.shared_bytes, a.spill_stores, a.spill_loads, a.stack_bytes) == (
        128,
        13056,
        100,
        92,
        96,
    )
    assert (b.registers, b.shared_bytes, b.spill_loads) == (7, 0, 0)


def test_without_the_wheels_the_command_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(wheel: str) -> None:
        raise nvidia.PackageNotFoundError(wheel)

    monkeypatch.setattr(nvidia, "distribution", nothing)
    with pytest.raises(ExtraMissing) as caught:
        nvidia.assemble(".version 6.4\n", 53)
    assert caught.value.exit_code == 5 and '".[cuda]"' in str(caught.value.hint)


def test_a_gpu_target_has_both_precisions_and_no_other() -> None:
    nano = target.load("jetson-nano")
    assert precision_of(nano, None) == "fp16"
    assert [precision_of(nano, name) for name in cuda.precisions(nano)] == ["fp16", "fp32"]
