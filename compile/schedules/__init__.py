"""Operator schedules: one file is one operator for one family, found by existing.

The driver owns the family check and the uniqueness of a claim; a schedule only answers for shapes.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import ModuleType
from typing import Any

from tsm_edge.compile.ops import Op
from tsm_edge.errors import CompileError


@cache
def rules(family: str) -> tuple[ModuleType, ...]:
    """The schedules of a family, by file name."""
    names = sorted(info.name for info in pkgutil.iter_modules(__path__) if not info.name.startswith("_"))
    modules = (importlib.import_module(f"{__name__}.{name}") for name in names)
    return tuple(module for module in modules if family == module.FAMILY)


def find(family: str, op: Op) -> ModuleType | None:
    """The schedule that claims an operator; None when nobody does."""
    claimed = [rule for rule in rules(family) if rule.claims(op)]
    if len(claimed) > 1:
        names = ", ".join(rule.__name__.rsplit(".", 1)[-1] for rule in claimed)
        raise CompileError(
            f"Two schedules claim {op.label}.", found=names, allowed="one schedule per operator"
        )
    return claimed[0] if claimed else None


def apply(family: str, op: Op, machine: Any, *weights: Any) -> Any:
    """The kernel of an operator, None when nobody claims it; machine and weights as its schedules take them."""
    rule = find(family, op)
    if rule is None:
        return None
    return rule.schedule(op, rule.Params.from_machine(machine, op), machine, *weights).on(machine)


def worthwhile(family: str, op: Op, machine: Any) -> bool:
    """Whether a schedule exists for a fused operator and says that it beats its parts on this machine."""
    rule = find(family, op)
    return rule is not None and bool(rule.worthwhile(machine, op))
