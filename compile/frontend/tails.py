"""The kind of scores of an ONNX file: logits, or the output of its last Softmax, LogSoftmax or Sigmoid.

A decision over time averages probabilities. It takes the softmax of raw scores; of scores that are probabilities
already it would flatten them: of 27 classes a certain one would show as 9 %.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

Shape = Callable[[str], "tuple[int, ...] | None"]  # the shape of a value, None where it is not known

#: kind of scores -> why, for the user
WHY = {
    "logits": "no Softmax over the classes and no Sigmoid ends the network",
    "probabilities": "by the Softmax that ends the network",
    "log-probabilities": "by the LogSoftmax that ends the network",
    "sigmoid": "by the Sigmoid that ends the network: each class has a probability of its own",
}
#: operators that only write the same list in another form, as long as it has one extent above 1
PASSING = {
    "Flatten", "Identity", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "Reshape", "Squeeze",
    "Transpose", "Unsqueeze",
}  # fmt: skip


def scores_kind(model: ModelProto, output: str, shape: Shape) -> str:
    """Return which of `tsm_edge.decision.SCORES` the value `output` of a ModelProto is.

    A Softmax counts only over the classes: along the one extent above 1, alone.
    """
    makers = {name: node for node in model.graph.node for name in node.output}
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=1)
    node = maker(makers, output, shape)
    if node is None:
        return "logits"
    if node.op_type == "Sigmoid":
        return "sigmoid"
    if node.op_type in ("Softmax", "LogSoftmax"):
        over = over_classes(node, shape(node.input[0]), opset)
        return "logits" if not over else "probabilities" if node.op_type == "Softmax" else "log-probabilities"
    before = maker(makers, node.input[0], shape) if node.op_type in ("Log", "Exp") else None
    inner = {"Log": ("Softmax", "log-probabilities"), "Exp": ("LogSoftmax", "probabilities")}.get(
        node.op_type
    )
    if before is not None and inner is not None and before.op_type == inner[0]:
        return inner[1] if over_classes(before, shape(before.input[0]), opset) else "logits"
    return "logits"


def maker(makers: dict[str, NodeProto], name: str, shape: Shape) -> NodeProto | None:
    """The node that computes a list, behind those that only give it another form; None for an input."""
    while True:
        node = makers.get(name)
        if node is None or node.op_type not in PASSING or node.domain not in ("", "ai.onnx"):
            return node
        before, after = shape(node.input[0]), shape(name)
        if (
            before is None
            or after is None
            or prod(before) != prod(after)
            or prod(after) != max(after, default=1)
        ):
            return node
        name = node.input[0]


def over_classes(node: NodeProto, shape: tuple[int, ...] | None, opset: int) -> bool:
    """Whether a Softmax or LogSoftmax takes its sum over all values of its input, which are the classes."""
    if not shape:
        return False
    given = [attribute.i for attribute in node.attribute if attribute.name == "axis"]
    axis = (given[0] if given else -1 if opset >= 13 else 1) % len(shape)
    summed = (
        shape[axis : axis + 1] if opset >= 13 else shape[axis:]
    )  # before, all axes from this one on are one
    return prod(summed) == prod(shape)
