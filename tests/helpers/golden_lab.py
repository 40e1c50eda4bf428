"""Goldens of the compiler: what fixed networks become on fixed targets, as text that a refactoring leaves untouched.

    python helpers/golden_lab.py      writes them anew; `make golden` runs it

A golden names the schedule of every operator, shows the plan, and holds the SHA-256 of every kernel as it is
constructed (TIR) and of the code made of them: the source text of a GPU's program, and of the small networks the
object file of a CPU as well. Nothing in it depends on the machine that writes it, which is why no target is `local`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path

import networks_lab
import torch
from torch import nn

from tsm_edge import models, target
from tsm_edge.compile import backends, passes, pipeline
from tsm_edge.compile.backends import cpu, cuda, opencl
from tsm_edge.compile.frontend import networks
from tsm_edge.compile.ir.graph import Graph
from tsm_edge.compile.lowering import planner
from tsm_edge.compile.lowering.lower import Step
from tsm_edge.compile.tune.autotune import NO_TUNING
from tsm_edge.target import EdgeTarget

FOLDER = Path(__file__).resolve().parents[1] / "compile" / "golden"


class Tiny(nn.Module):
    """A small network that every schedule but the copies takes a part of, with three shifts."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6())
        self.expand = nn.Conv2d(16, 96, 1)
        self.depthwise = nn.Conv2d(96, 96, 3, 1, 1, groups=96)
        self.project = nn.Conv2d(96, 16, 1)
        self.strided = nn.Conv2d(16, 64, 3, 2, 1)
        self.shortcut = nn.Conv2d(16, 64, 1, 2)
        self.dense = nn.ModuleList(nn.Conv2d(64, 64, 3, 1, 1) for _ in range(2))
        self.last = nn.Conv2d(64, 64, 3, 1, 1, groups=64)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.head = nn.Linear(64, 5)

    def forward(self, frame: torch.Tensor, *states: torch.Tensor) -> tuple[torch.Tensor, ...]:
        def shifted(x: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
            return torch.cat([state, x[:, state.shape[1] :]], 1)

        a, b, c = states
        first = self.stem(frame)
        x = nn.functional.relu6(self.depthwise(nn.functional.relu6(self.expand(shifted(first, a)))))
        second = first + self.project(x)
        third = torch.relu(self.strided(shifted(second, b)) + self.shortcut(second))
        x = third + self.dense[1](torch.relu(self.dense[0](shifted(third, c))))
        x = self.last(self.pool(torch.relu(x)))
        return self.head(x.mean([2, 3])), first[:, :2], second[:, :2], third[:, :8]


def of_module(kind: type[nn.Module], frame: tuple[int, ...], states: list[tuple[int, ...]]) -> Graph:
    """A step module as the importer leaves it; its weights decide nothing."""
    torch.manual_seed(0)
    step = kind().eval()
    return networks_lab.loader(step, networks_lab.signature_of(step, frame, states))()


#: network -> how it is imported. `full` is a shipped model; no schedule takes most of `foreign`'s operators
NETWORKS: dict[str, Callable[[], Graph]] = {
    "tiny": lambda: of_module(Tiny, (1, 3, 56, 56), [(1, 2, 28, 28), (1, 2, 28, 28), (1, 8, 14, 14)]),
    "foreign": lambda: of_module(networks_lab.Foreign, (1, 3, 6, 5), [(1, 8, 6, 5), (1, 4)]),
    "full": lambda: networks.zoo(models.load("tsm-mobilenetv2")).load(),
}


def avx512() -> EdgeTarget:
    """A PC whose units are half as wide as its vectors of 512 bits; no file in targets/ has such."""
    pc = target.load("x86-64")
    features = ("-prefer-256-bit",)
    wide = {"simd_bits": 512, "simd_registers": 32, "fma_vector_bits": 256, "load_ports": 1}
    core = replace(pc.cpu, llvm_cpu="x86-64-v4", llvm_features=features, **wide)
    return replace(pc, name="x86-64-avx512", cpu=replace(core, l2_kib=1024))


HALF = "raspberry-pi-5"  # whose golden is that of half precision on a CPU
NAMES = ("x86-64", "x86-64-avx512", "raspberry-pi-4", "raspberry-pi-3-32bit", "jetson-nano", "opencl")


@dataclass(frozen=True)
class Case:
    """One golden."""

    network: str
    device: str

    @property
    def path(self) -> Path:
        """Where it lies."""
        return FOLDER / f"{self.network}-{self.device}.txt"

    @property
    def target(self) -> EdgeTarget:
        """What is compiled for."""
        return avx512() if self.device == "x86-64-avx512" else target.load(self.device)

    @property
    def precision(self) -> str:
        """Every floating-point precision of a family is in one network or the other; 8 bits take a calibration."""
        allowed = backends.of(self.target).precisions(self.target)
        return [name for name in allowed if name != "int8"][-1 if self.network == "tiny" else 0]


#: a GPU refuses what no schedule takes
CASES = [
    Case(network, device)
    for network in NETWORKS
    for device in (*NAMES, *([HALF] if network == "tiny" else []))
    if network != "foreign" or target.load("x86-64" if device == "x86-64-avx512" else device).family == "cpu"
]


@cache
def imported(network: str) -> Graph:
    """A network after the passes that every target shares."""
    graph = NETWORKS[network]()
    passes.run(graph)
    return graph


def copied(graph: Graph) -> Graph:
    """A graph that the passes of a target may rewrite."""
    nodes = [node.copy() for node in graph.nodes]
    return replace(
        graph,
        nodes=nodes,
        values=dict(graph.values),
        constants=dict(graph.constants),
        state_outputs=dict(graph.state_outputs),
    )


def text(case: Case) -> str:
    """The golden as it should be."""
    device, precision = case.target, case.precision
    backend = backends.of(device)
    graph = copied(imported(case.network))
    lowered = pipeline.scheduled(graph, backend, device, precision, NO_TUNING)
    planned = planner.plan(graph, lowered, backend.ALIGN)
    functions = {symbol: build() for symbol, build in planned.kernels.items()}
    kernels = {name: function.script().encode() for name, function in functions.items()}
    if device.family == "opencl":
        kernels["kernels.cl"] = opencl.program(functions).encode()
    elif device.gpu is not None:
        kernels["kernels.cu"] = cuda.program(functions, device.gpu.sm, cuda.tiled_kernels(planned)).encode()
    elif case.network != "full":
        kernels["kernels.o"] = cpu.build_object(functions, device)
    return "\n".join(
        [
            f"{case.network} for {device.name} in {precision}; `make golden` writes this file",
            "",
            *map(claim, planned.steps),
            "",
            planned.plan.text(),
            *(f"{sha256(code).hexdigest()} {name}" for name, code in kernels.items()),
            "",
        ]
    )


def claim(step: Step) -> str:
    """Which schedule takes an operator, and how."""
    return f"{step.schedule} takes {step.label} of {step.layer}: {step.note or '-'}"


if __name__ == "__main__":
    for golden in CASES:
        FOLDER.mkdir(exist_ok=True)
        golden.path.write_text(text(golden), encoding="utf-8")
        print(golden.path)
