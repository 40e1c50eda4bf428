"""Whole bundles of small networks against PyTorch over a sequence, and what the passes make of them."""

from __future__ import annotations

from pathlib import Path

import networks_lab
import plan_lab
import pytest
import torch
from torch import nn

from tsm_edge.compile import passes
from tsm_edge.compile.ir.graph import Graph
from tsm_edge.compile.ir.ops import Copy, Role


class Residual(nn.Module):
    """A stem, an inverted residual with shift, a strided shift block with a shortcut, a pool and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6())
        self.block = nn.Sequential(
            nn.Conv2d(16, 48, 1, bias=False),
            nn.BatchNorm2d(48),
            nn.ReLU6(),
            nn.Conv2d(48, 48, 3, 1, 1, groups=48, bias=False),
            nn.BatchNorm2d(48),
            nn.ReLU6(),
            nn.Conv2d(48, 16, 1, bias=False),
            nn.BatchNorm2d(16),
        )
        self.conv1 = nn.Conv2d(16, 24, 3, 2, 1)
        self.down = nn.Conv2d(16, 24, 1, 2, bias=False)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.fc = nn.Linear(24, 5)

    def forward(self, frame: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = self.stem(frame)
        next_a, rest = x[:, :2], x[:, 2:]
        x = x + self.block(torch.cat([a, rest], 1))
        next_b = x[:, :2]
        x = torch.relu(self.conv1(torch.cat([b, x[:, 2:]], 1)) + self.down(x))
        return self.fc(self.pool(x).mean([2, 3])), next_a, next_b


CASES = {
    "residual": (Residual, (1, 3, 20, 18), [(1, 2, 10, 9), (1, 2, 10, 9)]),
    "foreign": (networks_lab.Foreign, (1, 3, 6, 5), [(1, 8, 6, 5), (1, 4)]),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("threads", [1, 3])
def test_bundle_equals_torch(name: str, threads: int, tmp_path: Path) -> None:
    kind, frame, states = CASES[name]
    torch.manual_seed(0)
    step = kind().eval()
    signature = networks_lab.signature_of(step, frame, states)
    compiled = networks_lab.compile_local(step, signature, tmp_path / "bundle")
    assert networks_lab.worst_difference(step, compiled.folder, signature, threads=threads) < 1e-5
    assert bool(compiled.generic_layers()) == (name == "foreign")


def fused(name: str) -> Graph:
    kind, frame, states = CASES[name]
    step = kind().eval()
    graph = networks_lab.loader(step, networks_lab.signature_of(step, frame, states))()
    passes.run(graph)
    return graph


def test_shift_and_epilogues_leave_only_kernels() -> None:
    graph = fused("residual")
    assert [node.kind for node in graph.nodes] == ["conv"] * 6 + ["max_pool", "global_pool", "conv"]
    reading = {node.layer: node.op.fold_in for node in graph.nodes if Role.STATE in node.roles}
    writing = {node.layer: node.op.fold_out for node in graph.nodes if Role.NEXT in node.roles}
    assert reading == {"block.0": 2, "conv1": 2}
    assert writing == {"stem.0": 2, "block.6": 2}
    assert sum(Role.RESIDUAL in node.roles for node in graph.nodes) == 2


def test_a_state_that_a_schedule_cannot_write_gets_a_copy(tmp_path: Path) -> None:
    class Late(nn.Module):
        def forward(self, frame: torch.Tensor, s: torch.Tensor) -> tuple[torch.Tensor, ...]:
            x = torch.sigmoid(frame)
            return torch.cat([s, x[:, 2:]], 1).mean([2, 3]), x[:, :2]

    planned = plan_lab.plan_torch(Late(), (1, 5, 4, 3), [(1, 2, 4, 3)])
    (copy,) = (node for node in planned.graph.nodes if node.kind == "copy")
    assert copy.outputs == list(planned.graph.state_outputs.values())
    assert copy.op == Copy(12, 5, 2)
    library = plan_lab.link({"late": plan_lab.build("late", planned)}, tmp_path)
    assert plan_lab.worst_difference("late", planned, library, frames=4) < 1e-6


def test_a_state_may_pass_through(tmp_path: Path) -> None:
    class Through(nn.Module):
        def forward(self, frame: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return frame + b, frame, a

    step = Through()
    signature = networks_lab.signature_of(step, (1, 4), [(1, 4), (1, 4)])
    compiled = networks_lab.compile_local(step, signature, tmp_path / "bundle")
    assert networks_lab.worst_difference(step, compiled.folder, signature) == 0.0
