"""ONNX files made ready for TVM's frontend: what their authors meant, or a refusal that names node, bound and cure.

The steps, each in a file of its own: the symbolic batch is bound to one (batch), older operator sets are raised
(opset), one walk (walk) folds constants under a memory limit (limits), rewrites forms that the frontend reads wrongly
or slowly (rewrites, resize, pools) and refuses what cannot be had (checks); then the frontend runs and every shape it
computes is compared with ONNX's own inference (frontend).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import batch, opset, walk
from .values import Values


@dataclass(frozen=True)
class Prepared:
    """An ONNX file as the frontend takes it: the ModelProto, its values' types and constants, the file's metadata."""

    model: Any
    values: Values
    metadata: dict[str, str]


def prepare(model: Any) -> Prepared:
    """Prepare a ModelProto that ONNX's checker accepts.

    Raises ImportFailed: a node that cannot be had, a value that is too large, a set of operators that is too old.
    """
    prepared, values = walk.run(opset.raised(inlined(batch.bind(model))))
    return Prepared(prepared, values, {entry.key: entry.value for entry in model.metadata_props})


def inlined(model: Any) -> Any:
    """The model with its own functions put in the place of their calls, as PyTorch's exporter writes them."""
    from onnx import inliner

    return inliner.inline_local_functions(model) if model.functions else model
