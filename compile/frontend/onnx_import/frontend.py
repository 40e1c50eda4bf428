"""TVM's ONNX frontend, driven node by node: its errors in words, and every shape compared with ONNX's own.

A frontend that misreads an attribute mostly computes another shape somewhere, even where the network's results have
the right one (a pool between may hide it).
"""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import TYPE_CHECKING, Any

from tsm_edge.errors import ImportFailed

from .values import Values, label

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto


def import_model(model: ModelProto, values: Values) -> Any:
    """Return a Relax module of a prepared model; its parameters are the graph's inputs, in order.

    Raises ImportFailed with the node that the frontend could not read, or read as something of another shape.
    """
    from tvm.relax.frontend.onnx.onnx_frontend import ONNXGraphImporter

    from .opset import version_of

    current: list[NodeProto] = []

    class Importer(ONNXGraphImporter):  # type: ignore[misc]  # TVM has no types
        """Remembers the node that is being read."""

        def _convert_operator(self, op_name: str, inputs: Any, attrs: dict[str, Any], opset: int) -> Any:
            current[:] = [attrs["tvm_custom"]["name"], op_name]
            return super()._convert_operator(op_name, inputs, attrs, opset)

    importer = Importer({}, "float32", keep_params_in_input=False)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of names that it changes
            module = importer.from_onnx(model.graph, version_of(model))
    except Exception as error:  # the frontend raises anything from assertion to AttributeError
        with contextlib.suppress(Exception):  # TVM writes a warning for every block that stays open
            while True:
                importer.bb._end_block()
        raise unreadable(current, error) from error
    compare(model, values, importer._nodes)
    return module


def unreadable(current: list[NodeProto], error: Exception) -> ImportFailed:
    """What the frontend raised, with the node it was at."""
    name, operator = current or ["?", "?"]
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    return ImportFailed(
        f"Node '{name}' ({operator}) is in a form that TVM's ONNX frontend does not read.",
        found=f"{type(error).__name__}: {lines[0] if lines else ''}"[:300],
        allowed="the forms in docs/onnx.md",
        hint="replace it in the network, or compute it outside",
    )


def compare(model: ModelProto, values: Values, expressions: dict[str, Any]) -> None:
    """Every value must have the shape that ONNX infers for it."""
    for node in model.graph.node:
        for name in node.output:
            if not name or name not in values.types:
                continue
            wanted, kind = values.shape(name), getattr(expressions.get(name), "ty", None)
            shape = getattr(kind, "shape", None)
            if shape is None:
                continue
            try:
                found = tuple(int(extent) for extent in shape)
            except (TypeError, ValueError):
                found = ()
            if found != wanted:
                raise ImportFailed(
                    f"Node '{label(node)}' ({node.op_type}) is read otherwise than ONNX defines it.",
                    found=f"'{name}' as {list(found) or str(shape)}",
                    allowed=f"{list(wanted)}, which ONNX infers",
                    hint="write it with explicit pads and sizes, or replace it in the network",
                )
