"""A model of ours in ncnn's own format, written from its description: ncnn's wheel reads no ONNX.

The text of a ``.param`` file has one layer a line: type, name, numbers of inputs and outputs, their blobs, parameters
as ``id=value``. The ``.bin`` file holds the weights in the order of the layers; each weight array of a convolution or
inner product starts with four zero bytes (= float32). As pnnx does, activations are part of their convolution, a blob
with two readers goes through a Split layer, and batch norms are folded.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..errors import UsageError
from ..models import Model
from ..models.description import Block, Conv, Head, Pool
from ..onnx.graph import folded

MAGIC = 7767517
_FLOAT32 = b"\0\0\0\0"
_ACTIVATION = {"": "", "relu": "9=1", "relu6": "9=3 -23310=2,0.0,6.0"}
_GLOBAL_AVERAGE = "0=1 4=1"
_MAX_3X3_STRIDE_2 = "0=0 1=3 2=2 3=1 5=1"  # 5=1: sides round down, as torch does
_TO_THE_END = -233


def ncnn_files(model: Model, weights: Mapping[str, np.ndarray]) -> tuple[str, bytes]:
    """Return the texts of ``.param`` and the bytes of ``.bin``; weights: float32 arrays by state_dict key.

    Inputs "frame", "cache0" and on; outputs "logits", "cache0_out" and on, as in our ONNX files.
    """
    if model.window is not None:
        raise UsageError(
            "What is written for ncnn runs frame by frame.",
            found=f"a window of {model.window.frames} frames",
            allowed="--against onnxruntime,openvino,torch",
        )
    writer = _Writer(model, weights)
    writer.write()
    blobs = sum(len(outputs) for _, _, _, outputs, _ in writer.lines)
    lines = [str(MAGIC), f"{len(writer.lines)} {blobs}"]
    for kind, name, inputs, outputs, parameters in writer.lines:
        lines.append(
            " ".join([kind, name, str(len(inputs)), str(len(outputs)), *inputs, *outputs, parameters]).strip()
        )
    return "\n".join(lines) + "\n", b"".join(writer.data)


class _Writer:
    def __init__(self, model: Model, weights: Mapping[str, np.ndarray]) -> None:
        self.model = model
        self.weights = weights
        self.states = [pair.input for pair in model.signature.states]
        self.lines: list[tuple[str, str, tuple[str, ...], tuple[str, ...], str]] = []
        self.data: list[bytes] = []

    def write(self) -> None:
        for spec in (*self.model.signature.inputs, *self.states):
            _, channels, height, width = spec.shape
            self.layer("Input", spec.name, (), (spec.name,), f"0={width} 1={height} 2={channels}")
        value = "frame"
        for layer in self.model.layers:
            if isinstance(layer, Conv):
                value = self.conv(layer, value)
            elif isinstance(layer, Pool):
                value = self.layer("Pooling", "pool", (value,), ("pool",), _MAX_3X3_STRIDE_2)
            elif isinstance(layer, Block):
                value = self.block(layer, value)
            elif isinstance(layer, Head):
                self.head(layer, value)

    def layer(
        self, kind: str, name: str, inputs: tuple[str, ...], outputs: tuple[str, ...], parameters: str = ""
    ) -> str:
        self.lines.append((kind, name, inputs, outputs, parameters))
        return outputs[0]

    def block(self, block: Block, value: str) -> str:
        inside = passed = value
        if block.residual:
            inside, passed = f"{block.name}.inside", f"{block.name}.passed"
            self.layer("Split", f"{block.name}.split", (value,), (inside, passed))
        if block.shifted:
            inside = self.shift(block, inside)
        for conv in block.chain:
            inside = self.conv(conv, inside)
        if block.residual:
            if block.projection:
                passed = self.conv(block.projection, passed)
            inside = self.layer(
                "BinaryOp", f"{block.name}.add", (inside, passed), (f"{block.name}.sum",), "0=0"
            )
        if block.activation == "relu":
            inside = self.layer("ReLU", f"{block.name}.relu", (inside,), (f"{block.name}.out",))
        elif block.activation == "relu6":
            inside = self.layer(
                "Clip", f"{block.name}.relu6", (inside,), (f"{block.name}.out",), "0=0.0 1=6.0"
            )
        return inside

    def shift(self, block: Block, value: str) -> str:
        state = self.states.pop(0).name
        rest = f"{block.name}.rest"
        cuts = f"-23300=2,{block.fold},{_TO_THE_END} 1=0"
        self.layer("Slice", f"{block.name}.slice", (value,), (f"{state}_out", rest), cuts)
        return self.layer("Concat", f"{block.name}.shift", (state, rest), (f"{block.name}.shifted",), "0=0")

    def conv(self, conv: Conv, value: str) -> str:
        weight, bias = folded(conv, self.weights)
        facts = f"0={conv.outputs} 1={conv.kernel} 3={conv.stride} 4={conv.kernel // 2} 5=1 6={weight.size}"
        kind = "Convolution" if conv.groups == 1 else "ConvolutionDepthWise"
        group = f"7={conv.groups}" if conv.groups > 1 else ""
        self.data += [_FLOAT32, weight.tobytes(), bias.tobytes()]
        parameters = " ".join(part for part in (facts, group, _ACTIVATION[conv.activation]) if part)
        return self.layer(kind, conv.weight, (value,), (f"{conv.weight}.out",), parameters)

    def head(self, head: Head, value: str) -> None:
        pooled = self.layer("Pooling", "mean", (value,), ("mean",), _GLOBAL_AVERAGE)
        weight, bias = self.weights[f"{head.name}.weight"], self.weights[f"{head.name}.bias"]
        self.data += [_FLOAT32, np.ascontiguousarray(weight).tobytes(), np.ascontiguousarray(bias).tobytes()]
        self.layer("InnerProduct", head.name, (pooled,), ("logits",), f"0={head.classes} 1=1 2={weight.size}")
