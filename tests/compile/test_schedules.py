"""Every schedule against plain numpy, on its own CASES and on shapes below, at, above and not a multiple of a tile."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import kernel_lab
import kernel_perf
import numpy as np
import pytest

from tsm_edge import target
from tsm_edge.compile.backends import cpu
from tsm_edge.compile.ir.dtype import Pointer
from tsm_edge.compile.ir.ops import Conv, Copy
from tsm_edge.compile.kernels.cpu import builder as tir
from tsm_edge.compile.schedules import registry
from tsm_edge.compile.schedules.cpu import Kernel
from tsm_edge.compile.schedules.rule import Schedule
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


@pytest.mark.parametrize(("name", "l2_kib"), [("local", 0), ("x86-64", 0), ("local", 1)])
def test_kernels_equal_numpy(name: str, l2_kib: int, tmp_path: Path) -> None:
    """All kernels of one machine in one program; work items are run out of order, as threads may.

    l2_kib: the second-level cache, 0 for the machine's own. With 1 KiB every operand exceeds it and is prefetched.
    """
    rng = np.random.default_rng(1)
    device = target.load(name)
    if set(device.cpu.requires) - set(target.load("local").cpu.requires):
        pytest.skip(f"this machine cannot run {name}: it lacks one of {device.cpu.requires}")
    machine = cpu.machine(device)
    machine = replace(machine, l2_bytes=l2_kib * 1024 or machine.l2_bytes)
    kernels = kernel_lab.every_kernel(machine, rng, AWKWARD)
    kernel_lab.check_all(kernels, machine, device, tmp_path, [], rng)


@pytest.mark.parametrize(("place", "word"), [(-1, "before"), (25, "after")])
def test_a_write_beside_an_argument_is_seen(place: int, word: str, tmp_path: Path) -> None:
    """The lab itself: a kernel that misses its output by one element."""

    def body(x: tir.Buffer, y: tir.Buffer, begin: tir.Expr, end: tir.Expr) -> None:
        with tir.loop(begin, end) as item:
            tir.store(y, item, tir.load(x, item, 1), 1)
            tir.store(y, place, tir.load(x, item, 1), 1)

    kernel = Kernel(Copy(25, 1, 1), "bad_cpu", {"x": Pointer(25), "y": Pointer(25)}, 25, body)
    values = kernel_lab.arguments_for(kernel, np.random.default_rng(0))
    with pytest.raises(AssertionError, match=f"bad_cpu copy_25x1_1, y: written {word} it"):
        kernel_lab.run([(kernel, values)], target.load("local"), tmp_path, [])


def test_each_case_is_claimed_by_its_own_schedule() -> None:
    for rule in registry.rules("cpu"):
        for case in rule.cases:
            assert rule.claims(case), case


def test_one_general_schedule_takes_what_no_special_one_pays_for() -> None:
    machine = cpu.machine(target.load("x86-64"))
    wide = Conv(56, 56, 64, 64, (3, 3), (1, 1), (1, 1, 1, 1), low=0.0)
    assert rule_of(registry.find("cpu", wide, machine)) == "winograd_cpu"
    assert rule_of(registry.find("cpu", replace(wide, stride=(2, 2)), machine)) == "conv_cpu"
    small = replace(wide, height=7, width=7, channels=512, out_channels=512)
    assert rule_of(registry.find("cpu", small, machine)) == "conv_cpu"


def rule_of(rule: Schedule | None) -> str:
    return "" if rule is None else rule.name


def test_what_no_schedule_computes_is_not_claimed() -> None:
    machine = cpu.machine(target.load("x86-64"))
    grouped = Conv(4, 4, 8, 8, (3, 3), (1, 1), (1, 1, 1, 1), groups=2)
    assert registry.find("cpu", grouped, machine) is None
    assert registry.apply("cpu", grouped, machine) is None
    assert registry.find("cpu", replace(grouped, groups=8, fold_in=1), machine) is None


def test_two_claims_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = registry.rules("cpu")
    twice = next(rule for rule in rules if rule_of(rule) == "pointwise_cpu")
    monkeypatch.setattr(registry, "rules", lambda family: (*rules, twice))
    with pytest.raises(CompileError, match="Two schedules claim"):
        registry.find("cpu", twice.cases[0], cpu.machine(target.load("x86-64")))


@pytest.mark.parametrize("family", ["cpu", "cpu_int8", "gpu"])
def test_every_schedule_has_a_case_to_time(family: str) -> None:
    """The same cases that are compared with numpy; one at least is large enough for a clock."""
    assert not [rule_of(rule) for rule in registry.rules(family) if not kernel_perf.timing_cases(rule)]


def test_a_case_is_timed(tmp_path: Path) -> None:
    cases = kernel_perf.chosen("copy_784x64_8")
    (found,) = kernel_perf.times(cases, tmp_path)
    assert found.kernel.rule == "copy_cpu" and 0 < found.least_ns <= found.median_ns


def test_the_template_of_a_schedule_equals_numpy(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loaded under the name that it would have in the folder of its family."""
    name, path = (
        "tsm_edge.compile.schedules.cpu.example",
        repository / "docs" / "templates" / "schedule_cpu.py",
    )
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    template = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, template)
    spec.loader.exec_module(template)
    assert template.SCHEDULE.name == "example_cpu"
    rule = template.SCHEDULE
    assert all(map(rule.takes, rule.cases)) and kernel_perf.timing_cases(rule)
    device, rng = target.load("local"), np.random.default_rng(1)
    machine, kernels = cpu.machine(device), []
    for op in rule.cases:
        params, *_ = registry.variants(rule, op, machine)
        kernels.append((registry.kernel_of(rule, op, params, machine), ()))
    kernel_lab.check_all(kernels, machine, device, tmp_path, [], rng)
