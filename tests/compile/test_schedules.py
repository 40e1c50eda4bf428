"""Every schedule against plain numpy, on its own CASES and on shapes below, at, above and not a multiple of a tile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import kernel_lab
import numpy as np
import pytest

from tsm_edge import target
from tsm_edge.compile import schedules, tir
from tsm_edge.compile.ops import Conv, Copy, Op
from tsm_edge.compile.schedules._rule import Kernel
from tsm_edge.errors import CompileError

AWKWARD = [
    *(Conv(1, pixels, 9, 17, residual=True, high=1.0) for pixels in (1, 2, 5, 6, 7, 11, 49)),
    *(
        Conv(3, 4, channels, outs, fold_in=channels // 8, fold_out=outs // 8, low=0.0)
        for channels in (8, 24, 31)
        for outs in (1, 8, 16, 20, 24, 33, 40)
    ),
    *(
        Conv(size, size, 3, 8, (3, 3), (stride, stride), (1, 1, 1, 1))
        for size in (1, 2, 3, 5, 13)
        for stride in (1, 2)
    ),
    *(
        Conv(size, size, 20, 20, (3, 3), (stride, stride), (1, 1, 1, 1), 20, low=0.0, high=6.0)
        for size in (1, 2, 4, 7, 12)
        for stride in (1, 2)
    ),
    Conv(4, 4, 6, 6, (7, 7), (1, 1), (3, 3, 3, 3)),
]


def every_case() -> list[Op]:
    """The CASES of all CPU schedules and the awkward shapes."""
    return [case for rule in schedules.rules("cpu") for case in rule.CASES] + AWKWARD


@pytest.mark.parametrize("name", ["local", "x86-64"])
def test_kernels_equal_numpy(name: str, tmp_path: Path) -> None:
    """All kernels of one machine in one program; work items are run out of order, as threads may."""
    rng = np.random.default_rng(1)
    device = target.load(name)
    if set(device.cpu.requires) - set(target.load("local").cpu.requires):
        pytest.skip(f"this machine cannot run {name}: it lacks one of {device.cpu.requires}")
    cases, plain = [], []
    for op in every_case():
        kernel, weights = kernel_lab.schedule(op, device, rng)
        cases.append((kernel, kernel_lab.arguments_for(kernel, rng)))
        plain.append(weights)
    kernel_lab.run(cases, device, tmp_path, [])
    for (kernel, values), weights in zip(cases, plain, strict=True):
        kernel_lab.check(kernel.op, values, weights, device.cpu.simd_lanes)


@pytest.mark.parametrize(("place", "word"), [(-1, "before"), (25, "after")])
def test_a_write_beside_an_argument_is_seen(place: int, word: str, tmp_path: Path) -> None:
    """The lab itself: a kernel that misses its output by one element."""

    def body(x: tir.Buffer, y: tir.Buffer, begin: tir.Expr, end: tir.Expr) -> None:
        with tir.loop(begin, end) as item:
            tir.store(y, item, tir.load(x, item, 1), 1)
            tir.store(y, place, tir.load(x, item, 1), 1)

    kernel = Kernel(Copy(25, 1, 1), "bad_cpu", {"x": 25, "y": 25}, 25, body)
    values = kernel_lab.arguments_for(kernel, np.random.default_rng(0))
    with pytest.raises(AssertionError, match=f"bad_cpu copy_25x1_1, y: written {word} it"):
        kernel_lab.run([(kernel, values)], target.load("local"), tmp_path, [])


def test_each_case_is_claimed_by_its_own_schedule() -> None:
    for rule in schedules.rules("cpu"):
        for case in rule.CASES:
            assert schedules.find("cpu", case) is rule, case


def test_what_no_schedule_computes_is_not_claimed() -> None:
    grouped = Conv(4, 4, 8, 8, (3, 3), (1, 1), (1, 1, 1, 1), groups=2)
    assert schedules.find("cpu", grouped) is None
    assert schedules.apply("cpu", grouped, None) is None  # type: ignore[arg-type]
    assert schedules.find("cpu", replace(grouped, groups=8, fold_in=1)) is None


def test_two_claims_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = schedules.rules("cpu")
    monkeypatch.setattr(schedules, "rules", lambda family: rules + rules[-1:])
    with pytest.raises(CompileError, match="Two schedules claim"):
        schedules.find("cpu", rules[-1].CASES[0])
