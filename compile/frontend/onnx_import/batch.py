"""A symbolic batch is one: `batch` in the first place of inputs and outputs is bound before anything else looks.

A step takes one frame, so the name that stands first in the frame's shape can mean nothing else. Any other symbolic
extent is a size that the file leaves open, which only its author knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tsm_edge.errors import ImportFailed

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto


def bind(model: ModelProto) -> ModelProto:
    """Return a ModelProto whose symbolic first extents are 1, wherever their names occur.

    Inputs of one dimension keep theirs: `[classes]` is no batch. Extents without any name are bound in inputs alone.
    """
    import onnx

    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    firsts = [dims[0] for dims in map(dimensions, inputs) if len(dims) > 1 and is_open(dims[0])]
    if not firsts:
        return model
    names = {dim.dim_param for dim in firsts if dim.HasField("dim_param")}
    bound = onnx.ModelProto()
    bound.CopyFrom(model)
    for value in bound.graph.input:
        dims = dimensions(value)
        if value.name not in weights and len(dims) > 1 and is_open(dims[0]):
            dims[0].dim_value = 1
    for value in (*bound.graph.input, *bound.graph.output):
        for dim in dimensions(value):
            if dim.HasField("dim_param") and dim.dim_param in names:
                dim.dim_value = 1
    for value in bound.graph.output:  # other exporters write another name for the batch of each output
        dims = dimensions(value)
        if len(dims) > 1 and is_open(dims[0]):
            dims[0].dim_value = 1
    del bound.graph.value_info[:]  # what the file says of inner values holds the symbols still
    return bound


def dimensions(value: ValueInfoProto) -> Any:
    """The dimensions of a tensor value; empty for a scalar, another type or an unknown rank."""
    return value.type.tensor_type.shape.dim


def is_open(dim: Any) -> bool:
    """Whether an extent is a name, or missing, or not above zero (as older exporters write an open one)."""
    return not dim.HasField("dim_value") or dim.dim_value <= 0


def static_shape(value: ValueInfoProto) -> tuple[int, ...]:
    """The shape of an input or output; ImportFailed shows the names of extents that the file leaves open."""
    dims = [dim.dim_value if dim.HasField("dim_value") else dim.dim_param or "?" for dim in dimensions(value)]
    shape = tuple(dim for dim in dims if isinstance(dim, int) and dim > 0)
    if not dims or len(shape) != len(dims):
        raise ImportFailed(
            f"'{value.name}' has no static shape.",
            found=f"[{', '.join(map(str, dims))}]",
            allowed="fixed extents; a symbolic first one, the batch, is taken as 1",
            hint="export the network for one frame size, batch 1",
        )
    return shape
