"""Reading and writing single ONNX nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .values import Values, label

if TYPE_CHECKING:
    from onnx import NodeProto

Attributes = dict[str, Any]  # an attribute is a number, a text, a tensor, a graph, or a list of one of them


def attributes(node: NodeProto) -> Attributes:
    """Attributes by name; texts as str."""
    from onnx import helper

    found = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in found.items()}


def inputs(node: NodeProto, count: int) -> list[str]:
    """The first `count` inputs; empty for those that are left out."""
    return [*node.input, *[""] * count][:count]


def without(node: NodeProto, *names: str) -> NodeProto:
    """A copy of a node without some attributes."""
    import onnx

    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    del copy.attribute[:]
    copy.attribute.extend(attribute for attribute in node.attribute if attribute.name not in names)
    return copy


def with_attributes(node: NodeProto, **values: Any) -> NodeProto:
    """A copy of a node with some attributes set."""
    from onnx import helper

    copy = without(node, *values)
    copy.attribute.extend(helper.make_attribute(name, value) for name, value in values.items())
    return copy


def with_inputs(node: NodeProto, names: list[str]) -> NodeProto:
    """A copy of a node with other inputs."""
    copy = without(node)
    copy.input[:] = names
    return copy


class Builder:
    """Nodes in the place of one: they bear its name with a number, so that messages still point to it."""

    def __init__(self, node: NodeProto, values: Values) -> None:
        self.node = node
        self.values = values
        self.nodes: list[NodeProto] = []

    def constant(self, array: Any, dtype: Any = np.float32) -> str:
        """A constant of the given dtype."""
        return self.values.new_constant(f"{label(self.node)}.constant", np.asarray(array, dtype))

    def add(self, operator: str, *names: str, output: str = "", **attrs: Any) -> str:
        """Append a node and return its output's name."""
        from onnx import helper

        output = output or self.values.fresh(f"{self.node.output[0]}.part")
        name = f"{label(self.node)}.{len(self.nodes)}" if self.nodes else label(self.node)
        self.nodes.append(helper.make_node(operator, list(names), [output], name, **attrs))
        return output

    def reshape(self, value: str, shape: tuple[int, ...], output: str = "") -> str:
        """A reshape to a static shape."""
        return self.add("Reshape", value, self.constant(shape, np.int64), output=output)

    def end(self, value: str) -> list[NodeProto]:
        """The nodes; the node's first output is `value`."""
        self.add("Identity", value, output=self.node.output[0])
        return self.nodes
