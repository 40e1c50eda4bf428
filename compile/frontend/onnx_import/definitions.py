"""Operators replaced by ONNX's own definition of them: those that TVM's frontend does not know, or takes for others."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .nodes import attributes, with_attributes
from .values import Values

if TYPE_CHECKING:
    from onnx import NodeProto


def frontend_operators() -> frozenset[str]:
    """The operators that TVM's frontend has a converter for."""
    from tvm.relax.frontend.onnx import onnx_frontend

    return frozenset(onnx_frontend._get_convert_map())


def normalises_all(node: NodeProto, values: Values) -> bool:
    """Whether a normalisation starts at the first axis."""
    axis = attributes(node).get("axis", -1)
    return bool(axis % max(1, len(values.shape(node.input[0]))) == 0)


#: in the frontend, but read as another operator of that name, or wrong where the condition holds
EXPANDED: dict[str, tuple[str, Callable[[NodeProto, Values], bool]]] = {
    "Attention": (
        "but for one with a causal mask that shows its products: programs differ in what hides them",
        lambda node, values: len(node.output) < 4 or not attributes(node).get("is_causal", 0),
    ),
    "LayerNormalization": (
        "with a second or third output, or over all axes",
        lambda node, values: len([name for name in node.output if name]) > 1 or normalises_all(node, values),
    ),
    "RMSNormalization": ("over all axes", normalises_all),
}


def wants_definition(node: NodeProto, values: Values) -> bool:
    """Whether a node is replaced by ONNX's own definition of its operator."""
    if node.op_type in EXPANDED:
        return EXPANDED[node.op_type][1](node, values)
    return node.op_type not in frontend_operators()


def expand(node: NodeProto, values: Values) -> list[NodeProto] | None:
    """The nodes of ONNX's definition; None for an operator that is not defined by others."""
    from onnx import inliner

    whole = with_defaults(node, values)
    model = values.alone(whole, [name for name in node.output if name], limit=-1)
    try:
        inlined = inliner.inline_selected_functions(model, [("", node.op_type)], inline_schema_functions=True)
    except Exception:  # its C++ raises RuntimeError for what it has no definition of
        return None
    if any(part.op_type == node.op_type for part in inlined.graph.node):
        return None
    outside = {*node.input, *node.output}
    names: dict[str, str] = {}
    for part in inlined.graph.node:
        for name in part.output:
            if name and name not in outside:
                names[name] = values.fresh(name)
    for part in inlined.graph.node:
        part.input[:] = [names.get(name, name) for name in part.input]
        part.output[:] = [names.get(name, name) for name in part.output]
        part.name = f"{node.name}.{part.op_type}"
    return list(inlined.graph.node)


def with_defaults(node: NodeProto, values: Values) -> NodeProto:
    """A node with every attribute that has a default, as a definition may read it; inputs left out at the end go."""
    import onnx

    version = max(entry.version for entry in values.opsets if entry.domain in ("", "ai.onnx"))
    try:
        schema = onnx.defs.get_schema(node.op_type, version)
    except onnx.defs.SchemaError:
        return node
    given = {attribute.name for attribute in node.attribute}
    whole = with_attributes(node)
    whole.attribute.extend(
        entry.default_value
        for name, entry in schema.attributes.items()
        if name not in given and entry.default_value.type
    )
    while whole.input and not whole.input[-1]:
        whole.input.pop()
    return whole
