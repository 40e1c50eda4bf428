"""The values of an ONNX graph: shapes, dtypes, and the contents of constants."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from tsm_edge.errors import ImportFailed

from . import limits

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TypeProto

INFERRED = 4096  # elements of a constant whose contents shape inference may need: axes, sizes, pads


class Values:
    """Types of all values and arrays of the constants; `types` are ONNX TypeProtos of tensors with static shapes."""

    def __init__(self, opsets: Iterable[OperatorSetIdProto], ir_version: int) -> None:
        self.opsets = list(opsets)
        self.ir_version = ir_version
        self.types: dict[str, TypeProto] = {}
        self.tensors: dict[str, TensorProto] = {}  # constants as TensorProtos
        self.arrays: dict[str, np.ndarray] = {}  # those that were decoded
        self.in_file = 0  # bytes of the file's own constants
        self.folded = 0  # bytes of those that are computed
        self.count = 0

    def add_tensor(self, tensor: TensorProto) -> None:
        """Register an initializer of the file."""
        from onnx import helper

        self.tensors[tensor.name] = tensor
        self.types[tensor.name] = helper.make_tensor_type_proto(tensor.data_type, list(tensor.dims))

    def add_constant(self, name: str, array: np.ndarray) -> str:
        """Register a constant that was computed, and return its name."""
        from onnx import numpy_helper

        array = np.ascontiguousarray(array) if array.ndim else array
        self.reserve(name, array.shape, array.itemsize)
        self.add_tensor(numpy_helper.from_array(array, name))
        self.arrays[name] = array
        return name

    def reserve(self, name: str, shape: tuple[int, ...], itemsize: int) -> None:
        """Count the bytes of a constant that will be computed; ImportFailed above the limits."""
        size = limits.check_tensor(f"Constant '{name}'", shape, itemsize)
        limits.check_folded(self.folded + size, self.in_file)
        self.folded += size

    def new_constant(self, hint: str, array: np.ndarray) -> str:
        """Register a constant under a name of its own."""
        return self.add_constant(self.fresh(hint), array)

    def fresh(self, hint: str) -> str:
        """A fresh name, unused in the file."""
        while True:
            self.count += 1
            name = f"{hint}.{self.count}"
            if name not in self.types:
                return name

    def is_constant(self, name: str) -> bool:
        return name in self.tensors

    def array(self, name: str) -> np.ndarray | None:
        """The contents of a constant; None for other values and for an input that is left out."""
        from onnx import numpy_helper

        if name not in self.tensors:
            return None
        if name not in self.arrays:
            self.arrays[name] = numpy_helper.to_array(self.tensors[name])
        return self.arrays[name]

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a value."""
        return tuple(dim.dim_value for dim in self.types[name].tensor_type.shape.dim)

    def known_shape(self, name: str) -> tuple[int, ...] | None:
        """The shape of a value; None for a name that nothing computes."""
        return self.shape(name) if name in self.types else None

    def dtype(self, name: str) -> int:
        """The element type of a value, an ONNX enumerator."""
        return int(self.types[name].tensor_type.elem_type)

    def infer(self, node: NodeProto) -> dict[str, TypeProto]:
        """Types of a node's outputs, by ONNX's shape inference over this node alone.

        Raises ImportFailed where an output has no static shape, or a larger one than limits.py allows.
        """
        model = self.alone(node, [name for name in node.output if name])
        inferred = infer_shapes(model, node)
        found = {value.name: value.type for value in inferred.graph.output}
        if node.op_type == "GroupNormalization" and not found[node.output[0]].tensor_type.HasField("shape"):
            found[node.output[0]] = self.types[node.input[0]]  # which ONNX does not infer
        for name, kind in found.items():
            self.check(node, name, kind)
        return found

    def alone(self, node: NodeProto, outputs: list[str], limit: int = INFERRED) -> ModelProto:
        """A model of one node; constants of up to `limit` elements are given as such, all others by their types."""
        from onnx import helper

        small, inputs = [], []
        for name in dict.fromkeys(name for name in node.input if name):
            if name not in self.types:
                raise refusal(node, "reads a value that no node before it computes", name, "values in order")
            if name in self.tensors and np.prod(self.tensors[name].dims, dtype=object) <= limit:
                small.append(self.tensors[name])
            else:
                inputs.append(helper.make_value_info(name, self.types[name]))
        results = [helper.make_empty_tensor_value_info(name) for name in outputs]
        graph = helper.make_graph([node], "node", inputs, results, small)
        return helper.make_model(graph, opset_imports=self.opsets, ir_version=self.ir_version)

    def check(self, node: NodeProto, name: str, kind: TypeProto) -> None:
        """One output must be a tensor of a known, allowed size."""
        from onnx import helper

        which = kind.WhichOneof("value")
        if which is not None and which != "tensor_type":
            raise refusal(node, f"gives a {which.removesuffix('_type')}, no tensor", which, "tensors")
        tensor = kind.tensor_type
        dims = tensor.shape.dim
        if not tensor.HasField("shape") or any(not dim.HasField("dim_value") for dim in dims):
            shape = [dim.dim_value if dim.HasField("dim_value") else "?" for dim in dims]
            raise refusal(
                node,
                "gives a value whose size depends on the frame",
                str(shape) if tensor.HasField("shape") else "no shape",
                "sizes that follow from the shape of the frame",
                "compute it outside, or export the network for one frame size",
            )
        itemsize = helper.tensor_dtype_to_np_dtype(tensor.elem_type).itemsize if tensor.elem_type else 4
        limits.check_tensor(
            f"Value '{name}' of node '{label(node)}' ({node.op_type})",
            tuple(dim.dim_value for dim in dims),
            itemsize,
        )


def infer_shapes(model: ModelProto, node: NodeProto) -> ModelProto:
    """ONNX's shape inference over one node; ImportFailed in its words."""
    from onnx import shape_inference

    try:
        return shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except Exception as error:  # InferenceError, and others for a schema that is not there
        lines = [line for line in str(error).strip().splitlines() if line] or [type(error).__name__]
        raise refusal(
            node, "is not valid", lines[-1][:200], "inputs and attributes as ONNX defines the operator"
        ) from error


def label(node: NodeProto) -> str:
    """The name of a node in messages and reports."""
    return str(node.name or next(filter(None, node.output), node.op_type))


def refusal(node: NodeProto, why: str, found: object, allowed: str, hint: str | None = None) -> ImportFailed:
    """An error about one node."""
    return ImportFailed(
        f"Node '{label(node)}' ({node.op_type}) {why}.",
        found=found,
        allowed=allowed,
        hint=hint or "replace it in the network, or compute it outside",
    )
