"""Operators that no schedule claims: TVM's own legalisation with plain loops, one work item, reported as `generic`."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np
import tvm
from tvm import relax, s_tir, tirx
from tvm.s_tir.stmt import SBlock, SBlockRealize
from tvm_ffi import structural_map

from tsm_edge.errors import ImportFailed

from ..ir.dtype import DType
from ..ir.graph import Graph, Node

Names = dict[relax.Var, Any]  # of a variable: its value's name, or those of a tuple's fields


@dataclass(frozen=True)
class Tensor:
    """A tensor argument of a legalised kernel."""

    name: str
    shape: tuple[int, ...]
    dtype: DType


@dataclass(frozen=True)
class GenericCall:
    """One legalised kernel and its tensors in calling order: `inputs` of them are read, the rest are written."""

    function: tirx.PrimFunc
    tensors: tuple[Tensor, ...]
    inputs: int
    constants: dict[str, np.ndarray]

    def build(self) -> tirx.PrimFunc:
        """The kernel, as that of a schedule is built."""
        return self.function

    def renamed(self, names: dict[str, str]) -> GenericCall:
        """The same call with some tensors under other names."""
        tensors = tuple(replace(tensor, name=names.get(tensor.name, tensor.name)) for tensor in self.tensors)
        return replace(self, tensors=tensors)


def legalise(graph: Graph, node: Node) -> list[GenericCall]:
    """Turn a node's Relax call into kernels over raw pointers.

    Raises ImportFailed with the operator's name when TVM has no kernel for it.
    """
    try:
        return kernels_of(graph, node)
    except ImportFailed:
        raise
    except Exception as error:  # TVM raises anything from InternalError to TypeError
        raise ImportFailed(
            f"Operator '{node.operator}' of node '{node.layer}' cannot be lowered.",
            found=f"{type(error).__name__}: {error}"[:300],
            hint="replace it in the network, or compute it outside",
        ) from error


def kernels_of(graph: Graph, node: Node) -> list[GenericCall]:
    """The kernels of a node; whatever TVM raises goes through."""
    module = relax.transform.LegalizeOps()(one_call(graph, node))
    main = module["main"]
    inputs = [name for name in unique(node.inputs) if name not in graph.constants]
    names: Names = dict(zip(main.params, inputs, strict=True))
    calls: list[GenericCall] = []
    for index, binding in enumerate(b for block in main.body.blocks for b in block.bindings):
        value = binding.value
        if isinstance(value, relax.TupleGetItem):
            names[binding.var] = names[value.tuple_value][value.index]
        elif isinstance(value, relax.Tuple):
            names[binding.var] = [names[field] for field in value.fields]
        elif isinstance(value, relax.Call) and getattr(value.op, "name", "") == "relax.call_tir":
            calls.append(_call(module, binding, names, f"{node.output}_{index}"))
        elif value in names:
            names[binding.var] = names[value]
        else:
            _unsupported(node, value)
    results = names[main.body.body]
    final = dict(zip(results if isinstance(results, list) else [results], node.outputs))
    return [call.renamed(final) for call in calls]


def _unsupported(node: Node, value: relax.Expr) -> NoReturn:
    operator = getattr(getattr(value, "op", None), "name", str(value)[:60])
    raise ImportFailed(
        f"Operator '{operator}' of node '{node.output}' is not supported.",
        found=operator,
        allowed="operators that TVM can lower to loops",
        hint="replace it in the network, or compute it outside",
    )


def unique(names: list[str]) -> list[str]:
    return list(dict.fromkeys(names))


def one_call(graph: Graph, node: Node) -> tvm.IRModule:
    """A Relax module whose main is this node alone."""
    assert node.call is not None, "nodes that passes insert have schedules"
    builder = relax.BlockBuilder()
    variables: dict[str, relax.Var] = {
        name: relax.Var(name, relax.TensorType(graph.shape(name), str(graph.dtype(name))))
        for name in unique(node.inputs)
        if name not in graph.constants
    }
    values = iter(
        [variables[name] if name in variables else constant(graph.constants[name]) for name in node.inputs]
    )
    arguments = [_rebuilt(argument, values) for argument in node.call.args]
    if node.function is not None:
        arguments[0] = builder.add_func(node.function, "lowered")
    call = relax.Call(node.call.op, arguments, node.call.attrs, node.call.ty_args)
    with builder.function("main", list(variables.values())):
        with builder.dataflow():
            result = builder.emit_output(builder.emit(call))
        builder.emit_func_output(result)
    return builder.get()


def constant(array: np.ndarray) -> relax.Constant:
    """A literal of the array's own dtype: without one, Relax makes int64 to int32 and float64 to float32."""
    return relax.const(array, str(array.dtype))


def _rebuilt(argument: relax.Expr, values: Iterator[relax.Expr]) -> relax.Expr:
    """An argument of the original call with its tensors replaced by `values`, in order."""
    kind = getattr(argument, "ty", None)
    if isinstance(kind, relax.TensorType):
        return next(values)
    if isinstance(kind, relax.TupleType) and kind.fields and isinstance(kind.fields[0], relax.TensorType):
        return relax.Tuple([next(values) for _ in kind.fields])
    return argument


def _call(module: tvm.IRModule, binding: relax.VarBinding, names: Names, prefix: str) -> GenericCall:
    """One call_tir binding; registers the names of its outputs."""
    function, arguments = binding.value.args[0], binding.value.args[1].fields
    tensors: list[Tensor] = []
    constants: dict[str, np.ndarray] = {}
    for position, argument in enumerate(arguments):
        if isinstance(argument, tvm.ir.GenericConst):
            constants[f"{prefix}_c{position}"] = argument.value.numpy()
        name = f"{prefix}_c{position}" if isinstance(argument, tvm.ir.GenericConst) else names[argument]
        tensors.append(Tensor(name, extents(argument.ty.shape.values), DType(str(argument.ty.dtype))))
    kind = binding.var.ty
    types = list(kind.fields) if isinstance(kind, relax.TupleType) else [kind]
    outputs = [
        Tensor(f"{prefix}_t{i}", extents(t.shape.values), DType(str(t.dtype))) for i, t in enumerate(types)
    ]
    results = [tensor.name for tensor in outputs]
    names[binding.var] = results if isinstance(kind, relax.TupleType) else results[0]
    primitive, buffers = hoist_workspaces(keep_nan(module[function]))
    workspaces = [
        Tensor(f"{prefix}_w{i}", extents(b.ty.shape), DType(str(b.ty.dtype))) for i, b in enumerate(buffers)
    ]
    return GenericCall(raw_pointers(primitive), (*tensors, *outputs, *workspaces), len(tensors), constants)


def keep_nan(function: tirx.PrimFunc) -> tirx.PrimFunc:
    """Make every maximum and minimum NaN where an operand is, as their operators say; TVM's own may drop it."""

    def rewritten(node: tirx.Max | tirx.Min) -> tirx.PrimExpr:
        if not str(node.ty.dtype).startswith("float"):
            return node
        beats = operator.gt if isinstance(node, tirx.Max) else operator.lt
        first, second = (node.b, node.a) if isinstance(node.a, tirx.FloatImm) else (node.a, node.b)
        if isinstance(second, tirx.FloatImm):
            return tirx.Select(beats(second, first), second, first)
        return tirx.Select(tirx.isnan(first), first, tirx.Select(beats(first, second), first, second))

    return structural_map(function, ((tirx.Max, tirx.Min), rewritten))


def extents(values: Iterable[tirx.IntImm]) -> tuple[int, ...]:
    return tuple(int(extent) for extent in values)


def hoist_workspaces(function: tirx.PrimFunc) -> tuple[tirx.PrimFunc, list[tirx.Buffer]]:
    """Make a kernel's own buffers parameters, so that the arena holds them and nothing is allocated."""
    realize = function.body
    block = realize.block
    buffers = list(block.alloc_buffers)
    bare = SBlock(
        block.iter_vars,
        block.reads,
        block.writes,
        block.name_hint,
        block.body,
        block.init,
        [],
        block.match_buffers,
        block.annotations,
    )
    body = SBlockRealize(realize.iter_values, realize.predicate, bare)
    return tirx.PrimFunc([*function.params, *buffers], body, attrs=function.attrs), buffers


def raw_pointers(function: tirx.PrimFunc) -> tirx.PrimFunc:
    """Lower the blocks of a legalised kernel to loops and give it the kernel ABI: pointers, begin, end."""
    passes = s_tir.transform
    module = tvm.ir.transform.Sequential(
        [
            passes.CanonicalizeLoop(),
            passes.LowerInitBlock(),
            passes.PlanAndUpdateBufferAllocationLocation(),
            passes.ConvertBlocksToOpaque(),
            passes.CompactBufferAllocation(),
            passes.LowerMatchBuffer(),
            passes.LowerOpaqueBlock(),
        ]
    )(tvm.IRModule({"main": function}))
    lowered = module["main"]
    handles = [
        tirx.Var(f"p{i}", tvm.ir.PointerType(tvm.ir.PrimType(str(buffer.ty.dtype)), "global"))
        for i, buffer in enumerate(lowered.params)
    ]
    declared = [
        tirx.DeclBuffer(buffer, data=handle) for buffer, handle in zip(lowered.params, handles, strict=True)
    ]
    span = [tirx.Var(name, "int32") for name in ("begin", "end")]
    body = tirx.SeqStmt([*declared, lowered.body])
    return tirx.PrimFunc([*handles, *span], body, attrs=lowered.attrs)
