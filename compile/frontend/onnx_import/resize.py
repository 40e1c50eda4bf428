"""Resize as constant matrices: one for each axis that changes, by ONNX's rules for coordinates, modes and borders.

Every mode of ONNX's Resize is separable and linear in the values: along one axis, output = matrix x input, with a
matrix [outputs, inputs] that depends on the sizes alone. The frontend's own kernels take the ratio of the sizes where
ONNX takes the given scale, and know no antialias, no half_pixel_symmetric and no crop.

Source: the operator's definition at opset 19 (https://onnx.ai/onnx/operators/onnx__Resize.html).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, prod
from typing import TYPE_CHECKING

import numpy as np

from .nodes import Attributes, Builder, attributes, inputs, with_inputs
from .values import Values, refusal

if TYPE_CHECKING:
    from onnx import NodeProto

HANDLED = {
    "half_pixel",
    "asymmetric",
    "align_corners",
    "pytorch_half_pixel",
}  # by the frontend, where scales are whole


@dataclass(frozen=True)
class Axis:
    """One axis: extents before and after, outputs per input, and the crop in units of the input (0 to 1)."""

    before: int
    after: int
    scale: float
    start: float = 0.0
    end: float = 1.0

    def coordinates(self, mode: str) -> np.ndarray:
        """Where each output lies in the input, float32 [after], with float32 rounding as ONNX Runtime has it."""
        x = np.arange(self.after, dtype=np.float32)
        scale, half = np.float32(self.scale), np.float32(0.5)
        before, after = np.float32(self.before), np.float32(self.after)
        start, end = np.float32(self.start), np.float32(self.end)
        if mode == "asymmetric":
            return np.asarray(x / scale)
        if mode == "align_corners":
            return np.asarray(np.zeros(1, np.float32) if after == 1 else x * (before - 1) / (after - 1))
        if mode == "pytorch_half_pixel":
            return np.asarray((x + half) / scale - half if after > 1 else np.zeros(1, np.float32))
        if mode == "tf_half_pixel_for_nn":
            return np.asarray((x + half) / scale)
        if mode == "half_pixel_symmetric":
            return np.asarray(before / 2 * (1 - after / (scale * before)) + (x + half) / scale - half)
        if mode == "tf_crop_and_resize":
            if after == 1:
                return np.full(1, half * (start + end) * (before - 1))
            return np.asarray(start * (before - 1) + x * (end - start) * (before - 1) / (after - 1))
        return np.asarray((x + half) / scale - half)


def sizes_of(node: NodeProto, values: Values) -> list[Axis] | None:
    """The axes that a Resize names, all of them for one without `axes`; None where a size is not constant."""
    x, roi, scales, sizes = inputs(node, 4)
    attrs, shape = attributes(node), values.shape(x)
    axes = [axis % len(shape) for axis in attrs.get("axes", range(len(shape)))]
    crop = values.array(roi) if attrs.get("coordinate_transformation_mode") == "tf_crop_and_resize" else None
    table: list[Axis] = [Axis(extent, extent, 1.0) for extent in shape]
    given = values.array(sizes if sizes else scales)
    if given is None or len(given) != len(axes) or (crop is None and crops(attrs)):
        return None
    factors = [float(np.float32(value)) for value in given]
    results = [floor(np.float32(shape[axis]) * np.float32(f)) for axis, f in zip(axes, factors)]
    if sizes:
        results = [int(value) for value in given]
        factors = [result / shape[axis] for axis, result in zip(axes, results)]
        policy = attrs.get("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            one = (min if policy == "not_larger" else max)(factors)
            factors = [one] * len(axes)
            results = [floor(shape[axis] * one + 0.5) for axis in axes]
    for index, (axis, after, scale) in enumerate(zip(axes, results, factors)):
        start, end = (crop[index], crop[len(axes) + index]) if crop is not None else (0.0, 1.0)
        table[axis] = Axis(shape[axis], after, scale, float(start), float(end))
    return table


def rewrite(node: NodeProto, values: Values) -> list[NodeProto] | None:
    """A Resize that the frontend reads as ONNX means it stays; any other becomes matrices, nearest becomes Gather."""
    empty = [bool(name) and values.is_constant(name) and 0 in values.shape(name) for name in node.input]
    if any(empty):  # how operator set 11 leaves an input out
        return [with_inputs(node, ["" if drop else name for name, drop in zip(node.input, empty)])]
    table = sizes_of(node, values)
    if table is None:
        raise refusal(
            node,
            "takes its size from the frame",
            "scales or sizes that are computed",
            "constant scales or sizes",
        )
    attrs = attributes(node)
    mode = attrs.get("coordinate_transformation_mode", "half_pixel")
    refuse_doubtful(node, mode, table)
    if any(axis.after < 1 for axis in table):
        raise refusal(
            node, "gives an empty image", str([axis.after for axis in table]), "extents of 1 and above"
        )
    if all(axis.before == axis.after and axis.scale == 1 for axis in table) and not crops(attrs):
        return Builder(node, values).end(node.input[0])
    if taken_as_is(node, attrs, table):
        return None
    build = Builder(node, values)
    value, shape = node.input[0], [axis.before for axis in table]
    mode = attrs.get("coordinate_transformation_mode", "half_pixel")
    for index, axis in enumerate(table):
        if (
            axis.before == axis.after
            and axis.scale == 1
            and not (crops(attrs) and (axis.start, axis.end) != (0, 1))
        ):
            continue
        if attrs.get("mode", "nearest") == "nearest":
            picks = nearest(axis, mode, attrs.get("nearest_mode", "round_prefer_floor"))
            value = build.add("Gather", value, build.constant(picks, np.int64), axis=index)
            shape[index] = axis.after
            continue
        rows = matrix(axis, mode, attrs)
        flat = (prod(shape[:index]), shape[index], prod(shape[index + 1 :]))
        shape[index] = axis.after
        value = build.reshape(value, flat)
        value = build.add("MatMul", build.constant(rows), value)
        value = build.reshape(value, tuple(shape))
    if crops(attrs):
        value = fill_outside(build, value, table, attrs)
    return build.end(value)


def refuse_doubtful(node: NodeProto, mode: str, table: list[Axis]) -> None:
    """ImportFailed for the form that ONNX Runtime scales to the rounded size, and ONNX's evaluator to the exact one."""
    whole = is_sized(node) or all(axis.before * axis.scale == axis.after for axis in table)
    if mode == "align_corners" and not whole:
        raise refusal(
            node,
            "is scaled in a way that programs disagree on",
            "align_corners with scales that leave a rest",
            "sizes, or scales that give whole sizes",
            "export it with sizes: interpolate(size=...) in the place of scale_factor",
        )


def is_sized(node: NodeProto) -> bool:
    """Whether a Resize gives sizes in the place of scales."""
    return bool(inputs(node, 4)[3])


def crops(attrs: Attributes) -> bool:
    """Whether the mode takes a region of interest."""
    return bool(attrs.get("coordinate_transformation_mode") == "tf_crop_and_resize")


def taken_as_is(node: NodeProto, attrs: Attributes, table: list[Axis]) -> bool:
    """Whether the frontend's kernel does what ONNX says.

    It resizes the axes behind the first two of an image, by the ratio of the sizes: that is ONNX's scale only where
    scale x size is whole.
    """
    whole = all(axis.before * axis.scale == axis.after for axis in table)
    image = len(table) == 4 and all(axis.before == axis.after for axis in table[:2])
    plain = not attrs.get("antialias") and not attrs.get("exclude_outside") and "axes" not in attrs
    mode = attrs.get("coordinate_transformation_mode", "half_pixel")
    single = any(
        axis.after == 1 for axis in table[2:]
    )  # align_corners and pytorch_half_pixel divide by zero there
    known = mode in HANDLED and not (single and mode != "half_pixel") and attrs.get("mode") != "cubic"
    return image and whole and plain and known and "keep_aspect_ratio_policy" not in attrs


def nearest(axis: Axis, mode: str, rounding: str) -> np.ndarray:
    """The input that each output repeats, int64 [after]."""
    x = axis.coordinates(mode)
    rounded = {
        "floor": np.floor(x),
        "ceil": np.ceil(x),
        "round_prefer_ceil": np.floor(x + 0.5),
    }.get(rounding, np.ceil(x - 0.5))
    return np.asarray(np.clip(rounded, 0, axis.before - 1), np.int64)


def matrix(axis: Axis, mode: str, attrs: Attributes) -> np.ndarray:
    """The weights of linear or cubic interpolation, float64 [after, before]; rows outside a crop are filled later."""
    cubic = attrs.get("mode") == "cubic"
    reach = 2 if cubic else 1
    shrink = min(axis.scale, 1.0) if attrs.get("antialias") else 1.0
    alpha = attrs.get("cubic_coeff_a", -0.75)
    rows = np.zeros((axis.after, axis.before))
    for row, x in enumerate(axis.coordinates(mode)):
        first, last = floor(x - reach / shrink), floor(x + reach / shrink) + 1
        taps = np.arange(first, last + 1)
        distance = np.abs(taps - x) * shrink
        weights = cubic_weights(distance, alpha) if cubic else np.maximum(1 - distance, 0)
        if attrs.get("exclude_outside"):
            weights = np.where((taps >= 0) & (taps < axis.before), weights, 0)
        np.add.at(rows[row], np.clip(taps, 0, axis.before - 1), weights / weights.sum())
    return rows


def cubic_weights(distance: np.ndarray, alpha: float) -> np.ndarray:
    """Keys' cubic convolution kernel."""
    d = distance
    near = ((alpha + 2) * d - (alpha + 3)) * d * d + 1
    far = ((alpha * d - 5 * alpha) * d + 8 * alpha) * d - 4 * alpha
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def fill_outside(build: Builder, value: str, table: list[Axis], attrs: Attributes) -> str:
    """Outputs whose place lies outside of the input get the extrapolation value."""
    inside = np.ones([1] * len(table), bool)
    for index, axis in enumerate(table):
        x = axis.coordinates("tf_crop_and_resize")
        kept = (x >= 0) & (x <= axis.before - 1)
        inside = inside & kept.reshape([-1 if i == index else 1 for i in range(len(table))])
    if inside.all():
        return value
    outside = build.constant(attrs.get("extrapolation_value", 0.0))
    return build.add("Where", build.constant(np.ascontiguousarray(inside), bool), value, outside)
