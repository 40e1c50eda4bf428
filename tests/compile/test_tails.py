"""What the scores of an ONNX file are is read from its last operations."""

from __future__ import annotations

from typing import Any

import onnx
import pytest
from onnx import parser, shape_inference

from tsm_edge.compile.frontend import tails


def kind(body: str, shape: str = "1,4", result: str = "1,4", opset: int = 18) -> str:
    """The kind of `scores`, computed by `body` from `x`."""
    head = f'<ir_version: 8, opset_import: ["" : {opset}]> net (float[{shape}] x) => (float[{result}] scores)'
    model = shape_inference.infer_shapes(parser.parse_model(f"{head} {{ {body} }}"), data_prop=True)
    onnx.checker.check_model(model)
    graph = model.graph
    shapes = {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in (*graph.input, *graph.output, *graph.value_info)
    }
    return tails.scores_kind(model, "scores", shapes.get)


SHAPE = "s = Constant <value_ints = [1, 4]> ()"
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "no tail": ("logits", {"body": "scores = Relu(x)"}),
    "softmax": ("probabilities", {"body": "scores = Softmax <axis = 1> (x)"}),
    "softmax, default axis": ("probabilities", {"body": "scores = Softmax(x)"}),
    "softmax, default axis before opset 13": ("probabilities", {"body": "scores = Softmax(x)", "opset": 12}),
    "softmax over the batch": ("logits", {"body": "scores = Softmax <axis = 0> (x)"}),
    "softmax of all from axis 0 on": ("probabilities", {"body": "scores = Softmax <axis = 0> (x)", "opset": 12}),
    "softmax over rows of two": (
        "logits", {"body": f"y = Softmax <axis = 1> (x) {SHAPE} scores = Reshape(y, s)", "shape": "2,2"}
    ),
    "softmax, then inside": ("logits", {"body": "y = Softmax(x) scores = Relu(y)"}),
    "softmax of a map of one pixel": (
        "probabilities", {"body": "y = Softmax <axis = 1> (x) scores = Flatten(y)", "shape": "1,4,1,1"}
    ),
    "softmax over the pixels": (
        "logits", {"body": "y = Softmax <axis = 3> (x) scores = Flatten(y)", "shape": "1,4,1,1"}
    ),
    "softmax, reshape, identity": (
        "probabilities",
        {"body": f"y = Softmax <axis = 2> (x) {SHAPE} z = Reshape(y, s) scores = Identity(z)", "shape": "1,1,4"},
    ),
    "softmax, mean of one segment": (
        "probabilities",
        {
            "body": "y = Softmax <axis = 2> (x) a = Constant <value_ints = [1]> () "
            "scores = ReduceMean <keepdims = 0> (y, a)",
            "shape": "1,1,4",
        },
    ),
    "softmax, mean of two segments": (
        "logits",
        {
            "body": "y = Softmax <axis = 2> (x) a = Constant <value_ints = [1]> () "
            "scores = ReduceMean <keepdims = 0> (y, a)",
            "shape": "1,2,4",
        },
    ),
    "log-softmax": ("log-probabilities", {"body": "scores = LogSoftmax <axis = -1> (x)"}),
    "log of softmax": ("log-probabilities", {"body": "y = Softmax(x) scores = Log(y)"}),
    "log of softmax over the batch": ("logits", {"body": "y = Softmax <axis = 0> (x) scores = Log(y)"}),
    "exp of log-softmax": ("probabilities", {"body": "y = LogSoftmax(x) scores = Exp(y)"}),
    "exp": ("logits", {"body": "scores = Exp(x)"}),
    "sigmoid": ("sigmoid", {"body": "scores = Sigmoid(x)"}),
    "sigmoid, squeeze": (
        "sigmoid",
        {
            "body": "y = Sigmoid(x) a = Constant <value_ints = [2, 3]> () scores = Squeeze(y, a)",
            "shape": "1,4,1,1",
        },
    ),
    "SiLU": ("logits", {"body": "y = Sigmoid(x) scores = Mul(x, y)"}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_kind(name: str) -> None:
    expected, model = CASES[name]
    assert kind(**model) == expected
