"""The nodes of a network of regions: RoIAlign, means over overlapping regions and layer norms in ONNX's own operators.

Boxes are the input "boxes" [T, B, 4], which goes to "boxes_out" unchanged. ONNX's RoiAlign is free to read anywhere for
a box that is no number, so such a box is moved out of the picture, where its features are zeros.
"""

from __future__ import annotations

import numpy as np

from ..models.clips import records as ops
from ..models.clips import regions
from ..models.description import EPSILON
from .graph import GraphWriter

OUTSIDE = 8.0  # in pictures
OVER_REGIONS = (ops.RegionMax, ops.OverlapMean, ops.LayerNorm)
BINS = regions.SAMPLES // 2  # along each side of a box


class RegionWriter:
    """Writes the operators over the boxes of one network; what several of them read is written once."""

    def __init__(self, writer: GraphWriter, boxes: ops.Boxes) -> None:
        self.writer = writer
        self.boxes = boxes
        self.overlaps = ""

    def axes(self, name: str, *values: int) -> str:
        """Integers as a constant."""
        return self.writer.constant(name, np.array(values, np.int64))

    def scalar(self, name: str, value: float) -> str:
        """A number as a constant."""
        return self.writer.constant(name, np.float32(value))

    def given(self) -> str:
        """The boxes with those of the grid in place of zeros, and none that is no number."""
        node = self.writer.node
        node("Identity", "boxes_out", "boxes")
        last, zero = self.axes("boxes.last", -1), self.scalar("boxes.zero", 0.0)
        total = node("ReduceSum", "boxes.sum", "boxes", last, keepdims=1)
        odd = node("IsNaN", "boxes.odd", node("Mul", "boxes.no_number", total, zero))
        outside = self.scalar("boxes.outside", OUTSIDE)
        sound = node("Where", "boxes.sound", odd, outside, "boxes")
        largest = node("ReduceMax", "boxes.largest", node("Abs", "boxes.abs", sound), last, keepdims=1)
        absent = node("Equal", "boxes.absent", largest, zero)
        windows = self.writer.constant("boxes.grid", np.array([regions.grid(self.boxes.count)], np.float32))
        return node("Where", "boxes.given", absent, windows, sound)

    def operator(self, op: ops.Operator, name: str, inputs: list[str], shape: ops.Shape) -> str:
        """One operator; shape: of its first input."""
        if isinstance(op, ops.LayerNorm):
            return self.layer_norm(op, name, inputs[0])
        x, boxes = inputs
        if isinstance(op, ops.RegionMax):
            return self.region_max(name, x, boxes, shape)
        assert isinstance(op, ops.OverlapMean)
        return self.overlap_mean(op, name, x, boxes, shape)

    def region_max(self, name: str, x: str, boxes: str, shape: ops.Shape) -> str:
        """RoIAlign of each frame and the maximum over the bins."""
        node, (frames, channels, height, width), count = self.writer.node, shape, self.boxes.count
        first = self.axes(f"{name}.first", 0)
        pictures = node(
            "Transpose", f"{name}.frames", node("Squeeze", f"{name}.volume", x, first), perm=[1, 0, 2, 3]
        )
        sides = self.writer.constant(f"{name}.sides", np.array([width, height, width, height], np.float32))
        places = node("Mul", f"{name}.places", boxes, sides)
        rois = node("Reshape", f"{name}.rois", places, self.axes(f"{name}.list", -1, 4))
        owners = self.axes(f"{name}.owners", *np.repeat(np.arange(frames), count))
        bins = node(
            *("RoiAlign", f"{name}.bins", pictures, rois, owners),
            mode="avg",
            output_height=BINS,
            output_width=BINS,
            sampling_ratio=2,
            coordinate_transformation_mode="output_half_pixel",  # a side is a position long at least
        )
        most = node("ReduceMax", f"{name}.most", bins, self.axes(f"{name}.over", 2, 3), keepdims=0)
        rows = node("Reshape", f"{name}.rows", most, self.axes(f"{name}.each", frames, count, channels))
        return self.volume(name, rows, (frames, channels, 1, count))

    def volume(self, name: str, rows: str, shape: ops.Shape) -> str:
        """[T, B, C] to [1, C, T, 1, B]."""
        frames, channels, _, count = shape
        first = self.writer.node("Transpose", f"{name}.channels", rows, perm=[2, 0, 1])
        whole = self.axes(f"{name}.whole", 1, channels, frames, 1, count)
        return self.writer.node("Reshape", f"{name}.regions", first, whole, outputs=(name,))

    def overlap_mean(self, op: ops.OverlapMean, name: str, x: str, boxes: str, shape: ops.Shape) -> str:
        """The mean over the regions of a neighbouring frame by what they share; zeros where there is no such frame."""
        node, (frames, channels, _, count) = self.writer.node, shape
        flat = node("Reshape", f"{name}.flat", x, self.axes(f"{name}.shape", channels, frames, count))
        rows = node("Transpose", f"{name}.rows", flat, perm=[1, 2, 0])
        edge = self.writer.constant(f"{name}.edge", np.zeros((1, count, channels), np.float32))
        if frames == 1:
            return self.volume(name, node("Mul", f"{name}.none", rows, edge), shape)
        begin = 1 if op.by > 0 else 0
        near = self.writer.cut(f"{name}.near", rows, 0, begin, begin + frames - 1)
        weights = self.weights(boxes)
        if op.by < 0:
            weights = node("Transpose", f"{name}.turned", weights, perm=[0, 2, 1])
        total = node("ReduceSum", f"{name}.total", weights, self.axes(f"{name}.last", -1), keepdims=1)
        shares = node("Div", f"{name}.shares", weights, self.divisor(f"{name}.some", total))
        mixed = node("MatMul", f"{name}.mixed", shares, near)
        parts = (mixed, edge) if op.by > 0 else (edge, mixed)
        return self.volume(name, node("Concat", f"{name}.all", *parts, axis=0), shape)

    def divisor(self, name: str, value: str) -> str:
        """The value, 1 in place of 0, at which what is divided is 0, too."""
        node, zero, one = self.writer.node, self.scalar(f"{name}.zero", 0.0), self.scalar(f"{name}.one", 1.0)
        return node("Where", name, node("Greater", f"{name}.any", value, zero), value, one)

    def weights(self, boxes: str) -> str:
        """Intersection over union of the boxes of each frame with those of the next, [T - 1, B, B], written once."""
        if self.overlaps:
            return self.overlaps
        node, frames = self.writer.node, self.boxes.frames
        cut = self.writer.cut
        corners, areas = [], []
        for name, begin, axis in (("overlap.one", 0, 2), ("overlap.other", 1, 1)):
            own = cut(name, boxes, 0, begin, begin + frames - 1)
            pair = [cut(f"{name}.low", own, 2, 0, 2), cut(f"{name}.high", own, 2, 2, 4)]
            areas.append(self.product(f"{name}.area", node("Sub", f"{name}.sides", pair[1], pair[0]), axis))
            where = self.axes(f"{name}.place", axis)
            corners.append([node("Unsqueeze", f"{part}.beside", part, where) for part in pair])
        (one_low, one_high), (other_low, other_high) = corners
        low = node("Max", "overlap.low", one_low, other_low)
        high = node("Min", "overlap.high", one_high, other_high)
        sides = node("Relu", "overlap.sides", node("Sub", "overlap.signed", high, low))
        inside = self.product("overlap.inside", sides)
        union = node("Sub", "overlap.union", node("Add", "overlap.both", *areas), inside)
        some = node("Greater", "overlap.some", inside, self.scalar("overlap.zero", 0.0))
        divisor = node("Where", "overlap.divisor", some, union, self.scalar("overlap.one_more", 1.0))
        self.overlaps = node("Div", "overlap", inside, divisor)
        return self.overlaps

    def product(self, name: str, sides: str, beside: int | None = None) -> str:
        """Width times height, which lie along the last axis; ``beside``: an axis of extent 1 put in there."""
        area = self.writer.node("ReduceProd", name, sides, self.axes(f"{name}.last", -1), keepdims=0)
        if beside is None:
            return area
        return self.writer.node("Unsqueeze", f"{name}.beside", area, self.axes(f"{name}.place", beside))

    def layer_norm(self, op: ops.LayerNorm, name: str, x: str) -> str:
        """A layer norm over the channels of each position, and a ReLU."""
        node = self.writer.node
        last = node("Transpose", f"{name}.last", x, perm=[0, 2, 3, 4, 1])
        keys = [f"{op.key}.{part}" for part in ("weight", "bias")]
        parts = [self.writer.constant(key, self.writer.weights[key]) for key in keys]
        normed = node("LayerNormalization", f"{name}.normed", last, *parts, axis=-1, epsilon=EPSILON)
        return node("Relu", name, node("Transpose", f"{name}.back", normed, perm=[0, 4, 1, 2, 3]))
