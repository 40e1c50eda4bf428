"""Latency model of a GPU bundle: a roofline over the plan's launches and the target's facts. Nothing is measured.

A launch takes the longest of three times, plus the queue's time between launches:

- issue: the instructions that the schedule models for a thread, at the rate of the waves that the unit holds; their
  number follows from the registers and the shared memory of the kernel, as the assembler reports them where there is
  one, and estimated by the schedule's tile elsewhere;
- memory: every argument once, at the peak of the memory interface times `MEMORY_EFFICIENCY`;
- the roofline itself, which no schedule beats: multiply-adds at the peak of the units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from ..ir.plan import Cycles, Plan, PlanOp, Resources, Work
from ..kernels.gpu.tiling import Machine, occupancy, unit_cycles

MEMORY_EFFICIENCY = 0.8  # of the theoretical peak that a copy kernel reaches on the boards we know
ASSUMED_REGISTERS = 64  # of a kernel that no assembler has seen


@dataclass(frozen=True)
class ModelledOp:
    """One launch; times in microseconds. occupancy: resident threads of a unit over the most it holds."""

    layer: str
    kernel: str
    floor_us: float
    memory_us: float
    issue_us: float
    occupancy: float

    @property
    def us(self) -> float:
        """Without the time between launches."""
        return max(self.floor_us, self.memory_us, self.issue_us)

    @property
    def bound(self) -> str:
        """What takes the longest."""
        return "memory" if self.memory_us >= max(self.issue_us, self.floor_us) else "issue"


@dataclass(frozen=True)
class Modelled:
    """A whole step; milliseconds."""

    ops: tuple[ModelledOp, ...]
    launch_ms: float

    @property
    def ms(self) -> float:
        """The step."""
        return sum(op.us for op in self.ops) / 1e3 + self.launch_ms

    @property
    def floor_ms(self) -> float:
        """The roofline: what neither schedule nor driver can beat."""
        return sum(max(op.floor_us, op.memory_us * MEMORY_EFFICIENCY) for op in self.ops) / 1e3

    @property
    def text(self) -> str:
        """As `tsm-edge compile` prints it."""
        return (
            f"{self.ms:.2f} ms a frame, {self.launch_ms:.2f} of it between launches; roofline "
            f"{self.floor_ms:.2f} ms (a model of the target's facts, not a measurement)"
        )

    def document(self) -> dict[str, object]:
        """As data."""
        return {
            "ms": round(self.ms, 4),
            "floor_ms": round(self.floor_ms, 4),
            "launch_ms": round(self.launch_ms, 4),
            "layers": [
                {
                    "layer": op.layer,
                    "us": round(op.us, 2),
                    "bound": op.bound,
                    "occupancy": round(op.occupancy, 3),
                }
                for op in self.ops
            ],
        }


def step(
    plan: Plan,
    work: Mapping[str, Work | Cycles],
    machine: Machine,
    launch_us: float,
    resources: Mapping[str, Resources],
) -> Modelled:
    """Model one step. resources: what the assembler gave each kernel, empty where there is no assembler."""
    ops = tuple(_op(plan, op, work[op.symbol], machine, resources.get(op.symbol)) for op in plan.ops)
    return Modelled(ops, plan.launches * launch_us / 1e3)


def _op(plan: Plan, op: PlanOp, work: Work | Cycles, machine: Machine, found: Resources | None) -> ModelledOp:
    launch = op.launch
    assert launch is not None and isinstance(work, Work), "every operation of a GPU has a launch and its work"
    registers = found.registers if found else min(ASSUMED_REGISTERS, machine.thread_registers)
    resident = max(1, occupancy(machine, launch.threads, registers, launch.shared_bytes))
    groups = prod(launch.grid)
    cycles = unit_cycles(machine, groups, launch.threads, work.instructions, resident, work.parallel)
    peak = 1e3 * machine.units * machine.lanes * machine.clock_ghz  # multiply-adds a microsecond
    return ModelledOp(
        op.layer,
        op.symbol,
        op.macs / peak,
        plan.traffic(op) / (machine.dram_gb_s * 1e3 * MEMORY_EFFICIENCY),
        op.frames * cycles / machine.clock_ghz / 1e3,
        min(1.0, resident * launch.threads / machine.unit_threads),
    )
