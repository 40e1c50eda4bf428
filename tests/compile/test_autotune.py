"""The search by measurement on a small network, and its records."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import networks_lab
import pytest
import torch
from torch import nn

from tsm_edge import target
from tsm_edge.compile import passes
from tsm_edge.compile.backends import cpu
from tsm_edge.compile.ir.graph import Graph
from tsm_edge.compile.lowering import lower, planner
from tsm_edge.compile.schedules import registry
from tsm_edge.compile.tune import autotune
from tsm_edge.errors import OutputError, UnsupportedTarget, UsageError

LOCAL = target.load("local")


class Small(nn.Module):
    """A 3x3 and a 1x1 convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(8, 16, 3, padding=1), nn.Conv2d(16, 24, 1)

    def forward(self, frame: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(frame))).mean((2, 3))


def graph() -> Graph:
    step = Small().eval()
    signature = networks_lab.signature_of(step, (1, 8, 12, 12), [])
    found = networks_lab.loader(step, signature)()
    passes.run(found)
    lower.prepare(found, "cpu", cpu.machine(LOCAL))
    return found


@pytest.fixture(scope="module")
def records() -> autotune.Records:
    lines: list[str] = []
    found = autotune.search(graph(), LOCAL, cpu, lines.append)
    assert len(lines) == len(found.choices) == 2 and all("of the model's choice" in line for line in lines)
    return found


def test_every_choice_can_be_scheduled(records: autotune.Records) -> None:
    for node, op in lower.operators(graph()):
        if op is not None and repr(op) in records.choices:
            known = registry.choices("cpu", op, cpu.machine(LOCAL))
            assert len(known) > 1 and records.choices[repr(op)] in known, node.layer


def test_a_build_follows_the_records(records: autotune.Records) -> None:
    machine, built = cpu.machine(LOCAL), graph()
    first = next(op for _, op in lower.operators(built) if op is not None)
    names = list(registry.choices("cpu", first, machine))
    other = next(name for name in names if name.split()[0] != names[0].split()[0])
    plans = [
        planner.plan(built, lower.lower(built, "cpu", machine, tuned)).plan.ops[0].schedule.partition(":")[0]
        for tuned in ({}, {repr(first): other}, {repr(first): "of another version"})
    ]
    assert plans == [names[0].split()[0], other.split()[0], names[0].split()[0]]


def test_records_round_trip_and_know_their_target(records: autotune.Records, tmp_path: Path) -> None:
    path = tmp_path / "records.json"
    records.save(path)
    assert autotune.Records.load(path, LOCAL) == records
    other = replace(LOCAL, cpu=replace(LOCAL.cpu, l2_kib=LOCAL.cpu.l2_kib * 2))
    with pytest.raises(UsageError, match="not for this target"):
        autotune.Records.load(path, other)
    assert autotune.Tuning(follow=path).choices(graph(), LOCAL, cpu) == records.choices


WHOLE = {"format": autotune.FORMAT, "target": "local", "facts": {}, "choices": {}}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        json.dumps(WHOLE)[:-9],
        *(json.dumps(WHOLE | part) for part in ({"format": 9}, {"target": 1}, {"facts": 7})),
        *(json.dumps(WHOLE | {"choices": choices}) for choices in ([], {"an operator": 3})),
    ],
)
def test_what_is_no_record_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UsageError, match="holds no tuning records"):
        autotune.Records.load(tmp_path / "x.json", LOCAL)


def test_another_target_is_not_measured_here() -> None:
    with pytest.raises(UnsupportedTarget, match="measures on this machine"):
        autotune.search(graph(), target.load("raspberry-pi-4"), cpu)


def test_what_cannot_end_well_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedTarget, match="measures on this machine"):
        autotune.Tuning(write=tmp_path / "x.json").check(target.load("raspberry-pi-4"))
    with pytest.raises(OutputError, match="cannot be written"):
        autotune.Tuning(write=tmp_path / "none" / "x.json").check(LOCAL)
    with pytest.raises(UsageError, match="holds no tuning records"):
        autotune.Tuning(follow=tmp_path / "none.json").check(LOCAL)
    autotune.Tuning(write=tmp_path / "x.json").check(LOCAL)
