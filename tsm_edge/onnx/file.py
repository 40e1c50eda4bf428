"""A model of ours as an ONNX file, written from its description.

Inputs "frame", "cache0" and on; outputs "logits", "cache0_out" and on; static shapes, float32. Nodes carry the names
of the layers. Batch norms are folded into their convolutions in float64. No exporter traces anything, so the bytes
depend on the model and its weights only: no paths, no dates, no versions of torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..files import atomic
from ..models import Model
from ..models.clips import ClipModel
from .clips import ClipWriter
from .graph import GraphWriter
from .meta import OnnxMeta

OPSET = 18
IR_VERSION = 8  # what belongs to opset 18: older readers refuse a newer one


def onnx_model(model: Model | ClipModel, weights: Mapping[str, np.ndarray], meta: OnnxMeta) -> Any:
    """Return the checked ``onnx.ModelProto`` of one step.

    weights: float32 arrays by state_dict key; ``num_batches_tracked`` is not needed.
    """
    import onnx
    from onnx import helper

    signature = model.signature
    if isinstance(model, ClipModel):
        writer: GraphWriter = ClipWriter(weights)
    else:
        writer = GraphWriter(weights, [pair.input.name for pair in signature.states])
    writer.write(model)
    graph = helper.make_graph(
        writer.nodes,
        model.name,
        [
            _value(spec.name, spec.shape)
            for spec in (*signature.inputs, *(pair.input for pair in signature.states))
        ],
        [
            *(_value(spec.name, spec.shape) for spec in signature.outputs),
            *(_value(pair.output_name, pair.input.shape) for pair in signature.states),
        ],
        writer.constants,
    )
    proto = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="tsm-edge",
    )
    helper.set_model_props(proto, meta.to_props())
    onnx.checker.check_model(proto, full_check=True)
    return proto


def write(path: str | Path, proto: Any) -> int:
    """Write a ModelProto and return its size in bytes; an existing file stays whole until the new one is complete.

    Raises:
        OutputError: the file cannot be written.
    """
    data: bytes = proto.SerializeToString(deterministic=True)
    atomic.write_bytes(path, data)
    return len(data)


def _value(name: str, shape: tuple[int, ...]) -> Any:
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
