"""One pass over an ONNX graph in execution order: constant folding, rewrites of known forms, refusals.

Every node sees the static shapes of its inputs and the contents of its constants, whatever the file says of inner
values. What shape computations leave (Shape, Gather, Slice, Concat, Cast, ConstantOfShape of older exporters) is
constant here and vanishes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from tsm_edge.errors import ImportFailed

from . import batch, checks, limits, rewrites
from .values import Values, label, refusal

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto

#: operators whose further outputs may be omitted when they have no reader
OPTIONAL_OUTPUTS = {"BatchNormalization", "Dropout", "LayerNormalization", "MaxPool"}


def run(model: ModelProto) -> tuple[ModelProto, Values]:
    """Return the prepared ModelProto and what is known of its values.

    Raises ImportFailed with the node, what it holds, what is allowed and the cure.
    """
    import onnx

    walk = _Walk(model)
    walk.nodes(model.graph.node)
    for value in walk.shell.graph.output:
        settle(value, walk.values)
    prepared = onnx.ModelProto()
    prepared.CopyFrom(walk.shell)
    prepared.graph.node.extend(walk.kept)
    used = {name for node in walk.kept for name in node.input} | {value.name for value in model.graph.output}
    prepared.graph.initializer.extend(tensor for name, tensor in walk.values.tensors.items() if name in used)
    return prepared, walk.values


def names_read(graph: GraphProto) -> Iterator[str]:
    """The names that the nodes of a graph read, those of branches among them."""
    for node in graph.node:
        yield from node.input
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from names_read(attribute.g)
                yield from (value.name for value in attribute.g.output)


def settle(output: ValueInfoProto, values: Values) -> None:
    """Give an output of the network the shape that was inferred; ImportFailed where it declares another one."""
    declared = output.type.tensor_type
    if output.name not in values.types:
        raise ImportFailed(
            f"Output '{output.name}' is computed by no node.",
            found=output.name,
            allowed="results of nodes",
            hint="export the network again",
        )
    inferred = values.types[output.name].tensor_type
    known = [dim.dim_value if dim.HasField("dim_value") else None for dim in declared.shape.dim]
    shape = [dim.dim_value for dim in inferred.shape.dim]
    differs = len(known) != len(shape) or any(a not in (None, b) for a, b in zip(known, shape))
    if declared.HasField("shape") and differs:
        raise ImportFailed(
            f"Output '{output.name}' has another shape than the file declares.",
            found=str(shape),
            allowed=f"{['?' if extent is None else extent for extent in known]}, as declared",
            hint="export the network again for one frame size",
        )
    output.type.CopyFrom(values.types[output.name])


class _Walk:
    """The state of one walk."""

    def __init__(self, model: ModelProto) -> None:
        import onnx

        self.values = Values(model.opset_import, model.ir_version)
        self.kept: list[NodeProto] = []
        self.count = 0
        self.renamed: dict[str, str] = {}  # results of Identity and the like -> what they repeat
        self.results = {value.name for value in model.graph.output}
        self.read = self.results.union(names_read(model.graph))
        graph = model.graph
        for tensor in graph.initializer:
            self.values.add_tensor(tensor)
        self.values.in_file = sum(tensor.ByteSize() for tensor in graph.initializer)
        inputs = [value for value in graph.input if value.name not in self.values.tensors]
        for value in inputs:
            batch.static_shape(value)
            self.values.types[value.name] = value.type
        self.shell = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
        self.shell.graph.name = graph.name or "net"
        self.shell.graph.input.extend(inputs)
        self.shell.graph.output.extend(graph.output)

    def nodes(self, nodes: Iterable[NodeProto]) -> None:
        """Walk a list of nodes in execution order."""
        for node in nodes:
            self.node(node)

    def node(self, node: NodeProto) -> None:
        """One node of the file, or one that a rewrite made."""
        import onnx

        self.count += 1
        limits.check_nodes(self.count)
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        node = copy
        node.name = label(node)
        for index, name in enumerate(node.input):
            node.input[index] = self.renamed.get(name, name)
        if node.op_type in OPTIONAL_OUTPUTS:
            wanted = [
                name if index == 0 or name in self.read else "" for index, name in enumerate(node.output)
            ]
            while not wanted[-1]:
                wanted.pop()
            node.output[:] = wanted
        branch = self.branch(node)
        if branch is not None:
            self.inline(node, branch)
            return
        replaced = rewrites.rewrite(node, self.values)
        if replaced is not None:
            self.nodes(replaced)
        elif self.repeats(node):
            self.renamed[node.output[0]] = node.input[0]
        elif not self.fold(node):
            checks.check(node, self.values)
            self.values.types.update(self.values.infer(node))
            self.kept.append(node)

    def repeats(self, node: NodeProto) -> bool:
        """Whether it is an Identity that is no result: its readers then read its input."""
        return node.op_type == "Identity" and node.output[0] not in self.results

    def branch(self, node: NodeProto) -> GraphProto | None:
        """The branch that an If with a constant condition takes; None for any other node."""
        if node.op_type != "If":
            return None
        condition = self.values.array(node.input[0])
        if condition is None or condition.size != 1:
            raise refusal(
                node,
                "decides while the network runs",
                "a condition that depends on the frame",
                "a straight list of operators",
                "export the network without control flow, for one frame size",
            )
        wanted = "then_branch" if bool(condition.reshape(())) else "else_branch"
        return next(attribute.g for attribute in node.attribute if attribute.name == wanted)

    def inline(self, node: NodeProto, branch: GraphProto) -> None:
        """Put the nodes of a branch in the place of its If; ONNX keeps its names apart from all others."""
        from onnx import helper

        for tensor in branch.initializer:
            self.values.add_tensor(tensor)
        self.nodes(branch.node)
        for value, name in zip(branch.output, node.output, strict=True):
            self.node(helper.make_node("Identity", [value.name], [name]))

    def fold(self, node: NodeProto) -> bool:
        """Compute a node whose inputs are all constant, or whose result is a shape."""
        arrays = shape_of(node, self.values)
        if arrays is None:
            if node.op_type in checks.DRAWN or not all(map(self.values.is_constant, filter(None, node.input))):
                return False
            if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
                return False
            arrays = self.evaluate(node)
        for name, array in zip(node.output, arrays):
            if name:
                self.values.add_constant(name, np.asarray(array))
        return True

    def evaluate(self, node: NodeProto) -> list[NodeProto]:
        """The outputs of a node of constants; their sizes are inferred and checked before anything is computed."""
        from onnx import helper
        from onnx.reference import ReferenceEvaluator

        for kind in self.values.infer(node).values():
            itemsize = helper.tensor_dtype_to_np_dtype(kind.tensor_type.elem_type).itemsize
            shape = tuple(dim.dim_value for dim in kind.tensor_type.shape.dim)
            limits.check_folded(self.values.folded + prod(shape) * itemsize, self.values.in_file)
        names = [name for name in node.input if name]
        model = self.values.alone(node, [name for name in node.output if name])
        try:
            with np.errstate(all="ignore"):
                results = ReferenceEvaluator(model).run(None, {n: self.values.array(n) for n in names})
        except Exception as error:  # the evaluator raises whatever numpy raises
            raise refusal(
                node, "cannot be computed", f"{type(error).__name__}: {error}"[:200], "constants that fit it"
            ) from error
        found = iter(results)
        return [next(found) if name else None for name in node.output]


def shape_of(node: NodeProto, values: Values) -> list[np.ndarray] | None:
    """The result of Shape and Size, which are constant where shapes are static; None for other nodes."""
    if node.op_type not in ("Shape", "Size"):
        return None
    shape = values.shape(node.input[0])
    if node.op_type == "Size":
        return [np.array(int(np.prod(shape, dtype=object)), np.int64)]
    attributes = {attribute.name: attribute.i for attribute in node.attribute}
    return [np.array(shape[attributes.get("start", 0) : attributes.get("end", len(shape))], np.int64)]
