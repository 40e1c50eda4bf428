"""Small ONNX files for tests, and their step by ONNX's own evaluator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

Shapes = Mapping[str, Sequence["int | str"]]


def save(
    path: Path,
    nodes: Sequence[NodeProto],
    inputs: Shapes,
    outputs: Shapes,
    constants: Mapping[str, np.ndarray],
    metadata: Mapping[str, str] | None = None,
    opset: int = 18,
) -> Path:
    """Write a file of float32 inputs and outputs; an extent may be a name."""

    def infos(shapes: Shapes) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()
        ]

    arrays = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    graph = helper.make_graph(list(nodes), "net", infos(inputs), infos(outputs), arrays)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    helper.set_model_props(model, dict(metadata or {}))
    onnx.save(model, str(path))
    return path


def step_of(path: Path) -> Callable[..., list[np.ndarray]]:
    """The step `(inputs in the file's order) -> outputs in the file's order`."""
    model = onnx.load(str(path))
    evaluator = ReferenceEvaluator(model)
    names = [value.name for value in model.graph.input]
    return lambda *values: evaluator.run(None, dict(zip(names, values, strict=True)))


def runtime_step_of(path: Path) -> Callable[..., list[np.ndarray]]:
    """The same by ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return lambda *values: list(session.run(None, dict(zip(names, values, strict=True))))
