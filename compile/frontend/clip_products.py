"""The matrix products of non-local blocks: softmax(theta phi^T * scale) g, four or five calls that are one operator.

The calls are followed from the first product on; the node is made by the last one. A use of what lies between, which
the operator never has in memory as a whole, is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tvm import relax

from ..ir.dtype import FLOAT32
from ..ir.graph import Node, Value
from ..ir.ops import Attention, Panels, Role
from . import volumes
from .operators import Call
from .volumes import View

if TYPE_CHECKING:
    from .clip_calls import ClipCalls

#: calls that change nothing where the shape stays
SAME = {"relax.broadcast_to", "relax.reshape", "relax.expand_dims", "relax.squeeze"}
ROWS = ("1", "thw", "c")  # positions by channels
COLUMNS = ("1", "c", "thw")


def extents_of(var: Call) -> tuple[int, ...]:
    """The shape of a variable; of the first of a tuple, as batch norms have."""
    kind = var.ty.fields[0] if isinstance(var.ty, relax.TupleType) else var.ty
    return tuple(int(extent) for extent in kind.shape.values)


@dataclass(frozen=True)
class Scores:
    """theta phi^T * scale; done: after the softmax."""

    theta: str
    phi: str
    scale: float = 1.0
    done: bool = False


class Products:
    """The products of one walk that are not complete yet."""

    def __init__(self, calls: ClipCalls) -> None:
        self.calls = calls
        self.scores: dict[Call, Scores] = {}

    def take(self, var: Call, call: Call, operator: str, arguments: Sequence[Call]) -> bool:
        """Follow a call; False for one that has nothing to do with a product of views."""
        if operator == "relax.matmul" and len(arguments) == 2:
            return self.matmul(var, arguments)
        found = [self.scores[argument] for argument in arguments if argument in self.scores]
        if not found:
            return False
        if operator in SAME and extents_of(var) == extents_of(arguments[0]):
            self.scores[var] = found[0]
            return True
        scores, others = found[0], [argument for argument in arguments if argument not in self.scores]
        if operator == "relax.multiply" and len(others) == 1 and not scores.done:
            factor = self.number(others[0])
            if factor is not None:
                self.scores[var] = replace(scores, scale=scores.scale * factor)
                return True
        if operator == "relax.nn.softmax" and not scores.done and int(call.attrs.axis) in (-1, 2):
            self.scores[var] = replace(scores, done=True)
            return True
        raise volumes.refuse(operator, ("1", "thw", "thw"))

    def number(self, argument: Call) -> float | None:
        """The number of a constant that is only one."""
        graph = self.calls.walk.graph
        array = graph.constants.get(self.calls.walk.value(argument))
        return float(array.reshape(())) if array is not None and array.size == 1 else None

    def matmul(self, var: Call, arguments: Sequence[Call]) -> bool:
        """The first or the second product."""
        first, second = arguments
        views = self.calls.views
        if first in self.scores and self.scores[first].done and self.shows(second, ROWS):
            self.complete(var, self.scores[first], views[second].value)
            return True
        if self.shows(first, ROWS) and self.shows(second, COLUMNS):
            self.scores[var] = Scores(views[first].value, views[second].value)
            return True
        return False

    def shows(self, var: Call, axes: tuple[str, ...]) -> bool:
        """Whether a variable is a view of a value with these axes."""
        view = self.calls.views.get(var)
        if view is None:
            return False
        return volumes.alike(view.axes, axes, volumes.sizes_of(self.calls.walk.graph.shape(view.value)))

    def complete(self, var: Call, scores: Scores, contents: str) -> None:
        """The nodes of a block: its keys and values in panels, and the products."""
        graph = self.calls.walk.graph
        frames, channels, height, width = graph.shape(scores.theta)
        names = []
        for source, keys in ((scores.phi, True), (contents, False)):
            count, depth, rows, columns = graph.shape(source)
            op = Panels(count, rows * columns, depth, keys)
            name = self.calls.walk.fresh("keys" if keys else "values")
            graph.values[name] = Value((op.size,), FLOAT32)
            graph.nodes.append(Node(op, [source], [name], layer=f"{scores.theta}.{name}"))
            names.append(name)
        positions = op.positions
        name = self.calls.walk.fresh("attention")
        graph.values[name] = Value.of((frames, channels, height, width), FLOAT32, True)
        roles = {Role.KEYS: names[0], Role.VALUES: names[1]}
        attention = Attention(frames, height * width, channels, positions, scores.scale)
        graph.nodes.append(Node(attention, [scores.theta, *names], [name], roles, layer=name))
        self.calls.views[var] = View(name, ROWS)
