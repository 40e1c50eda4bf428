"""The precision of a bundle: asked for, the target's default, or half where a trial finds little lost."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from tsm_edge.errors import UsageError
from tsm_edge.target import EdgeTarget
from tsm_edge.target import load as load_target

from . import backends
from .ir.graph import Graph
from .quantize import half

Phase = Callable[[str], AbstractContextManager[None]]  # times what is done in it, by its name

#: what a target lacks that does not have a precision
WITHOUT = {
    "fp16": ", which takes a 64-bit ARM processor or a GPU",
    "int8": ", which takes a 64-bit processor",
}
CHOICE = "precision"  # of the manifest's `compiler`: which was chosen, and why


@dataclass(frozen=True)
class Choice:
    """A precision, and why it is that one."""

    precision: str
    reason: str


def precision_of(target: EdgeTarget, precision: str | None) -> str:
    """The requested precision, or the target's default; UsageError for one that it does not have."""
    allowed = backends.of(target).precisions(target)
    if precision is not None and precision not in allowed:
        processor = processor_with(target, precision)
        raise UsageError(
            f"Target '{target.name}' has no such precision.",
            found=f"{precision}{WITHOUT.get(precision, '')}",
            allowed=", ".join(allowed),
            hint=f"compile for its processor: --target {processor}" if processor else "leave --precision out",
        )
    return precision or str(allowed[0])


def tries_half(target: EdgeTarget, precision: str | None) -> bool:
    """Whether the default is found by a trial: the target's first is float32, and its cores compute in half, too."""
    allowed = backends.of(target).precisions(target)
    return precision is None and allowed[0] == "fp32" and target.cpu.fp16


def chosen(graph: Graph, target: EdgeTarget, precision: str | None, phase: Phase) -> Choice:
    """The precision of a fused graph: the requested one, or the best that its target has and that costs little."""
    default = precision_of(target, precision)
    if precision is not None:
        return Choice(default, "as asked for")
    if not tries_half(target, precision):
        cores = "the cores do not compute in half precision"
        return Choice(default, cores if default == "fp32" else "the default of a GPU")
    with phase("precision"):
        trial = half.attempt(graph)
    return Choice("fp16" if trial.passed else default, trial.reason)


def processor_with(target: EdgeTarget, precision: str) -> str:
    """The target of a GPU board's processor where that has a precision, or ""."""
    if not target.fallback:
        return ""
    processor = load_target(target.fallback)
    return processor.name if precision in backends.of(processor).precisions(processor) else ""
