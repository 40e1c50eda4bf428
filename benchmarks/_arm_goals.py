"""What `arm_precision.py` counts: networks on cores in a precision, and how far below the best peer ours must be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OURS = "tsm-edge"


@dataclass(frozen=True)
class Core:
    """A core to emulate, and our target for it."""

    cpu: str
    target: str


@dataclass(frozen=True)
class Goal:
    """Our instructions over those of the best peer in the same precision: what they must be, and what is aimed at."""

    model: str
    core: str
    precision: str
    must: float
    aim: float


CORES = {
    "a72": Core("cortex-a72", "raspberry-pi-4"),
    "a76": Core("cortex-a76", "raspberry-pi-5"),
    # every extension up to Armv8.6 but scalable vectors, which no core of this kind's boards has; ours has no target
    # for such a core, and runs what it compiles for a Cortex-A76
    "i8mm": Core("max,sve=off,sme=off", "raspberry-pi-5"),
}
GOALS = (
    Goal("tsm-mobilenetv2", "a76", "fp16", 0.90, 0.85),
    Goal("tsm-mobilenetv2", "a76", "int8", 0.85, 0.75),
    Goal("tsm-mobilenetv2", "a72", "int8", 0.90, 0.75),
    Goal("tsm-mobilenetv2", "i8mm", "int8", 0.85, 0.75),
    Goal("tsm-resnet18", "a76", "fp16", 0.95, 0.85),
    Goal("tsm-resnet18", "a76", "int8", 0.85, 0.75),
    Goal("tsm-resnet50", "a72", "fp32", 0.97, 0.90),
    Goal("tsm-resnet50", "a76", "fp16", 0.95, 0.85),
    Goal("tsm-resnet50", "a76", "int8", 0.85, 0.75),
)


def chosen(models: Sequence[str], cores: Sequence[str], precisions: Sequence[str]) -> list[Goal]:
    """The goals that a selection leaves."""
    return [g for g in GOALS if g.model in models and g.core in cores and g.precision in precisions]


def judged(goals: Iterable[Goal], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Our count beside the best peer's for every goal; without one of the two there is no ratio, and `met` is None."""
    found = []
    for goal in goals:
        counts = {
            row["runtime"]: row["instructions_per_frame"]
            for row in rows
            if (row["model"], row["core"], row["precision"]) == (goal.model, goal.core, goal.precision)
            and "instructions_per_frame" in row
        }
        ours = counts.pop(OURS, None)
        best = min(counts, key=lambda name: counts[name], default=None)
        ratio = None if ours is None or best is None else round(ours / counts[best], 4)
        found.append(
            {
                "model": goal.model,
                "core": goal.core,
                "precision": goal.precision,
                "tsm_edge": ours,
                "best_peer": best,
                "peer": None if best is None else counts[best],
                "ratio": ratio,
                "must": goal.must,
                "aim": goal.aim,
                "met": None if ratio is None else ratio <= goal.must,
            }
        )
    return found
