"""Latency model of a frame on a CPU: a roofline over the plan's operations and the target's facts.

Each operation takes the longer of two times, and says which it was:

* compute: cycles of the kernel as it was scheduled (`kernels/cpu/cost.py`) over clock and threads. Items that do not
  divide by the threads leave some idle.
* memory: bytes that must come from DRAM over the bandwidth that programs reach. Weights of a network that is larger
  than the second-level caches come from there every frame; so do activations of an operation that exceed them. What
  stays in caches is taken as free.

Left out: third-level caches, throttling by heat, other programs, the memory of a display. A model, no measurement: its
error on layers of a machine that is here is in `benchmarks/results/latency_model.json`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tsm_edge.target import CpuFacts

from ..ir.dtype import FLOAT32
from ..ir.plan import SCRATCH, WEIGHTS, Cycles, Plan
from .lower import Step

#: share of a memory interface's peak that a stream reaches: STREAM's 5.5 of 12.8 GB/s on a board (sci-pi.org.uk)
DRAM_EFFICIENCY = 0.43
#: from one operation to the next with several threads: the last one has to finish, the first one to begin
WAKE_US = 3.0
COMPUTE, MEMORY = "compute", "memory"


@dataclass(frozen=True)
class Work:
    """The inputs of the model for one operation. cycles: of one core; weights and activations in bytes."""

    layer: str
    schedule: str
    cycles: float
    items: int
    weights: int
    activations: int


@dataclass(frozen=True)
class OpTime:
    """Modelled time of one operation in milliseconds, each part and the longer one."""

    layer: str
    schedule: str
    compute_ms: float
    memory_ms: float

    @property
    def ms(self) -> float:
        return max(self.compute_ms, self.memory_ms)

    @property
    def bound(self) -> str:
        """Which part is the longer one."""
        return COMPUTE if self.compute_ms >= self.memory_ms else MEMORY


@dataclass(frozen=True)
class FrameTime:
    """Modelled time of a frame."""

    threads: int
    ops: tuple[OpTime, ...]

    @property
    def ms(self) -> float:
        return sum(op.ms for op in self.ops)

    @property
    def bound(self) -> str:
        """The bound that holds for more of the time."""
        memory = sum(op.ms for op in self.ops if op.bound == MEMORY)
        return MEMORY if 2 * memory > self.ms else COMPUTE

    @property
    def text(self) -> str:
        """As `tsm-edge compile` prints it."""
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return f"{self.ms:.1f} ms per frame at {threads}, {self.bound}-bound"

    def document(self) -> dict[str, object]:
        """As data, milliseconds."""
        return {
            "threads": self.threads,
            "ms": round(self.ms, 3),
            "bound": self.bound,
            "layers": [{"layer": op.layer, "ms": round(op.ms, 4), "bound": op.bound} for op in self.ops],
        }


def frame(works: Sequence[Work], cpu: CpuFacts, threads: int) -> FrameTime | None:
    """Model a frame; None without a clock in the target's facts."""
    if not cpu.clock_ghz:
        return None
    cache = cpu.l2_kib * 1024 * cpu.cores
    resident = sum(work.weights for work in works) <= cache
    ops = []
    for work in works:
        moved = 0 if resident else work.weights
        moved += work.activations if work.activations > cache else 0
        memory = moved / (cpu.dram_gb_s * 1e6 * DRAM_EFFICIENCY) if cpu.dram_gb_s else 0.0
        ops.append(OpTime(work.layer, work.schedule, compute_ms(work, cpu.clock_ghz, threads), memory))
    return FrameTime(threads, tuple(ops))


def compute_ms(work: Work, clock_ghz: float, threads: int) -> float:
    """Time of the arithmetic: the thread with the most items ends last."""
    rounds = -(-work.items // threads) / max(1, work.items)
    wake = WAKE_US / 1e3 if threads > 1 else 0.0
    return work.cycles * rounds / (clock_ghz * 1e6) + wake


def works(steps: Sequence[Step], plan: Plan) -> list[Work]:
    """The plan's operations as the model sees them. steps: `lower.Lowered.steps`, in the order of the plan."""
    index = {tensor.name: tensor for tensor in plan.tensors}
    found = []
    for step, op in zip(steps, plan.ops, strict=True):
        tensors = [index[name] for name in op.calls if index[name].memory != SCRATCH]
        weights = sum(tensor.nbytes for tensor in tensors if tensor.memory == WEIGHTS)
        others = sum(tensor.nbytes for tensor in tensors) - weights
        cycles, items = step_cycles(step, others) * step.frames, op.items * op.frames
        found.append(Work(op.layer, op.schedule, cycles, items, weights, others))
    return found


def step_cycles(step: Step, moved: int) -> float:
    """Cycles of one step; what TVM's generic loops compute is counted as moved numbers. moved: bytes."""
    return step.work.cycles if isinstance(step.work, Cycles) else moved / FLOAT32.bytes
