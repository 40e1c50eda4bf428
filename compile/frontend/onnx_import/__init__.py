"""Preparation of ONNX files for TVM's frontend, or a refusal that names node, limit and cure.

The steps, each in a file of its own: the symbolic batch is bound to one (batch), older operator sets are raised
(opset), the float32 network of a quantised file is taken out of it (qdq), one walk (walk) folds constants under a
memory limit (limits), rewrites forms that the frontend reads wrongly or slowly (rewrites, resize, pools) and refuses
what cannot be had (checks); then the frontend runs and every shape it computes is compared with ONNX's own inference
(frontend).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...quantize.given import Given
from . import batch, limits, opset, qdq, walk
from .values import Values

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto


@dataclass(frozen=True)
class Prepared:
    """An ONNX file as the frontend takes it: the ModelProto, its values' types and constants, the file's metadata.

    given: the scales of a quantised file.
    """

    model: ModelProto
    values: Values
    metadata: dict[str, str]
    given: Given | None = None


def prepare(model: ModelProto) -> Prepared:
    """Prepare a ModelProto that ONNX's checker accepts.

    Raises ImportFailed: a node that cannot be had, a value that is too large, a set of operators that is too old.
    """
    floats, given = qdq.read(opset.raised(inlined(batch.bind(model))))
    prepared, values = walk.run(floats)
    return Prepared(prepared, values, {entry.key: entry.value for entry in model.metadata_props}, given)


def without_rounding(model: ModelProto) -> ModelProto | None:
    """A quantised model as a network in float32 computes it, with clamps in the place of roundings; None for others."""
    floats, given = qdq.read(inlined(model))
    return floats if given is not None else None


def inlined(model: ModelProto) -> ModelProto:
    """The model with its own functions put in the place of their calls, as PyTorch's exporter writes them."""
    from onnx import inliner

    limits.check_nodes(inlined_nodes(model))
    return inliner.inline_local_functions(model) if model.functions else model


def inlined_nodes(model: ModelProto) -> int:
    """How many nodes a model has when all calls of its functions are put in their place: they may call each other."""
    bodies = {(function.domain, function.name): function.node for function in model.functions}
    counts: dict[tuple[str, str], int] = {}

    def count(nodes: Iterable[NodeProto], depth: int) -> int:
        total = 0
        for node in nodes:
            key = (node.domain, node.op_type)
            if key in bodies and key not in counts:
                counts[key] = limits.NODES + 1  # while it is open: a function that calls itself has no end
                if depth > 100:
                    continue
                counts[key] = count(bodies[key], depth + 1)
            total += counts.get(key, 1)
        return total

    return count(model.graph.node, 0)
