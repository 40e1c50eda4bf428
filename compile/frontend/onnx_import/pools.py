"""Pads of pools and transposed convolutions written out: ONNX's auto_pad and output_shape as numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .nodes import attributes, with_attributes, without
from .values import Values, refusal

if TYPE_CHECKING:
    from onnx import NodeProto


def same_pads(
    sizes: list[int], kernel: list[int], strides: list[int], dilations: list[int], lower: bool
) -> list[int]:
    """Pads (begins, then ends) for which every axis has ceil(size / stride) outputs; an odd one goes to the end.

    lower: to the begin.
    """
    begins, ends = [], []
    for size, k, stride, dilation in zip(sizes, kernel, strides, dilations):
        outputs = -(-size // stride)
        total = max((outputs - 1) * stride + (k - 1) * dilation + 1 - size, 0)
        less = total // 2
        begins.append(total - less if lower else less)
        ends.append(less if lower else total - less)
    return begins + ends


def explicit_pads(node: NodeProto, values: Values) -> list[NodeProto] | None:
    """MaxPool, AveragePool, LpPool and Conv with auto_pad: the same with pads."""
    attrs = attributes(node)
    mode = attrs.get("auto_pad", "NOTSET")
    if mode == "NOTSET":
        return None
    sizes = list(values.shape(node.input[0])[2:])
    ones = [1] * len(sizes)
    kernel = attrs.get("kernel_shape") or list(values.shape(node.input[1])[2:])
    pads = [0] * (2 * len(sizes))
    if mode != "VALID":
        if node.op_type != "Conv" and any(step != 1 for step in attrs.get("dilations", ones)):
            raise refusal(  # ONNX counts the dilation among what is padded for, ONNX Runtime does not
                node,
                "is padded in a way that programs disagree on",
                f"{mode} with dilations {attrs['dilations']}",
                "auto_pad without dilations",
                "export it with pads in the place of auto_pad",
            )
        lower = mode == "SAME_LOWER"
        pads = same_pads(sizes, kernel, attrs.get("strides", ones), attrs.get("dilations", ones), lower)
    return [with_attributes(without(node, "auto_pad"), pads=pads, kernel_shape=kernel)]


def transposed_pads(node: NodeProto, values: Values) -> list[NodeProto] | None:
    """ConvTranspose with auto_pad or output_shape: pads and output_padding by the operator's definition.

    total = stride (size - 1) + output_padding + (k - 1) dilation + 1 - output; a negative one is output_padding.
    """
    attrs = attributes(node)
    mode, wanted = attrs.get("auto_pad", "NOTSET"), attrs.get("output_shape")
    if mode == "NOTSET" and not wanted:
        return None
    sizes = list(values.shape(node.input[0])[2:])
    count = len(sizes)
    ones, zeros = [1] * count, [0] * count
    kernel = attrs.get("kernel_shape") or list(values.shape(node.input[1])[2:])
    strides, dilations = attrs.get("strides", ones), attrs.get("dilations", ones)
    extra = list(attrs.get("output_padding", zeros))
    if mode == "VALID" and not wanted:
        return [with_attributes(without(node, "auto_pad"), pads=zeros * 2, kernel_shape=kernel)]
    outputs = list(wanted or [size * stride for size, stride in zip(sizes, strides)])[-count:]
    begins, ends = [], []
    for axis in range(count):
        total = strides[axis] * (sizes[axis] - 1) + extra[axis] + (kernel[axis] - 1) * dilations[axis] + 1
        total -= outputs[axis]
        if total < 0:
            extra[axis], total = extra[axis] - total, 0
        less = total // 2
        upper = mode == "SAME_UPPER"
        begins.append(less if upper else total - less)
        ends.append(total - less if upper else less)
    if any(more >= max(stride, dilation) for more, stride, dilation in zip(extra, strides, dilations)):
        raise refusal(
            node,
            "has more outputs than its stride reaches",
            f"output_shape {outputs}",
            "an output_padding below the stride",
            "export it with pads and output_padding, without output_shape",
        )
    plain = without(node, "auto_pad", "output_shape")
    return [with_attributes(plain, pads=begins + ends, output_padding=extra, kernel_shape=kernel)]
