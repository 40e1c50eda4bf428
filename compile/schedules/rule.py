"""What a schedule is, and what the registry and lowering ask of a kernel and of a machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from tvm import tirx

from ..ir.dtype import FLOAT16, FLOAT32, DType, Pointer
from ..ir.ops import Op, parts
from ..ir.plan import Cycles, Launch, Work


class Machine(Protocol):
    """What lowering asks of a target; the schedules of a family read more facts of their own machine."""

    @property
    def storage(self) -> DType:
        """How activations, states and weights are stored."""

    @property
    def biases(self) -> DType:
        """How biases are stored."""

    def of(self, op: Op) -> Machine:
        """The machine that computes an operator, in the type that suits it."""

    @property
    def lanes(self) -> int:
        """Elements of a vector."""

    @property
    def plain_loops(self) -> bool:
        """Whether an operator without a schedule becomes TVM's own loops; else it is refused."""

    @property
    def blocks_channels(self) -> bool:
        """Whether values in blocks of channels gain."""


class Kernel(Protocol):
    """One scheduled operator."""

    @property
    def op(self) -> Op: ...

    @property
    def rule(self) -> str:
        """The schedule's name."""

    @property
    def pointers(self) -> Mapping[str, Pointer]:
        """The elements behind each argument, by its role's name or a name of the schedule's own, in calling order."""

    @property
    def constants(self) -> Mapping[str, np.ndarray]:
        """Packed weights and biases behind some of the pointers."""

    @property
    def items(self) -> int:
        """Work items that threads may divide."""

    @property
    def note(self) -> str:
        """The parameters in a few words, for reports."""

    @property
    def launch(self) -> Launch | None:
        """Grid and group; None on a CPU."""

    @property
    def work(self) -> Work | Cycles | None:
        """What the schedule models of it with the parameters it has; None: nothing."""

    def on(self, machine: Any) -> Kernel:
        """The kernel for the pointers and the arithmetic of its family's machine."""

    def build(self) -> tirx.PrimFunc:
        """Emit the TIR."""


def no_variants(machine: Machine, op: Op) -> Sequence[object]:
    """No parameters to tune over."""
    return ()


@dataclass(frozen=True)
class NoParams:
    """The parameters of a schedule that has nothing to choose."""

    @classmethod
    def from_machine(cls, machine: Machine, op: Op) -> NoParams:
        """The only ones."""
        return cls()


@dataclass(frozen=True)
class Schedule:
    """One way to compute a pattern of operators; every file of a family's folder has one, called SCHEDULE.

    The functions take the machine of their family and the operators that they claim. Parameters are a frozen record,
    whose text names them in tuning records.
    """

    name: str  # the file and the family, such as pointwise_cpu: what plans and records call it
    claims: Callable[[Op], bool]  # whether shapes and layout are its pattern's
    best: Callable[..., object]  # (machine, op) -> the parameters that the model chooses
    build: Callable[..., Kernel]  # (op, parameters, machine, *plain weights and biases)
    cases: tuple[Op, ...]  # operators that are tested, with every border of the pattern
    # optional
    variants: Callable[..., Sequence[object]] = no_variants  # (machine, op) -> parameters worth measuring
    #: (machine, op) -> whether it is faster than the general schedule, before which it then goes; None: it is general
    worthwhile: Callable[..., bool] | None = None
    dtypes: frozenset[DType] = frozenset({FLOAT32, FLOAT16})  # of operands that it reads and writes

    def takes(self, op: Op) -> bool:
        """Whether it computes an operator with operands of these types."""
        return self.claims(op) and all(part.types.all <= self.dtypes for part in parts(op))
