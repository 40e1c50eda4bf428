"""The network between import and kernels: a list of nodes over named values, batch 1, shapes logical NCHW.

Every 4-D value is stored NHWC; `opaque` nodes (operators without a schedule of ours) say so themselves when they need
NCHW. Passes rewrite the list in place and keep it in execution order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tsm_edge.signature import Signature


@dataclass
class Node:
    """One operator.

    kind: conv, block, batch_norm, clip, add, slice, concat, global_pool, max_pool, copy, transpose, alias or opaque.
    inputs: names of values or constants. outputs: names of values. attrs: what the kind needs; see
    frontend/importer.py. layer: where it comes from, for reports.
    """

    kind: str
    inputs: list[str]
    outputs: list[str]
    attrs: dict[str, Any] = field(default_factory=dict)
    layer: str = ""
    call: Any = None  # the Relax call it came from: what TVM legalises when no schedule takes the node

    @property
    def operator(self) -> str:
        """Name of the Relax operator; empty for nodes that passes made."""
        return "" if self.call is None else str(self.call.op.name)

    @property
    def output(self) -> str:
        """The value it is known for; a second output is the next state."""
        return self.outputs[0]


@dataclass
class Graph:
    """Nodes in execution order, the shape of every value, and the constants."""

    signature: Signature
    frame: str = "frame"  # the input's value; names inside are ours, whatever the network calls its tensors
    states: list[str] = field(default_factory=list)  # the states' values, in the signature's order
    nodes: list[Node] = field(default_factory=list)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    dtypes: dict[str, str] = field(default_factory=dict)  # of values that are not float32
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    output: str = ""
    state_outputs: dict[str, str] = field(
        default_factory=dict
    )  # state input name -> value that becomes the next state

    def nhwc(self, value: str) -> bool:
        """Whether a value is stored NHWC and that differs: float32, 4-D, batch 1, several channels and pixels.

        Constants and values of another dtype or batch are stored as their shape says; only opaque nodes read those.
        """
        shape = self.shapes[value]
        plain = value not in self.constants and value not in self.dtypes and len(shape) == 4 and shape[0] == 1
        return plain and shape[1] > 1 and shape[2] * shape[3] > 1

    def stored(self, value: str) -> tuple[int, ...]:
        """The shape in memory."""
        shape = self.shapes[value]
        return (1, shape[2], shape[3], shape[1]) if self.nhwc(value) else shape

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
            node.attrs |= {key: new for key in ("residual", "state") if node.attrs.get(key) == old}
        if self.output == old:
            self.output = new
        self.state_outputs = {
            state: new if value == old else value for state, value in self.state_outputs.items()
        }

    def drop_dead(self) -> None:
        """Remove nodes whose outputs nobody reads."""
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

    def _lines(self) -> Iterator[str]:
        for name in [self.frame, *self.states]:
            yield f"input {name} {list(self.shapes[name])}"
        for node in self.nodes:
            outputs = ", ".join(f"{name} {list(self.shapes[name])}" for name in node.outputs)
            attrs = " ".join(f"{key}={describe(value)}" for key, value in sorted(node.attrs.items()))
            yield f"{outputs} = {node.kind}({', '.join(node.inputs)}) {attrs}".rstrip()
        yield f"output {self.output}"
        for state, value in self.state_outputs.items():
            yield f"state {state} <- {value}"


def describe(value: Any) -> str:
    """A short text of an attribute."""
    if isinstance(value, np.ndarray):
        return f"array{list(value.shape)}"
    if isinstance(value, list):
        return "[" + ", ".join(map(describe, value)) + "]"
    return " ".join(str(value).split())[:80]
