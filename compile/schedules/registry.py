"""Finds the schedules of a family and the one that takes an operator.

A schedule is a module or a package in the folder of its family, found by existing; a name with an underscore is none.
The driver owns the family check and the uniqueness of a claim; a schedule only answers for shapes.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import ModuleType
from typing import Any

from tsm_edge.errors import CompileError

from ..ir.ops import Op


@cache
def rules(family: str) -> tuple[ModuleType, ...]:
    """The schedules of a family, by file name."""
    folder = importlib.import_module(f".{family}", __package__)
    names = sorted(info.name for info in pkgutil.iter_modules(folder.__path__) if info.name[0] != "_")
    return tuple(importlib.import_module(f".{name}", folder.__name__) for name in names)


def name_of(rule: ModuleType) -> str:
    """What a schedule is called in plans and records: its file and its family, such as `pointwise_cpu`."""
    family, name = rule.__name__.split(".")[-2:]
    return f"{name}_{family}"


def find(family: str, op: Op, machine: Any) -> ModuleType | None:
    """The schedule of an operator on a machine; None when nobody claims it.

    A schedule with a `worthwhile` is a special one: where it claims the operator and pays, it goes first.
    """
    machine = machine.of(op)
    claimed = [rule for rule in rules(family) if rule.claims(op)]
    general = [rule for rule in claimed if not hasattr(rule, "worthwhile")]
    special = [rule for rule in claimed if rule not in general and rule.worthwhile(machine, op)]
    for found in (special, general):
        if len(found) > 1:
            names = ", ".join(map(name_of, found))
            raise CompileError(
                f"Two schedules claim {op.label}.", found=names, allowed="one schedule per operator"
            )
        if found:
            return found[0]
    return None


def variants(rule: ModuleType, op: Op, machine: Any) -> list[Any]:
    """Parameters worth considering for an operator, the modelled best first."""
    machine = machine.of(op)
    best = rule.Params.from_machine(machine, op)
    found = {repr(best): best}
    for params in rule.variants(machine, op) if hasattr(rule, "variants") else []:
        found.setdefault(repr(params), params)
    return list(found.values())


def choices(family: str, op: Op, machine: Any) -> dict[str, tuple[ModuleType, Any]]:
    """Every way to schedule an operator, by a name that tells schedule and parameters; the model's own way first."""
    own = find(family, op, machine)
    others = [rule for rule in rules(family) if rule.claims(op) and rule is not own]
    return {
        f"{name_of(rule)} {params!r}": (rule, params)
        for rule in ([own, *others] if own else [])
        for params in variants(rule, op, machine)
    }


def apply(family: str, op: Op, machine: Any, *weights: Any, choice: str = "") -> Any:
    """The kernel of an operator, None when nobody claims it; machine and weights as its schedules take them.

    choice: a name of `choices`. Without one the model chooses, and in place of one that this version does not know: it
    comes from a record of another version.
    """
    machine = machine.of(op)
    chosen = choices(family, op, machine).get(choice) if choice else None
    rule = chosen[0] if chosen else find(family, op, machine)
    if rule is None:
        return None
    params = chosen[1] if chosen else rule.Params.from_machine(machine, op)
    return kernel_of(rule, op, params, machine, *weights)


def kernel_of(rule: ModuleType, op: Op, params: Any, machine: Any, *weights: Any) -> Any:
    """Schedule an operator with one schedule and its parameters."""
    machine = machine.of(op)
    return rule.schedule(op, params, machine, *weights).on(machine)


def worthwhile(family: str, op: Op, machine: Any) -> bool:
    """Whether a schedule takes a fused operator, which it does only where it beats its parts."""
    return find(family, op, machine) is not None
