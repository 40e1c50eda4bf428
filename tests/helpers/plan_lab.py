"""Run a planned network without linking a bundle: its kernels in one library, the plan over numpy memory.

Before every frame all memory that a step may write is filled with NaN, so that a value nobody writes shows.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import networks_lab
import numpy as np
import torch
from torch import nn

from tsm_edge import target
from tsm_edge.compile import passes
from tsm_edge.compile.backends import cpu
from tsm_edge.compile.ir.graph import Graph
from tsm_edge.compile.ir.plan import ARENA, SCRATCH, STATE_IN, STATE_OUT, WEIGHTS, Plan, PlanTensor
from tsm_edge.compile.kernels.cpu.tiling import Machine
from tsm_edge.compile.lowering import lower, planner
from tsm_edge.errors import ImportFailed

Step = Callable[..., "Sequence[torch.Tensor | np.ndarray]"]  # (frame, *states) -> (scores, *next states)
DEVICE = target.load("local")
GUARD = 4096  # bytes before and after each memory


@dataclass(frozen=True)
class Planned:
    """A network down to its plan, and the step it is compared with."""

    step: Step
    graph: Graph
    planned: planner.Planned

    @property
    def kinds(self) -> list[str]:
        """Kinds of the nodes that became kernels, in order."""
        return [node.kind for node in self.graph.nodes if node.kind != "alias"]

    @property
    def schedules(self) -> list[str]:
        """The schedule of every kernel call, in order."""
        return [op.schedule.partition(":")[0] for op in self.planned.plan.ops]


def machine(l2_kib: int = 32) -> Machine:
    """This machine with a small second-level cache, so that small blocks are worth fusing wherever the test runs."""
    return replace(cpu.machine(DEVICE), l2_bytes=l2_kib * 1024, cores=2)


def plan_graph(step: Step, graph: Graph) -> Planned:
    """Passes, schedules and planner."""
    passes.run(graph)
    lower.prepare(graph, "cpu", machine())
    lowered = lower.lower(graph, "cpu", machine())
    return Planned(step, graph, planner.plan(graph, lowered))


def plan_torch(step: nn.Module, frame: tuple[int, ...], states: Sequence[tuple[int, ...]]) -> Planned:
    """A step module down to its plan."""
    signature = networks_lab.signature_of(step.eval(), frame, list(states))
    return plan_graph(step, networks_lab.loader(step, signature)())


def build(name: str, planned: Planned) -> bytes:
    """The kernels as one object; their symbols start with `name`, so that objects can be linked together."""
    kernels = planned.planned.kernels
    return cpu.build_object({f"{name}_{symbol}": make() for symbol, make in kernels.items()}, DEVICE)


def link(objects: Mapping[str, bytes], folder: Path) -> ctypes.CDLL:
    """One shared object of all objects."""
    for name, data in objects.items():
        (folder / f"{name}.o").write_bytes(data)
    command = [sys.executable, "-m", "ziglang", "cc", "-target", DEVICE.triple, "-shared", "-o", "lab.so"]
    subprocess.run([*command, *(f"{name}.o" for name in objects), "-lm"], cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "lab.so"))


@dataclass(frozen=True)
class Laboratory:
    """Networks in one library; what one of them raised on the way to its plan is kept for its own test."""

    found: Mapping[str, tuple[str, Planned] | Exception]
    library: ctypes.CDLL

    def right_or_refused(self, name: str, tolerance: float, may_refuse: bool = False) -> Planned | None:
        """Compare a network with its step; None where it was refused and that is an answer too."""
        found = self.found[name]
        if isinstance(found, ImportFailed) and may_refuse:
            return None
        if isinstance(found, Exception):
            raise found
        symbol, planned = found
        assert worst_difference(symbol, planned, self.library) < tolerance
        return planned


def laboratory(plans: Mapping[str, Callable[[], Planned]], folder: Path) -> Laboratory:
    """Plan and build every network, and link them all."""
    found: dict[str, tuple[str, Planned] | Exception] = {}
    objects = {}
    for index, (name, plan) in enumerate(plans.items()):
        symbol = f"n{index}"
        try:
            planned = plan()
            objects[symbol] = build(symbol, planned)
            found[name] = symbol, planned
        except Exception as error:
            found[name] = error
    return Laboratory(found, link(objects, folder))


def worst_difference(name: str, planned: Planned, library: ctypes.CDLL, frames: int = 3) -> float:
    """Largest relative difference of the scores and of every state over a sequence; NaN counts as infinite."""
    rng = np.random.default_rng(5)
    signature = planned.graph.signature
    memory = Memory(planned.planned.plan, planned.planned.weights)
    states = [np.zeros(pair.input.shape, np.float32) for pair in signature.states]
    worst = 0.0
    for _ in range(frames):
        frame = rng.standard_normal(signature.inputs[0].shape).astype(np.float32)
        wanted = [np.asarray(value, np.float64) for value in reference(planned.step, frame, states)]
        got = run(name, planned, library, memory, frame)
        states = [value.astype(np.float32) for value in wanted[1:]]
        for mine, right in zip(got, wanted, strict=True):
            difference = np.abs(mine.reshape(right.shape) - right).max() / max(1e-30, np.abs(right).max())
            worst = max(worst, float(difference) if np.isfinite(difference) else np.inf)
    return worst


def reference(step: Step, frame: np.ndarray, states: Iterable[np.ndarray]) -> Sequence[object]:
    """One step of a torch module or of a function over numpy."""
    if not isinstance(step, nn.Module):
        return step(frame, *states)
    with torch.no_grad():
        return step(torch.from_numpy(frame), *map(torch.from_numpy, states))


def run(
    name: str, planned: Planned, library: ctypes.CDLL, memory: Memory, frame: np.ndarray
) -> list[np.ndarray]:
    """One step: scores and next states in logical order; the states are swapped afterwards."""
    plan, signature = planned.planned.plan, planned.graph.signature
    memory.poison()
    memory.put(plan.tensor(plan.input), frame)
    for op in plan.ops:
        arguments = [ctypes.c_void_p(memory.address(plan.tensor(tensor))) for tensor in op.calls]
        half = op.items // 2
        for span in ((half, op.items), (0, half)):  # out of order, as threads may
            library[f"{name}_{op.symbol}"](*arguments, *map(ctypes.c_int32, span))
    results = [memory.get(plan.tensor(plan.output), signature.outputs[0].shape)]
    memory.swap()
    for pair, tensor in zip(signature.states, planned.planned.states, strict=True):
        results.append(memory.get(plan.tensor(tensor), pair.input.shape))
    memory.check()
    return results


class Memory:
    """The five memories of a plan, 64-byte aligned, between guards."""

    def __init__(self, plan: Plan, weights: bytes) -> None:
        sizes = {
            ARENA: plan.arena_bytes,
            STATE_IN: plan.state_bytes,
            STATE_OUT: plan.state_bytes,
            WEIGHTS: plan.weights_bytes,
            SCRATCH: plan.scratch_bytes,
        }
        self.whole = {memory: self._aligned(size + 2 * GUARD) for memory, size in sizes.items()}
        self.parts = {memory: self.whole[memory][GUARD : GUARD + size] for memory, size in sizes.items()}
        self.parts[STATE_IN][:] = 0
        self.parts[WEIGHTS][:] = np.frombuffer(weights, np.uint8)

    @staticmethod
    def _aligned(size: int) -> np.ndarray:
        raw = np.full(size + 64, 0xFF, np.uint8)
        return raw[-raw.ctypes.data % 64 :][:size]

    def poison(self) -> None:
        """NaN in everything that a step must write."""
        for memory in (ARENA, STATE_OUT, SCRATCH):
            self.parts[memory][:] = 0xFF

    def check(self) -> None:
        """No kernel wrote beside its memory."""
        for memory, whole in self.whole.items():
            end = GUARD + self.parts[memory].size
            assert (whole[:GUARD] == 0xFF).all() and (whole[end:] == 0xFF).all(), f"written beside {memory}"

    def swap(self) -> None:
        """The next state becomes the last."""
        for table in (self.whole, self.parts):
            table[STATE_IN], table[STATE_OUT] = table[STATE_OUT], table[STATE_IN]

    def address(self, tensor: PlanTensor) -> int:
        return int(self.parts[tensor.memory].ctypes.data) + tensor.offset

    def put(self, tensor: PlanTensor, value: np.ndarray) -> None:
        """Store a logical value as memory holds it."""
        stored = value.transpose(0, 2, 3, 1) if value.ndim == 4 else value
        data = np.ascontiguousarray(stored).view(np.uint8).ravel()
        self.parts[tensor.memory][tensor.offset : tensor.offset + data.size] = data

    def get(self, tensor: PlanTensor, shape: tuple[int, ...]) -> np.ndarray:
        """A copy of a float32 value in logical order."""
        data = self.parts[tensor.memory][tensor.offset : tensor.offset + 4 * prod(shape)].view(np.float32)
        if len(shape) != 4:
            return data.reshape(shape).copy()
        batch, channels, height, width = shape
        return data.reshape(batch, height, width, channels).transpose(0, 3, 1, 2).copy()
