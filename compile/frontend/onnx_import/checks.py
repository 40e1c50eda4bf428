"""Unsupported forms of ONNX operators: condition, what is allowed, the cure. `docs/onnx.md` is generated from CHECKS.

Each was found by ONNX's own node cases: TVM's frontend reads the form as another one, or has no kernel for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tsm_edge.errors import ImportFailed

from .definitions import frontend_operators
from .forms import drops
from .nodes import attributes
from .values import Values, label, refusal

if TYPE_CHECKING:
    from onnx import NodeProto

Finder = Callable[["NodeProto", Values], "object | None"]  # what was found, or None where the form is fine


@dataclass(frozen=True)
class Check:
    """One refusal. form: when it holds; allowed: what would be read; cure: what the author of the network can do."""

    operators: tuple[str, ...]
    form: str
    allowed: str
    cure: str
    finds: Finder


def check(node: NodeProto, values: Values) -> None:
    """ImportFailed for a node of an unsupported form."""
    if node.domain not in ("", "ai.onnx") or node.op_type not in frontend_operators():
        raise ImportFailed(
            f"Operator '{node.op_type}' of node '{label(node)}' is not supported.",
            found=f"{node.domain or 'ai.onnx'}.{node.op_type}",
            allowed="operators of TVM's ONNX frontend, and those that ONNX defines by them",
            hint=CURES.get(node.op_type, "replace it in the network, or compute it outside"),
        )
    for entry in TABLE.get(node.op_type, ()):
        found = entry.finds(node, values)
        if found is not None:
            raise refusal(node, f"cannot be had: {entry.form}", found, entry.allowed, entry.cure)


def always(node: NodeProto, values: Values) -> object | None:
    return str(node.op_type)


def attribute(name: str, wrong: object, default: object = None) -> Finder:
    """Finds one value of an attribute."""

    def finds(node: NodeProto, values: Values) -> object | None:
        return f"{name}={wrong}" if attributes(node).get(name, default) == wrong else None

    return finds


def training_dropout(node: NodeProto, values: Values) -> object | None:
    return "training_mode=1" if drops(node, values) else None


def second_output(node: NodeProto, values: Values) -> object | None:
    return "a second output" if len([name for name in node.output if name]) > 1 else None


def integer_power(node: NodeProto, values: Values) -> object | None:
    return "an integer base" if values.dtype(node.input[0]) not in (1, 10, 11) else None


def quantised(node: NodeProto, values: Values) -> object | None:
    """Another storage type than 8 bits, or scales for blocks."""
    from onnx import TensorProto

    allowed = (TensorProto.INT8, TensorProto.UINT8, TensorProto.INT32)
    dequantize = node.op_type == "DequantizeLinear"
    kind = attributes(node).get("output_dtype", 0)
    if dequantize:
        kind = values.dtype(node.input[0])
    elif len(node.input) > 2 and node.input[2]:
        kind = values.dtype(node.input[2])
    if kind and kind not in allowed:
        return str(TensorProto.DataType.Name(kind)).lower()
    return "block_size" if attributes(node).get("block_size", 0) else None


#: operators with random results
DRAWN = (
    "RandomNormal",
    "RandomUniform",
    "RandomNormalLike",
    "RandomUniformLike",
    "Multinomial",
    "Bernoulli",
)
#: what the author of a network can do about operators that are not supported at all
CURES = {
    **dict.fromkeys(
        (
            "QLinearConv",
            "QLinearMatMul",
            "QLinearAdd",
            "QLinearMul",
            "QLinearConcat",
            "QLinearAveragePool",
            "QLinearGlobalAveragePool",
            "QLinearLeakyRelu",
            "QLinearSigmoid",
            "QLinearSoftmax",
            "QGemm",
        ),
        "export the quantised network in QDQ form (QuantizeLinear and DequantizeLinear), or in float32",
    ),
    **dict.fromkeys(
        ("RNN", "GRU", "LSTM"),
        "write one time step with MatMul, Sigmoid and Tanh, and make its hidden values states",
    ),
    **dict.fromkeys(
        ("QuantizeLinear", "DequantizeLinear", "MatMulNBits"),  # those of other domains than ONNX's
        "quantise to 8 bits with ONNX's own QuantizeLinear and DequantizeLinear, or export in float32",
    ),
    **dict.fromkeys(("Loop", "Scan"), "export one frame without loops; what is carried over becomes a state"),
    **dict.fromkeys(
        DRAWN,
        "call model.eval() before the export: a step computes the same scores for the same frame",
    ),
}
SHUFFLES = "compute it outside, or write it as Where or Concat of fixed parts"
CHECKS = (
    Check(("BatchNormalization",), "it trains", "training_mode=0",
          "call model.eval() before the export", attribute("training_mode", 1)),
    Check(("Dropout",), "it trains", "training_mode=false, or none",
          "call model.eval() before the export", training_dropout),
    Check(("MaxPool",), "indices are requested", "one output",
          "leave the second output out", second_output),
    Check(("Scatter", "ScatterElements", "ScatterND", "MaxUnpool"), "no kernel writes to computed places",
          "operators without scattered writes", SHUFFLES, always),
    Check(("TopK",), "no kernel sorts", "ArgMax, ReduceMax", "give all scores out and sort them outside", always),
    Check(("Pow",), "no kernel raises integers", "a float base", "cast the base to float32", integer_power),
    Check(("Attention",), "ONNX's definition of it cannot be put in its place",
          "the forms that ONNX defines by other operators", "export with opset_version=22 or older", always),
    Check(("LayerNormalization",), "mean and deviation are requested", "one output",
          "leave them out, or compute them with ReduceMean", second_output),
    Check(("RoiAlign",), "maxima of bilinear samples", "mode=avg", "use mode='avg'", attribute("mode", "max", "avg")),
    Check(("QuantizeLinear", "DequantizeLinear"), "a storage type other than 8 bits", "int8, uint8",
          "quantise to 8 bits, or export in float32", quantised),
)  # fmt: skip
TABLE: dict[str, list[Check]] = {}
for _entry in CHECKS:
    for _operator in _entry.operators:
        TABLE.setdefault(_operator, []).append(_entry)
