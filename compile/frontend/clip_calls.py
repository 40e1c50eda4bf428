"""The calls of a network that sees the frames of a clip as a volume, as nodes over the clip's own values.

`ClipCalls.take` is asked for every call before the importer's own way: it answers whether the call was one of these.
What only reorders axes becomes a view (`volumes.py`), what computes a node; anything else that reads a volume
is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from tvm import relax

from ..ir.dtype import FLOAT32
from ..ir.graph import Node, Value
from ..ir.ops import Opaque, Operator
from . import volumes
from .clip_products import SAME, Products, extents_of
from .operators import Call, Split, Weighted, extents, ints, recognise
from .region_calls import Regions
from .volumes import FRAMES, VECTORS, VOLUME, Shape, View

if TYPE_CHECKING:
    from .importer import Walk

RESHAPES = {f"relax.{name}" for name in ("reshape", "squeeze", "expand_dims", "flatten")}
#: what computes number by number, or channel by channel: the same for a volume as for its frames
ALIKE = {
    f"relax.{name}" for name in ("nn.batch_norm", "nn.relu", "nn.relu6", "clip", "add", "concat", "call_tir")
}


class ClipCalls:
    """The views of one walk."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self.views: dict[Call, View] = {}
        self.products = Products(self)
        self.regions = Regions(self)

    def take(self, var: Call, call: Call, operator: str) -> bool:
        """Register a call that concerns a volume; False where the importer's own way is right."""
        arguments = self.tensors(call)
        if self.products.take(var, call, operator, arguments) or self.regions.take(var, call, operator, arguments):
            return True
        viewed = [argument for argument in arguments if argument in self.views]
        view = self.view(arguments[0]) if arguments else None
        if view is None:
            return False
        if viewed and operator in SAME and extents_of(var) == extents_of(arguments[0]):
            return self.settle(var, view)
        if operator in RESHAPES:
            return self.reshape(var, call, view, bool(viewed))
        if operator == "relax.permute_dims" and (viewed or view.axes == FRAMES):
            order = ints(call.attrs.axes) if call.attrs.axes is not None else range(len(view.axes))[::-1]
            return self.settle(var, volumes.permuted(view, order))
        if not viewed:
            return False
        return self.compute(var, call, operator, arguments, view)

    def field(self, var: Call, item: Call) -> bool:
        """The first field of a batch norm's tuple shows what the call does."""
        if item.index == 0 and item.tuple_value in self.views:
            self.views[var] = self.views[item.tuple_value]
            return True
        return False

    def tensors(self, call: Call) -> list[Call]:
        """The tensor arguments of a call, those of a tuple one by one."""
        found: list[Call] = []
        for argument in call.args:
            fields = argument.fields if isinstance(argument, relax.Tuple) else [argument]
            found += [field for field in fields if isinstance(getattr(field, "ty", None), relax.TensorType)]
        return found

    def view(self, argument: Call) -> View | None:
        """How an argument shows a value; None for constants and for values that are no frames."""
        if argument in self.views:
            return self.views[argument]
        name = self.walk.names.get(argument) if isinstance(argument, relax.Var) else None
        if name is None or self.walk.graph.dtype(name) is not FLOAT32:
            return None
        rank = len(self.walk.graph.shape(name))
        return {4: View(name, FRAMES), 2: View(name, VECTORS)}.get(rank)

    def reshape(self, var: Call, call: Call, view: View, viewed: bool) -> bool:
        """A reshape that cuts no axis is another view; of plain frames only where it makes a volume of them."""
        shape = extents(call)
        if not viewed and len(shape) not in (3, 5):
            return False
        new = volumes.reshaped(view, volumes.sizes_of(self.walk.graph.shape(view.value)), shape)
        if new is None:
            if viewed:
                raise volumes.refuse(str(call.op.name), view.axes)
            return False
        return self.settle(var, new)

    def settle(self, var: Call, view: View) -> bool:
        """Remember a view; one that shows a value as it is, is that value."""
        own = FRAMES if len(self.walk.graph.shape(view.value)) == 4 else VECTORS
        if view.axes == own:
            self.walk.names[var] = view.value
        else:
            self.views[var] = view
        return True

    def compute(self, var: Call, call: Call, operator: str, arguments: Sequence[Call], view: View) -> bool:
        """A call that reads views."""
        graph = self.walk.graph
        if operator == "relax.mean":
            return self.mean(var, call, view)
        shown = [self.views[argument].axes for argument in arguments if argument in self.views]
        if any(axes != VOLUME for axes in shown):
            raise volumes.refuse(operator, next(axes for axes in shown if axes != VOLUME))
        inputs = [self.input(argument) for argument in arguments]
        constants = [graph.constants.get(name) for name in inputs]
        shape = graph.shape(view.value)
        if operator == "relax.nn.max_pool3d":
            return self.max_pool(var, call, inputs[0], shape)
        if operator == "relax.nn.conv3d":
            found = volumes.conv3d(call, constants, shape)
        else:
            found = recognise(operator, call, constants, shape, clip=True) if operator in ALIKE else None
        if found is None or isinstance(found, (Opaque, Split)):
            raise volumes.refuse(operator, VOLUME)
        output = self.output(var, operator, self.frames_of(extents_of(var)), VOLUME)
        if isinstance(found, Weighted):
            weights = found.weight, np.zeros(found.op.out_channels, np.float32)
            layer = self.walk.layer(found.weight, operator)
            graph.nodes.append(Node(found.op, inputs[:1], [output], {}, weights, layer, call))
        else:
            graph.nodes.append(Node(found, inputs, [output], layer=operator, call=call))
        return True

    def input(self, argument: Call) -> str:
        """The value behind an argument; a constant of a volume's rank loses its first axis of the five."""
        if argument in self.views:
            return self.views[argument].value
        name = self.walk.value(argument)
        array = self.walk.graph.constants.get(name)
        if array is not None and array.ndim == 5 and array.shape[0] == 1 and array.shape[2] == 1:
            short = array.reshape(1, array.shape[1], *array.shape[3:])
            self.walk.graph.constants[name] = short
            self.walk.graph.values[name] = Value(tuple(short.shape))
        return name

    def output(self, var: Call, operator: str, shape: Shape, axes: tuple[str, ...]) -> str:
        """A value for the result of a call, which shows it with these axes."""
        name = self.walk.fresh(operator.rsplit(".", 1)[-1])
        self.walk.graph.values[name] = Value.of(shape, FLOAT32, True)
        self.settle(var, View(name, axes))
        return name

    @staticmethod
    def frames_of(shape: Shape) -> Shape:
        """[1, C, T, H, W] as [T, C, H, W]."""
        _, channels, frames, height, width = shape
        return (frames, channels, height, width)

    def max_pool(self, var: Call, call: Call, source: str, shape: Shape) -> bool:
        """A maximum over pixels, then one over frames."""
        found = volumes.max_pool3d(call, shape)
        if found is None:
            raise volumes.refuse("relax.nn.max_pool3d", VOLUME)
        pool, along = found
        graph = self.walk.graph
        result = self.frames_of(extents_of(var))
        steps: list[tuple[Operator, Shape]] = []
        if pool is not None:
            steps.append((pool, (shape[0], shape[1], pool.out_height, pool.out_width)))
        if along is not None:
            steps.append((along, result))
        if not steps:
            return self.settle(var, View(source, VOLUME))
        for op, extent in steps:
            name = self.output(var, op.kind, extent, VOLUME)
            graph.nodes.append(Node(op, [source], [name], layer="relax.nn.max_pool3d", call=call))
            source = name
        return True

    def mean(self, var: Call, call: Call, view: View) -> bool:
        """A mean over pixels, frames or both."""
        graph = self.walk.graph
        over = (
            [axis % len(view.axes) for axis in ints(call.attrs.axis)] if call.attrs.axis is not None else []
        )
        op = volumes.mean(view.axes, over, graph.shape(view.value))
        if op is None:
            raise volumes.refuse("relax.mean", view.axes)
        kept = [
            "1" if axis in over else word
            for axis, word in enumerate(view.axes)
            if axis not in over or bool(call.attrs.keepdims)
        ]
        single = any("t" in view.axes[axis] for axis in over)
        shape = (1 if single else graph.shape(view.value)[0], op.channels)
        name = self.walk.fresh("mean")
        graph.values[name] = Value.of(shape, FLOAT32, True)
        graph.nodes.append(Node(op, [view.value], [name], layer="relax.mean", call=call))
        axes = tuple(kept)
        if single and axes == ("1", "c"):
            self.walk.names[var] = name
            return True
        return self.settle(var, View(name, axes))
