"""The network between import and kernels: a list of nodes over named values, batch 1, shapes logical NCHW.

In a graph of a clip the first axis counts frames. An operator is then that of one frame, and computes each of them; but
for those that look at several (`ops/frames.py`) or have one result for all.

Every 4-D value is stored NHWC; `opaque` nodes (operators without a schedule of ours) say so themselves when they need
NCHW. Passes rewrite the list in place and keep it in execution order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from tsm_edge.signature import Signature

from .dtype import FLOAT32, DType
from .ops import Operator, Role

if TYPE_CHECKING:
    from tvm import relax, tirx


@dataclass
class Node:
    """One operator.

    inputs: names of values or constants; outputs: names of values. roles: the inputs and outputs that are a state, a
    residual or a next state. weights: weight [CO, CI, KH, KW] and bias [CO] of every convolution, and the multiplier of
    one in 8 bits. layer: where it comes from, for reports.
    """

    op: Operator
    inputs: list[str]
    outputs: list[str]
    roles: dict[Role, str] = field(default_factory=dict)
    weights: tuple[np.ndarray, ...] = ()
    layer: str = ""
    call: relax.Call | None = None  # the Relax call it came from: what TVM legalises when no schedule takes the node
    function: tirx.PrimFunc | None = None  # its TIR where a frontend lowered the call

    @property
    def kind(self) -> str:
        """The operator's kind."""
        return self.op.kind

    def copy(self) -> Node:
        """A copy with operand lists of its own."""
        return replace(self, inputs=[*self.inputs], outputs=[*self.outputs], roles={**self.roles})

    @property
    def operator(self) -> str:
        """Name of the Relax operator; empty for nodes that passes made."""
        return "" if self.call is None else str(self.call.op.name)

    @property
    def output(self) -> str:
        """The first output; a second one is the next state."""
        return self.outputs[0]


@dataclass(frozen=True)
class Value:
    """A tensor: its logical shape, its element type in memory, and whether it is stored NHWC."""

    shape: tuple[int, ...]
    dtype: DType = FLOAT32
    channels_last: bool = False

    @classmethod
    def of(cls, shape: tuple[int, ...], dtype: DType = FLOAT32, clip: bool = False) -> Value:
        """A value as operators leave it: what the network computes in float32 is stored NHWC where that differs.

        That is 4-D, batch 1 (or the frames of a clip), several channels and pixels. A pass that stores such a value in
        another type keeps its layout; what the network itself has in another type is computed by opaque nodes alone, in
        the order of its shape.
        """
        image = dtype is FLOAT32 and len(shape) == 4 and (clip or shape[0] == 1)
        return cls(shape, dtype, image and shape[1] > 1 and shape[2] * shape[3] > 1)


@dataclass
class Graph:
    """Nodes in execution order, shape and type of every value, and the constants."""

    signature: Signature
    frame: str = "frame"  # the input's value; names inside are ours, whatever the network calls its tensors
    states: list[str] = field(default_factory=list)  # the states' values, in the signature's order
    nodes: list[Node] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    storage: DType = FLOAT32  # of weights, and of values that schedules compute (passes/storage.py)
    biases: DType = FLOAT32
    scales: dict[str, tuple[float, int]] = field(default_factory=dict)  # of 8-bit states: step, zero
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    output: str = ""
    clip: bool = False  # whether the first axis counts frames
    align: int = 1  # bytes that each frame of a clip begins at a multiple of (passes/pitch.py)
    state_outputs: dict[str, str] = field(
        default_factory=dict
    )  # state input name -> value that becomes the next state

    def shape(self, value: str) -> tuple[int, ...]:
        """The logical shape of a value."""
        return self.values[value].shape

    def dtype(self, value: str) -> DType:
        """The element type of a value."""
        return self.values[value].dtype

    def nhwc(self, value: str) -> bool:
        """Whether a value is stored NHWC and that differs from its shape; constants are stored as their shape says."""
        return self.values[value].channels_last

    def stored(self, value: str) -> tuple[int, ...]:
        """The shape in memory."""
        shape = self.shape(value)
        return (shape[0], shape[2], shape[3], shape[1]) if self.nhwc(value) else shape

    def frames(self, value: str) -> int:
        """How many frames a value has: one, but in a clip."""
        shape = self.shape(value)
        return shape[0] if self.clip and len(shape) > 1 and value not in self.constants else 1

    def results(self) -> list[str]:
        """Values that must exist at the end of a step."""
        return [self.output, *self.state_outputs.values()]

    def producer(self, value: str) -> Node | None:
        """The node that computes `value`; None for inputs, states and constants."""
        return next((node for node in self.nodes if value in node.outputs), None)

    def users(self, value: str) -> list[Node]:
        """The nodes that read `value`."""
        return [node for node in self.nodes if value in node.inputs]

    def sole_user(self, value: str) -> Node | None:
        """The only reader of a value that is not a result."""
        users = self.users(value)
        return (
            users[0]
            if len(users) == 1 and users[0].inputs.count(value) == 1 and value not in self.results()
            else None
        )

    def replace_value(self, old: str, new: str) -> None:
        """Make every reader of `old` read `new`."""
        for node in self.nodes:
            node.inputs = [new if name == old else name for name in node.inputs]
            node.roles = {role: new if name == old else name for role, name in node.roles.items()}
        if self.output == old:
            self.output = new
        self.state_outputs = {
            state: new if value == old else value for state, value in self.state_outputs.items()
        }

    def drop_dead(self) -> None:
        """Dead code elimination: remove nodes whose outputs are never read."""
        live = set(self.results())
        kept: list[Node] = []
        for node in reversed(self.nodes):
            if live.intersection(node.outputs):
                kept.append(node)
                live.update(node.inputs)
        self.nodes = kept[::-1]

    def text(self) -> str:
        """A line per node, for --dump."""
        return "".join(line + "\n" for line in self._lines())

    def _typed(self, name: str) -> str:
        """A value with its shape, and its type where that is not float32."""
        dtype = self.dtype(name)
        return f"{name} {list(self.shape(name))}" + ("" if dtype is FLOAT32 else f" {dtype}")

    def _lines(self) -> Iterator[str]:
        for name in [self.frame, *self.states]:
            yield f"input {self._typed(name)}"
        for node in self.nodes:
            outputs = ", ".join(map(self._typed, node.outputs))
            yield f"{outputs} = {describe(node)}"
        yield f"output {self.output}"
        for state, value in self.state_outputs.items():
            yield f"state {state} <- {value}"


def describe(node: Node) -> str:
    """Operator, operands and weights of a node as text."""
    roles = "".join(f" {role.value}={name}" for role, name in sorted(node.roles.items()))
    fields = "".join(
        f" {name}={short(value)}"
        for name, value in vars(node.op).items()
        if isinstance(value, np.ndarray) or value not in (None, False)
    )
    shapes = "".join(f" {short(array)}" for array in node.weights)
    return f"{node.kind}({', '.join(node.inputs)}){roles}{fields}{shapes}"


def short(value: object) -> str:
    """A field of an operator in at most 80 characters."""
    text = f"array{list(value.shape)}" if isinstance(value, np.ndarray) else str(value)
    return " ".join(text.split())[:80]
