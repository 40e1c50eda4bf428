"""Regions and layer norms in a network that sees a clip as a volume.

The models' own operators (`tsm_edge.models.clips.regions`) come through Relax as calls of packed functions by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tvm import relax

from ..ir.graph import Node
from ..ir.ops import LayerNorm, OverlapMean, RegionMax, Role
from . import volumes
from .clip_products import extents_of
from .operators import Call, ints
from .volumes import VOLUME, View

if TYPE_CHECKING:
    from .clip_calls import ClipCalls

PACKED = "relax.call_pure_packed"
NAMES = {f"tsm_edge.{name}": name for name in ("region_max", "overlap_mean")}
LAST = ("1", "t", "h", "w", "c")  # a volume with its channels moved to the end


def converters() -> dict[str, Callable[[Call, Call], Call]]:
    """How Relax's frontend takes the operators, by the names that torch.export gives them."""
    return {f"{short}.default": converter(name) for name, short in NAMES.items()}


def converter(name: str) -> Callable[[Call, Call], Call]:
    """A call of the packed function `name` with a result of a position a box."""

    def convert(node: Call, importer: Call) -> Call:
        x, boxes, by = importer.retrieve_args(node)
        shape = (*extents_of(x)[:3], 1, extents_of(boxes)[2])
        kind = relax.TensorType(shape, x.ty.dtype)
        called = relax.op.call_pure_packed(f"{name}:{by}", x, boxes, ty_args=kind)
        return importer.block_builder.emit(called)

    return convert


class Regions:
    """The boxes of one walk."""

    def __init__(self, calls: ClipCalls) -> None:
        self.calls = calls

    def take(self, var: Call, call: Call, operator: str, arguments: Sequence[Call]) -> bool:
        """Register a call over boxes or a layer norm; False for any other."""
        walk = self.calls.walk
        if operator == "relax.expand_dims" and walk.names.get(arguments[0]) in walk.graph.states:
            shape, state = extents_of(var), walk.names[arguments[0]]
            if shape == (1, *walk.graph.shape(state)) and len(shape) == 4:
                walk.names[var] = state
                return True
        if operator == PACKED:
            name, _, by = str(call.args[0].global_symbol).partition(":")
            if name in NAMES:
                self.over_boxes(var, NAMES[name], int(by), arguments)
                return True
        if operator == "relax.nn.layer_norm":
            return self.layer_norm(var, call, arguments)
        return False

    def over_boxes(self, var: Call, name: str, by: int, arguments: Sequence[Call]) -> None:
        """The node of a call over boxes."""
        calls = self.calls
        graph, view = calls.walk.graph, calls.view(arguments[0])
        if view is None or view.axes != VOLUME:
            raise volumes.refuse(name, view.axes if view else ())
        boxes = calls.walk.value(arguments[1])
        frames, channels, height, width = graph.shape(view.value)
        count = graph.shape(boxes)[1]
        op: RegionMax | OverlapMean = (
            RegionMax(frames, height, width, channels, count)
            if name == "region_max"
            else OverlapMean(frames, count, channels, by)
        )
        output = calls.output(var, name, (frames, channels, 1, count), VOLUME)
        graph.nodes.append(Node(op, [view.value, boxes], [output], {Role.BOXES: boxes}, layer=f"{name}.{output}"))

    def layer_norm(self, var: Call, call: Call, arguments: Sequence[Call]) -> bool:
        """A norm over the channels of a volume's positions."""
        calls = self.calls
        graph, view = calls.walk.graph, calls.views.get(arguments[0])
        names = [calls.walk.value(argument) for argument in arguments[1:]]
        weights = [graph.constants.get(name) for name in names]
        over = [axis % 5 for axis in ints(call.attrs.axes)]
        if view is None or view.axes != LAST or over != [4] or len(weights) != 2:
            return False
        if weights[0] is None or weights[1] is None:
            return False
        frames, channels, height, width = shape = graph.shape(view.value)
        op = LayerNorm(frames, height * width, channels, float(call.attrs.epsilon))
        output = calls.output(var, "layer_norm", shape, VOLUME)
        calls.views[var] = View(output, LAST)
        layer = calls.walk.layer(weights[0], f"layer_norm.{output}")
        graph.nodes.append(Node(op, [view.value], [output], {}, (weights[0], weights[1]), layer, call))
        return True
