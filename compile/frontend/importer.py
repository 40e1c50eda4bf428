"""Foreign networks to our graph: torch.export and ONNX, both through Relax.

Relax's frontends do the reading; this module turns the flat Relax function into `Graph` nodes. Operators that the
passes understand get a record of their own (`ir/ops/`), every other operator becomes `Opaque` and keeps its Relax
call, so that TVM legalises it later.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import tvm
from tvm import relax

from tsm_edge.errors import ImportFailed
from tsm_edge.signature import Signature

from ..ir.dtype import FLOAT32, DType
from ..ir.graph import Graph, Node, Value
from ..ir.ops import Opaque, Slice
from . import region_calls
from .clip_calls import ClipCalls
from .operators import Split, Weighted, recognise

if TYPE_CHECKING:
    import torch


def from_torch(
    step: torch.nn.Module, examples: Sequence[torch.Tensor], signature: Signature, *, keeps_frames: bool = False
) -> Graph:
    """Import a step module `forward(frame, *states) -> (logits, *new states)`.

    keeps_frames: the first axis of its states counts frames, as that of a clip does.
    """
    import torch
    from tvm.relax.frontend.torch import from_exported_program

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch warns of its own use of a deprecated class
        exported = torch.export.export(step, tuple(examples))
        module = from_exported_program(exported, custom_convert_map=region_calls.converters())
    arrays = {
        name.removesuffix(".weight").removeprefix("net."): value.numpy()
        for name, value in step.state_dict().items()
        if value.ndim > 1
    }
    inputs = [signature.inputs[0].name, *(pair.input.name for pair in signature.states)]
    outputs = [signature.outputs[0].name, *(pair.output_name for pair in signature.states)]
    clip = keeps_frames or (signature.clip_frames > 1 and not signature.states)
    return from_relax(module, signature, inputs, outputs, arrays, clip=clip)


def from_relax(
    module: tvm.IRModule,
    signature: Signature,
    inputs: Sequence[str],
    outputs: Sequence[str],
    arrays: Mapping[str, np.ndarray],
    clip: bool = False,
) -> Graph:
    """Turn the `main` of a Relax module into a graph.

    inputs, outputs: names of its parameters and results in order. arrays: weights by the name of their layer; a layer
    keeps its name through the compiler, where Relax only keeps the values. clip: the first axis counts frames.
    """
    passes = relax.transform
    module = tvm.ir.transform.Sequential(
        [
            passes.FoldConstant(),
            passes.CanonicalizeBindings(),
            passes.DeadCodeElimination(),
        ]
    )(module)
    layers = {
        fingerprint(view): name
        for name, array in arrays.items()
        for view in ((array, array.T) if array.ndim == 2 else (array,))
    }
    walk = Walk(Graph(signature, clip=clip), layers)
    walk.run(module, inputs, outputs)
    return walk.graph


def fingerprint(array: np.ndarray) -> bytes:
    """Equal for equal values of one size, however the shape is written."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).digest()


class Walk:
    """One pass over the bindings of a Relax function."""

    def __init__(self, graph: Graph, layers: Mapping[bytes, str]) -> None:
        self.graph = graph
        self.layers = layers
        self.names: dict[Any, str] = {}  # Relax variable -> value name
        self.tuples: dict[Any, list[str]] = {}
        self.module: Any = None
        self.count = 0
        self.clip_calls = ClipCalls(self)

    def run(self, module: tvm.IRModule, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """Walk the whole main function."""
        self.module = module
        function = module["main"]
        signature = self.graph.signature
        states = [pair.input.name for pair in signature.states]
        for name, parameter in zip(inputs, function.params, strict=True):
            inside = "frame" if name == signature.inputs[0].name else f"cache{states.index(name)}"
            self.names[parameter] = inside
            self.graph.values[inside] = Value.of(static_shape(parameter.ty, name), clip=self.graph.clip)
            check_input(name, self.graph.shape(inside), self.graph.clip)
        self.graph.states = [f"cache{index}" for index in range(len(states))]
        for block in function.body.blocks:
            for binding in block.bindings:
                self.bind(binding.var, binding.value)
        results = dict(zip(outputs, self.fields(function.body.body), strict=True))
        self.graph.output = results[signature.outputs[0].name]
        after = (results[pair.output_name] for pair in signature.states)
        self.graph.state_outputs = dict(zip(self.graph.states, after, strict=True))
        check_results(self.graph)

    def fresh(self, hint: str) -> str:
        self.count += 1
        return f"v{self.count}_{hint}"

    def fields(self, value: Any) -> list[str]:
        """The values of a tuple expression."""
        if isinstance(value, relax.Tuple):
            return [self.value(item) for item in value.fields]
        if value in self.tuples:
            return self.tuples[value]
        return [self.value(value)]

    def value(self, expression: Any) -> str:
        """The name of an atomic expression; constants are registered."""
        if is_constant(expression):
            name = self.fresh("const")
            array = self.graph.constants[name] = expression.value.numpy()
            self.graph.values[name] = Value(tuple(array.shape), dtype_of(array.dtype, name))
            return name
        return self.names[expression]

    def bind(self, var: Any, value: Any) -> None:
        """Register one binding."""
        if isinstance(value, relax.Tuple):
            self.tuples[var] = self.fields(value)
        elif isinstance(value, relax.TupleGetItem):
            if self.clip_calls.field(var, value):
                return
            self.names[var] = self.fields(value.tuple_value)[value.index]
        elif isinstance(value, relax.Call):
            self.call(var, value)
        elif isinstance(value, relax.Var) or is_constant(value):
            self.names[var] = self.value(value)
        else:
            raise ImportFailed(
                "The network holds something that is no operator.",
                found=type(value).__name__,
                allowed="a straight list of operators",
                hint="export it without control flow",
            )

    def call(self, var: Any, call: Any) -> None:
        """One operator."""
        operator = getattr(call.op, "name", str(call.op))
        if self.graph.clip and self.clip_calls.take(var, call, operator):
            return
        inputs: list[str] = []
        for argument in call.args:
            if isinstance(argument, relax.Tuple) or argument in self.tuples:
                fields = argument.fields if isinstance(argument, relax.Tuple) else ()
                if not fields or is_tensor(fields[0]):
                    inputs += self.fields(argument)
            elif is_tensor(argument):
                inputs.append(self.value(argument))
        types = var.ty.fields if isinstance(var.ty, relax.TupleType) else [var.ty]
        outputs = [self.fresh(operator.rsplit(".", 1)[-1]) for _ in types]
        for name, kind_of in zip(outputs, types, strict=True):
            self.graph.values[name] = Value.of(
                static_shape(kind_of, operator), dtype_of(kind_of.dtype, operator), self.graph.clip
            )
        if isinstance(var.ty, relax.TupleType):
            self.tuples[var] = outputs
        else:
            self.names[var] = outputs[0]
        constants = [self.graph.constants.get(name) for name in inputs]
        found = recognise(
            operator, call, constants, self.graph.shape(inputs[0]) if inputs else (), self.graph.clip
        )
        if any(self.graph.dtype(name) is not FLOAT32 for name in (*inputs, *outputs)):
            found = Opaque()  # what the network says in another type is computed in that type
        if isinstance(found, Split):
            self.slices(call, inputs[0], outputs, found)
        elif isinstance(found, Weighted):
            weights = found.weight, np.zeros(found.op.out_channels, np.float32)
            layer = self.layer(found.weight, operator)
            self.graph.nodes.append(Node(found.op, inputs, outputs, {}, weights, layer, call))
        else:
            lowered = self.module[call.args[0]] if operator == "relax.call_tir" else None
            node = Node(found, inputs, outputs, layer=operator, call=call, function=lowered)
            self.graph.nodes.append(node)

    def layer(self, weight: np.ndarray, operator: str) -> str:
        """The name of the layer that a weight belongs to; the operator's where nobody knows it."""
        return self.layers.get(fingerprint(weight), operator)

    def slices(self, call: Any, source: str, outputs: list[str], split: Split) -> None:
        """A split as one slice a piece, so that the passes know one form of cutting."""
        for output, begin, end in zip(outputs, split.cuts[:-1], split.cuts[1:], strict=True):
            piece = relax.op.strided_slice(call.args[0], [split.axis], [begin], [end])
            op = Slice(split.axis, begin, end)
            self.graph.nodes.append(Node(op, [source], [output], layer="relax.strided_slice", call=piece))


def check_input(name: str, shape: tuple[int, ...], clip: bool) -> None:
    """What a step may take: up to four dimensions, and one image at a time, or those of a clip."""
    if len(shape) > 4 or (len(shape) == 4 and shape[0] != 1 and not clip):
        raise ImportFailed(
            f"'{name}' is no input of a step.",
            found=str(list(shape)),
            allowed="at most 4 dimensions, batch 1",
            hint="export the network for one frame",
        )


def check_results(graph: Graph) -> None:
    """What was computed must have the declared shapes, float32; or an operator was read as another one.

    The scores may have extents of 1 around the classes.
    """
    signature = graph.signature
    scores, computed = signature.outputs[0], graph.shape(graph.output)
    listed = max(computed, default=1) == prod(computed) == max(scores.shape) == scores.size
    if computed != scores.shape and not listed:
        refuse_result(scores.name, computed, scores.shape)
    for pair, (state, value) in zip(signature.states, graph.state_outputs.items(), strict=True):
        for name, shape in ((pair.input.name, graph.shape(state)), (pair.output_name, graph.shape(value))):
            if shape != pair.input.shape:
                refuse_result(name, shape, pair.input.shape)
    for name, value in [
        (scores.name, graph.output),
        *zip((pair.output_name for pair in signature.states), graph.state_outputs.values(), strict=True),
    ]:
        if graph.dtype(value) is not FLOAT32:
            refuse_result(name, graph.dtype(value), FLOAT32)


def refuse_result(name: str, found: object, declared: object) -> NoReturn:
    """A result that is not what the network declares."""
    raise ImportFailed(
        f"The network computes '{name}' otherwise than it declares it.",
        found=str(list(found) if isinstance(found, tuple) else found),
        allowed=f"{list(declared) if isinstance(declared, tuple) else declared}, as declared",
        hint="export the network again for one frame size; if it stays, the importer misreads an operator: report it",
    )


def is_constant(expression: Any) -> bool:
    """A tensor literal."""
    return isinstance(expression, tvm.ir.GenericConst)


def is_tensor(expression: Any) -> bool:
    return isinstance(getattr(expression, "ty", None), relax.TensorType)


def dtype_of(kind: object, name: str) -> DType:
    """The element type that Relax or numpy names; ImportFailed for one that no kernel holds."""
    try:
        return DType(str(kind))
    except ValueError as error:
        raise ImportFailed(
            f"'{name}' has an element type that no kernel holds.",
            found=str(kind),
            allowed=", ".join(DType),
            hint="cast it to float32 inside the network",
        ) from error


def static_shape(kind: Any, name: str) -> tuple[int, ...]:
    """The shape of a Relax tensor type; every extent must be known."""
    try:
        return tuple(int(extent) for extent in kind.shape.values)
    except (AttributeError, TypeError, ValueError) as error:
        raise ImportFailed(
            f"'{name}' has no static shape",
            found=str(kind),
            allowed="fixed extents",
            hint="export the network for one frame size, batch 1",
        ) from error
