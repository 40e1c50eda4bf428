"""Operator schedules: one file is one operator for one family, found by existing.

The driver owns the family check and the uniqueness of a claim; a schedule only answers for shapes.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import replace
from functools import cache
from types import ModuleType
from typing import Any

from tsm_edge.compile.ops import Op
from tsm_edge.compile.tiling import Machine
from tsm_edge.errors import CompileError

from ._rule import Kernel


@cache
def rules(family: str) -> tuple[ModuleType, ...]:
    """The schedules of a family, by file name."""
    names = sorted(info.name for info in pkgutil.iter_modules(__path__) if not info.name.startswith("_"))
    modules = (importlib.import_module(f"{__name__}.{name}") for name in names)
    return tuple(module for module in modules if family == module.FAMILY)


def find(family: str, op: Op, machine: Machine) -> ModuleType | None:
    """The schedule of an operator on a machine; None when nobody claims it.

    A schedule with a `worthwhile` is a special one: where it claims the operator and pays, it goes first.
    """
    claimed = [rule for rule in rules(family) if rule.claims(op)]
    general = [rule for rule in claimed if not hasattr(rule, "worthwhile")]
    special = [rule for rule in claimed if rule not in general and rule.worthwhile(machine, op)]
    for found in (special, general):
        if len(found) > 1:
            names = ", ".join(rule.__name__.rsplit(".", 1)[-1] for rule in found)
            raise CompileError(
                f"Two schedules claim {op.label}.", found=names, allowed="one schedule per operator"
            )
        if found:
            return found[0]
    return None


def variants(rule: ModuleType, op: Op, machine: Machine) -> list[Any]:
    """Parameters worth considering for an operator, the modelled best first."""
    best = rule.Params.from_machine(machine, op)
    found = {repr(best): best}
    for params in rule.variants(machine, op) if hasattr(rule, "variants") else []:
        found.setdefault(repr(params), params)
    return list(found.values())


def choices(family: str, op: Op, machine: Machine) -> dict[str, tuple[ModuleType, Any]]:
    """Every way to schedule an operator, by a name that tells schedule and parameters; the model's own way first."""
    own = find(family, op, machine)
    others = [rule for rule in rules(family) if rule.claims(op) and rule is not own]
    return {
        f"{rule.__name__.rsplit('.', 1)[-1]} {params!r}": (rule, params)
        for rule in ([own, *others] if own else [])
        for params in variants(rule, op, machine)
    }


def apply(family: str, op: Op, machine: Machine, *weights: Any, choice: str = "") -> Kernel | None:
    """Schedule an operator; weights as the schedule's `schedule` takes them.

    choice: a name of `choices`. Without one the model chooses, and in place of one that this version does not know: it
    comes from a record of another version.
    """
    chosen = choices(family, op, machine).get(choice) if choice else None
    rule = chosen[0] if chosen else find(family, op, machine)
    if rule is None:
        return None
    params = chosen[1] if chosen else rule.Params.from_machine(machine, op)
    return kernel_of(rule, op, params, machine, *weights)


def kernel_of(rule: ModuleType, op: Op, params: Any, machine: Machine, *weights: Any) -> Kernel:
    """Schedule an operator with one schedule and its parameters."""
    kernel: Kernel = rule.schedule(op, params, machine, *weights)
    return replace(kernel, index=machine.index)


def worthwhile(family: str, op: Op, machine: Machine) -> bool:
    """Whether a schedule takes a fused operator, which it does only where it beats its parts."""
    return find(family, op, machine) is not None
