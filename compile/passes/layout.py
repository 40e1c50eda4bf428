"""Layout: transposes between NHWC values and operators without a schedule, which are defined on NCHW.

4-D values are stored NHWC. Elementwise operators accept either layout; any other opaque operator gets transposes before
its inputs and after its outputs. Adjacent inverse transposes cancel.
"""

from __future__ import annotations

from ..ir.graph import Graph, Node
from ..ir.ops import Alias, Conv, Copy, GlobalPool, Join, MaxPool, OverFrames, Transpose

SCHEDULED = Conv | GlobalPool | MaxPool | Copy | Join | Transpose | Alias | OverFrames
ELEMENTWISE = {
    f"relax.{name}"
    for name in (
        "add",
        "subtract",
        "multiply",
        "divide",
        "maximum",
        "minimum",
        "clip",
        "negative",
        "abs",
        "exp",
        "sqrt",
        "sigmoid",
        "tanh",
        "sin",
        "cos",
        "rsqrt",
        "square",
        "power",
        "nn.relu",
        "nn.relu6",
        "nn.silu",
        "nn.gelu",
        "nn.leakyrelu",
        "nn.softplus",
        "hardswish",
        "erf",
        "floor",
        "ceil",
        "round",
        "nn.dropout",
    )
}


def run(graph: Graph) -> None:
    """Insert the transposes, then cancel pairs."""
    for node in list(graph.nodes):
        if not isinstance(node.op, SCHEDULED) and not free(graph, node):
            surround(graph, node)
    cancel(graph)


def free(graph: Graph, node: Node) -> bool:
    """Whether the operator computes the same bytes in either layout."""
    tensors = [*node.inputs, *node.outputs]
    if not any(map(graph.nhwc, tensors)):
        return True
    whole = graph.shape(node.output)
    alike = (
        graph.constants[name].size == 1
        if name in graph.constants
        else graph.nhwc(name) and graph.shape(name) == whole
        for name in tensors
    )
    return node.operator in ELEMENTWISE and all(alike)


def surround(graph: Graph, node: Node) -> None:
    """Transpose what goes in and what comes out."""
    for value in dict.fromkeys(node.inputs):
        if not graph.nhwc(value):
            continue
        _, channels, height, width = graph.shape(value)
        view = f"{value}_nchw_{node.output}"
        graph.values[view] = graph.values[value]
        transpose = Node(Transpose(height * width, channels), [value], [view], layer="layout")
        graph.nodes.insert(graph.nodes.index(node), transpose)
        node.inputs = [view if name == value else name for name in node.inputs]
    for value in list(node.outputs):
        if not graph.nhwc(value):
            continue
        _, channels, height, width = graph.shape(value)
        raw = f"{value}_nchw"
        graph.values[raw] = graph.values[value]
        node.outputs[node.outputs.index(value)] = raw
        transpose = Node(Transpose(channels, height * width), [raw], [value], layer="layout")
        graph.nodes.insert(graph.nodes.index(node) + 1, transpose)


def cancel(graph: Graph) -> None:
    """Remove transposes NCHW -> NHWC -> NCHW."""
    for node in list(graph.nodes):
        before = graph.producer(node.inputs[0]) if isinstance(node.op, Transpose) else None
        if before is None or not isinstance(before.op, Transpose) or not isinstance(node.op, Transpose):
            continue
        if before.op.rows == node.op.columns:
            graph.replace_value(node.output, before.inputs[0])
    graph.drop_dead()
