"""The scales that a quantised file gives, as the ranges of a fused graph: what calibration finds for other networks.

The importer leaves a clamp to the range of its bytes where the file rounds a value (`frontend/onnx_import/qdq.py`).
So after the passes the clamp of a layer is the range of its output, whatever became of the file's own nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tsm_edge.errors import CompileError, EdgeError

from ..ir.graph import Graph, Node
from ..ir.ops import Conv
from . import float_step
from .demands import Kept
from .ranges import Ranges
from .scheme import float_nodes, identity

Source = Callable[[Graph, Kept], Ranges]  # makes the ranges of a fused graph, given the layers that stay in floats
METHOD = "the scales of a quantised file"
ANOTHER = "compile it with another --precision, which takes the file's weights dequantised"


@dataclass(frozen=True)
class Given:
    """What a quantised file says.

    inputs: the range of each input's bytes, by name. weights: the integers of each quantised convolution, int8, by
    layer. plain: convolutions whose weights the file leaves in float32. wrong: why the 8-bit kernels cannot take it.
    """

    inputs: dict[str, tuple[float, float]]
    weights: dict[str, NDArray[np.int8]]
    plain: frozenset[str] = frozenset()
    wrong: EdgeError | None = None

    @property
    def lowest(self) -> int:
        """How many weights are -128, which the kernels take as -127: the sum of two of its products has 17 bits."""
        return sum(int((array == -128).sum()) for array in self.weights.values())

    def ranges(self, graph: Graph, kept: Kept = frozenset()) -> Ranges:
        """The ranges of a fused graph and the scales of its weights; CompileError names a layer without.

        kept: layers that compute in floats.
        """
        if self.wrong is not None:
            raise self.wrong
        float_step.check(graph)
        frame = graph.signature.inputs[0].name
        if frame not in self.inputs:
            raise without(f"Input '{frame}'", "no QuantizeLinear that reads it")
        values, steps = {graph.frame: self.inputs[frame]}, {}
        floats = float_nodes(graph)
        for node in graph.nodes:
            if not isinstance(node.op, Conv) or node.output in floats:
                continue
            if node.layer in self.plain - kept:
                raise without(f"Layer '{node.layer}'", "weights in float32")
            values[node.output] = range_of(node, node.op)
            row = steps_of(node.weights[0], self.weights.get(node.layer))
            if row is not None:
                steps[node.output] = row
        return Ranges(identity(graph), METHOD, 0, values, steps)


def preferred(precision: str | None, given: object, offered: Sequence[str]) -> str | None:
    """The requested precision, or int8 for a file that gives its scales where a target offers it; else None."""
    return "int8" if precision is None and given is not None and "int8" in offered else precision


def settled(
    precision: str | None, ranges: Source | None, mix: bool, given: Source | None, offered: Sequence[str]
) -> tuple[str | None, Source | None, bool, bool]:
    """The preferred precision, where its ranges come from, whether layers mix, and whether the file decided it.

    A file's integers are computed with as they are: no layer is chosen for floats.
    """
    found = preferred(precision, given, offered)
    return found, (ranges or given) if found == "int8" else None, mix and given is None, found != precision


def told(precision: str | None, given: object) -> tuple[str, ...]:
    """A line for a quantised file: what its scales are used for. precision: the preferred one."""
    if given is None:
        return ()
    if precision == "int8":
        return ("8 bits: the scales of the file",)
    why = f"{precision} is asked for" if precision else "the target has no 8-bit kernels"
    return (f"the file's weights are dequantised: {why}",)


def range_of(node: Node, op: Conv) -> tuple[float, float]:
    """The clamp of a layer, which is the range of the bytes that its output is rounded to."""
    if op.low is None or op.high is None:
        raise without(f"Layer '{node.layer}'", "no QuantizeLinear behind it")
    return min(op.low, 0.0), max(op.high, 0.0)


def without(what: str, found: str) -> CompileError:
    """The refusal of a network that its file quantises in part."""
    return CompileError(
        f"{what} is not quantised in the file.",
        found=found,
        allowed="scales of the frame and of every layer before the mean",
        hint=ANOTHER,
    )


def steps_of(weight: NDArray[np.generic], integers: NDArray[np.int8] | None) -> tuple[float, ...] | None:
    """The scale of each output channel by which a weight is its integers; None where it is no multiple of them.

    A batch norm that was folded into the weight scales every channel once more, perhaps by a negative number.
    """
    if integers is None or integers.shape != weight.shape:
        return None
    wanted = weight.astype(np.float64).reshape(len(weight), -1)
    whole = integers.astype(np.float64).reshape(len(weight), -1)
    power = np.square(whole).sum(1)
    factor = (wanted * whole).sum(1) / np.maximum(power, 1)
    if (np.abs(wanted - factor[:, None] * whole).max(1) > 1e-3 * np.abs(factor)).any():
        return None
    return tuple(np.abs(factor).tolist())
