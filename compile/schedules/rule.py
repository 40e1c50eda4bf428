"""The contracts of a schedule, of a kernel and of a machine, which the registry and lowering rely on."""

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
    """The facts of a target that lowering reads; a family's schedules read more from their own machine."""

    @property
    def storage(self) -> DType:
        """Element type of activations, states and weights in memory."""

    @property
    def biases(self) -> DType:
        """Element type of biases in memory."""

    def of(self, op: Op) -> Machine:
        """The machine with the type of arithmetic for an operator."""

    @property
    def lanes(self) -> int:
        """Elements of a vector."""

    @property
    def plain_loops(self) -> bool:
        """Whether an operator without a schedule is lowered to TVM's own loops; else it is refused."""

    @property
    def blocks_channels(self) -> bool:
        """Whether layouts with blocks of channels (NCHWc) gain."""


class Kernel(Protocol):
    """One scheduled operator."""

    @property
    def op(self) -> Op: ...

    @property
    def rule(self) -> str:
        """The schedule's name."""

    @property
    def pointers(self) -> Mapping[str, Pointer]:
        """Each argument's size and type, by its role's name or a name of the schedule's own, in calling order."""

    @property
    def constants(self) -> Mapping[str, np.ndarray]:
        """Packed weights and biases, by the name of their pointer."""

    @property
    def items(self) -> int:
        """Number of work items, which threads divide."""

    @property
    def note(self) -> str:
        """The parameters as short text, for reports."""

    @property
    def launch(self) -> Launch | None:
        """Grid and group; None on a CPU."""

    @property
    def work(self) -> Work | Cycles | None:
        """The modelled cost with its parameters; None without a model."""

    def on(self, machine: Any) -> Kernel:
        """The kernel with the pointer and arithmetic types of its family's machine."""

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
    """One way to compute a pattern of operators; every file of a family's folder defines one as SCHEDULE.

    The functions take their family's machine and operators that they claim. Parameters are a frozen record; its repr
    names them in tuning records.
    """

    name: str  # the file and the family, such as pointwise_cpu: what plans and records call it
    claims: Callable[[Op], bool]  # whether an operator has the pattern's shapes and layout
    best: Callable[..., object]  # (machine, op) -> the parameters chosen by the cost model
    build: Callable[..., Kernel]  # (op, parameters, machine, *plain weights and biases)
    cases: tuple[Op, ...]  # operators to test and time, with every border of the pattern
    # optional
    variants: Callable[..., Sequence[object]] = no_variants  # (machine, op) -> parameters worth measuring
    #: (machine, op) -> whether it is faster than the general schedule, which it then precedes; None: it is general
    worthwhile: Callable[..., bool] | None = None
    dtypes: frozenset[DType] = frozenset({FLOAT32, FLOAT16})  # element types of operands that it supports

    def takes(self, op: Op) -> bool:
        """Whether it claims an operator and supports its operands' types."""
        return self.claims(op) and all(part.types.all <= self.dtypes for part in parts(op))
