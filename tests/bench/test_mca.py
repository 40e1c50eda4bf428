"""The modelled inner loops of the ARM kernels: cutting them out, and the bound on a handful of kernels."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import mca  # noqa: E402

from tsm_edge import target  # noqa: E402
from tsm_edge.compile.backends import cpu  # noqa: E402
from tsm_edge.compile.ir.ops import Conv  # noqa: E402
from tsm_edge.compile.schedules import registry  # noqa: E402

OPS = (
    Conv(14, 14, 64, 384, low=0.0, high=6.0, fold_in=8, blocked_in=True, blocked_out=True),
    Conv(14, 14, 384, 64, fold_out=8, residual=True, blocked_in=True, blocked_out=True),
    Conv(7, 7, 160, 960, low=0.0, high=6.0),
    Conv(
        14,
        14,
        192,
        192,
        (3, 3),
        (1, 1),
        (1, 1, 1, 1),
        192,
        low=0.0,
        high=6.0,
        blocked_in=True,
        blocked_out=True,
    ),
    Conv(14, 14, 64, 128, (3, 3), (2, 2), (1, 1, 1, 1), low=0.0),
)


def code(*lines: str) -> list[tuple[int, str]]:
    return [(4 * index, line) for index, line in enumerate(lines)]


def test_a_loop_inside_another_is_cut_out() -> None:
    fma = "fmla v0.4s, v1.4s, v2.s[0]"
    loops = mca.innermost(
        code("mov x0, x1", "ldr q1, [x0]", fma, "subs x2, x2, #1", "b.ne 0x4 <k+0x4>", fma, "b.ne 0x0 <k>")
    )
    assert [len(loop.body) for loop in loops] == [4]
    assert loops[0].fmas == loops[0].vector == 1


def test_a_branch_forward_is_no_loop() -> None:
    assert mca.innermost(code("b.eq 0x8 <k+0x8>", "nop", "ret")) == []


def test_what_the_vector_pipes_do() -> None:
    loop = mca.Loop(
        ("fmla v0.4s, v1.4s, v2.4s", "fmaxnm v3.4s, v0.4s, v4.4s", "mov v5.16b, v6.16b", "add x0, x0, #4")
    )
    assert (loop.fmas, loop.vector) == (1, 3)


@pytest.mark.parametrize("name", ["raspberry-pi-3", "raspberry-pi-4", "raspberry-pi-5"])
def test_inner_loops_keep_the_multiply_add_pipes_busy(name: str, tmp_path: Path) -> None:
    if mca.tool("llvm-mca") is None or mca.tool("llvm-objdump") is None:
        pytest.skip(f"needs the package {mca.PACKAGE}")
    device, rng = target.load(name), np.random.default_rng(0)
    functions = {}
    for index, op in enumerate(OPS):
        shape = (op.out_channels, op.channels // op.groups, *op.kernel)
        weights = rng.standard_normal(shape).astype(np.float32), np.zeros(op.out_channels, np.float32)
        kernel = registry.apply("cpu", op, cpu.machine(device), *weights)
        assert kernel is not None
        functions[f"k{index}"] = kernel.build()
    obj = tmp_path / "kernels.o"
    obj.write_bytes(cpu.build_object(functions, device))
    for symbol, loops in mca.loops(obj).items():
        if symbol in functions:
            assert loops, symbol
            for share in mca.shares(loops, device):
                assert share["busy"] >= mca.BOUND, (OPS[int(symbol[1:])].label, share)


def test_a_transform_is_told_from_the_loop_of_the_multiply_adds() -> None:
    fma, add = "fmla v0.4s, v1.4s, v2.s[0]", "fadd v3.4s, v4.4s, v5.4s"
    assert mca.kind(mca.Loop((fma, "ldr q1, [x0]")), "winograd_cpu") == mca.REDUCTION
    assert mca.kind(mca.Loop((fma, add)), "winograd_cpu") == mca.TRANSFORM
    assert mca.kind(mca.Loop((fma, add)), "depthwise_cpu") == mca.FILTER
