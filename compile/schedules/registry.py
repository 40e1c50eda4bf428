"""The registry: finds the schedules of a family, selects one for an operator, and gives the reason.

Every module or package in a family's folder without a leading underscore is a schedule. The registry checks types,
the uniqueness of a claim and precedence; a schedule only checks shapes.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from functools import cache

import numpy as np

from tsm_edge.errors import CompileError

from ..ir.ops import Op
from .rule import Kernel, Machine, Schedule


@dataclass(frozen=True)
class Selection:
    """A schedule with its parameters, and why it was selected."""

    schedule: Schedule
    params: object
    reason: str

    @property
    def name(self) -> str:
        """The name of the choice in tuning records."""
        return f"{self.schedule.name} {self.params!r}"

    def kernel(self, op: Op, machine: Machine, *weights: np.ndarray) -> Kernel:
        """Schedule the operator."""
        return kernel_of(self.schedule, op, self.params, machine, *weights)


@cache
def rules(family: str) -> tuple[Schedule, ...]:
    """The schedules of a family, by file name."""
    folder = importlib.import_module(f".{family}", __package__)
    names = sorted(info.name for info in pkgutil.iter_modules(folder.__path__) if info.name[0] != "_")
    found: list[Schedule] = [importlib.import_module(f".{name}", folder.__name__).SCHEDULE for name in names]
    return tuple(found)


def find(family: str, op: Op, machine: Machine) -> Schedule | None:
    """The schedule of an operator on a machine; None if there is none."""
    return claim(family, op, machine)[0]


def claim(family: str, op: Op, machine: Machine) -> tuple[Schedule | None, str]:
    """The schedule of an operator and the reason: a special one that claims it and pays, else the general one.

    Raises CompileError where two of a kind claim it.
    """
    machine = machine.of(op)
    taking = [rule for rule in rules(family) if rule.takes(op)]
    general = [rule for rule in taking if rule.worthwhile is None]
    special = [rule for rule in taking if rule.worthwhile is not None]
    paying = [rule for rule in special if rule.worthwhile is not None and rule.worthwhile(machine, op)]
    for found in (paying, general):
        if len(found) > 1:
            names = ", ".join(rule.name for rule in found)
            raise CompileError(
                f"Two schedules claim {op.label}.", found=names, allowed="one schedule per operator"
            )
        if found:
            beaten = [rule.name for rule in (general if found is paying else special)]
            why = f"faster than {', '.join(beaten) or 'its parts'}" if found is paying else "the only one"
            return found[0], f"{', '.join(beaten)} would not pay" if beaten and found is general else why
    return None, "no schedule takes it"


def variants(rule: Schedule, op: Op, machine: Machine) -> list[object]:
    """Parameters worth considering for an operator, the modelled best first."""
    machine = machine.of(op)
    best = rule.best(machine, op)
    found = {repr(best): best}
    for params in rule.variants(machine, op):
        found.setdefault(repr(params), params)
    return list(found.values())


def choices(family: str, op: Op, machine: Machine) -> dict[str, Selection]:
    """Every way to schedule an operator, by its name in tuning records; the cost model's choice first."""
    own = find(family, op, machine)
    others = [rule for rule in rules(family) if rule.takes(op) and rule is not own]
    found = [
        Selection(rule, params, "measured")
        for rule in ([own, *others] if own else [])
        for params in variants(rule, op, machine)
    ]
    return {selection.name: selection for selection in found}


def select(family: str, op: Op, machine: Machine, choice: str = "") -> Selection | None:
    """The schedule and parameters of an operator; None if no schedule claims it.

    choice: a name of `choices`. Without one, or with one that this version does not know (records of another version),
    the cost model chooses.
    """
    machine = machine.of(op)
    chosen = choices(family, op, machine).get(choice) if choice else None
    if chosen is not None:
        return chosen
    rule, reason = claim(family, op, machine)
    return None if rule is None else Selection(rule, rule.best(machine, op), reason)


def apply(family: str, op: Op, machine: Machine, *weights: np.ndarray, choice: str = "") -> Kernel | None:
    """The kernel of an operator, None if no schedule claims it; weights as its schedule expects them."""
    selection = select(family, op, machine, choice)
    return None if selection is None else selection.kernel(op, machine, *weights)


def kernel_of(rule: Schedule, op: Op, params: object, machine: Machine, *weights: np.ndarray) -> Kernel:
    """Schedule an operator with one schedule and its parameters."""
    machine = machine.of(op)
    return rule.build(op, params, machine, *weights).on(machine)
