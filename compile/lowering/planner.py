"""Lowered steps to a plan: names symbols, lays out weights and states, and places every value in the arena."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass

import numpy as np
from tvm import tirx

from tsm_edge.errors import ImportFailed

from ..ir.dtype import FLOAT32, DType
from ..ir.graph import Graph
from ..ir.ops import Alias
from ..ir.plan import (
    ALIGN,
    ARENA,
    SCRATCH,
    STATE_IN,
    STATE_OUT,
    WEIGHTS,
    Cycles,
    Plan,
    PlanOp,
    PlanTensor,
    Work,
    aligned,
    allocate,
    lifetimes,
    tensor_bytes,
)
from ..passes.pitch import pitch_of
from .lower import SCRATCH as SCRATCH_NAME
from .lower import Lowered, Step


@dataclass(frozen=True)
class Planned:
    """A plan, the kernels behind its symbols (symbol -> builder of a PrimFunc) and the weight blob."""

    plan: Plan
    kernels: dict[str, Callable[[], tirx.PrimFunc]]
    weights: bytes
    states: tuple[str, ...]  # tensors in state_in, in signature order
    steps: tuple[Step, ...]  # behind the plan's operations, in their order
    work: dict[str, Work | Cycles]  # by symbol, where the family's schedules model it


def plan(graph: Graph, lowered: Lowered, align: int = ALIGN) -> Planned:
    """Place everything; every tensor starts at a multiple of `align`, itself a multiple of the plan's ALIGN."""
    aliases = storage_aliases(graph)
    steps = [resolve(step, aliases) for step in lowered.steps]
    kernels, symbols = name_kernels(steps)
    offsets, blob = lay_weights(steps, lowered.constants, align)
    tensors = {
        name: PlanTensor(name, DType(str(array.dtype)), array.shape or (1,), WEIGHTS, offsets[name])
        for name, array in lowered.constants.items()
        if name in offsets
    }
    state_bytes = 0
    for name in graph.states:
        target = aliases.get(graph.state_outputs[name], graph.state_outputs[name])
        for value, memory in ((name, STATE_IN), (target, STATE_OUT)):
            scale = graph.scales.get(name, (0.0, 0))
            tensors[value] = PlanTensor(value, graph.dtype(name), graph.stored(name), memory, state_bytes, *scale)
        state_bytes += aligned(tensors[name].nbytes, align)
    output = aliases.get(graph.output, graph.output)
    spans = lifetimes([(step.reads, step.writes) for step in steps], output)
    if graph.frame not in spans:
        raise ImportFailed(
            "The network does not look at its frame.",
            found=f"input '{graph.signature.inputs[0].name}' is unused",
            allowed="an input that decides the scores",
            hint="export the network so that its scores are computed from the frame",
        )
    values = {name: describe(graph, lowered, name) for name in spans if name not in tensors}
    pitches = {name: pitch_of(graph, name) if name in graph.values else 0 for name in values}
    sizes = {name: tensor_bytes(shape, dtype, pitches[name]) for name, (shape, dtype) in values.items()}
    arena, arena_bytes = allocate(sizes, spans, align)
    for name, (shape, dtype) in values.items():
        tensors[name] = PlanTensor(name, dtype, shape, ARENA, arena[name], pitch=pitches[name])
    if lowered.scratch:
        words = lowered.scratch // FLOAT32.bytes  # kernels of any type share it
        tensors[SCRATCH_NAME] = PlanTensor(SCRATCH_NAME, FLOAT32, (words,), SCRATCH, 0)
    placed = Plan(
        graph.frame,
        output,
        tuple(tensors.values()),
        tuple(operation(symbol, step) for symbol, step in zip(symbols, steps, strict=True)),
        arena_bytes,
        state_bytes,
        len(blob),
        lowered.scratch,
    )
    work = {symbol: step.work for symbol, step in zip(symbols, steps, strict=True) if step.work is not None}
    return Planned(placed, kernels, blob, tuple(graph.states), tuple(steps), work)


def operation(symbol: str, step: Step) -> PlanOp:
    """The plan's record of a step that calls kernel `symbol`."""
    return PlanOp(
        symbol,
        word(step.layer),
        word(f"{step.schedule}:{step.note}".rstrip(":")),
        step.items,
        step.macs,
        step.reads,
        step.writes,
        step.arguments,
        step.launch,
        step.frames,
    )


def storage_aliases(graph: Graph) -> dict[str, str]:
    """Values that are another value's bytes under a different shape."""
    aliases: dict[str, str] = {}
    for node in graph.nodes:
        if isinstance(node.op, Alias):
            aliases[node.output] = aliases.get(node.inputs[0], node.inputs[0])
    return aliases


def resolve(step: Step, aliases: dict[str, str]) -> Step:
    """The step with every alias replaced by the value that owns the storage."""
    if not aliases:
        return step
    named = {
        field: tuple(aliases.get(name, name) for name in getattr(step, field))
        for field in ("reads", "writes", "arguments")
    }
    return Step(**{**step.__dict__, **named})


def name_kernels(steps: list[Step]) -> tuple[dict[str, Callable[[], tirx.PrimFunc]], list[str]]:
    """One symbol per distinct kernel; equal shapes with different epilogues are numbered."""
    kernels: dict[str, Callable[[], tirx.PrimFunc]] = {}
    by_key: dict[Hashable, str] = {}
    symbols = []
    for step in steps:
        if step.key not in by_key:
            base = symbol = f"tsm_{step.label}"
            count = 1
            while symbol in kernels:
                count += 1
                symbol = f"{base}_v{count}"
            by_key[step.key] = symbol
            kernels[symbol] = step.build
        symbols.append(by_key[step.key])
    return kernels, symbols


def lay_weights(
    steps: list[Step], constants: dict[str, np.ndarray], align: int = ALIGN
) -> tuple[dict[str, int], bytes]:
    """Constants in the order a step reads them, each aligned; equal arrays share their place."""
    offsets: dict[str, int] = {}
    places: dict[bytes, int] = {}
    blob = bytearray()
    for name in used_constants(steps, constants):
        data = np.ascontiguousarray(constants[name]).tobytes()
        if data not in places:
            blob += bytes(-len(blob) % align)
            places[data] = len(blob)
            blob += data
        offsets[name] = places[data]
    blob += bytes(-len(blob) % align)
    return offsets, bytes(blob)


def used_constants(steps: list[Step], constants: dict[str, np.ndarray]) -> Iterator[str]:
    seen: set[str] = set()
    for step in steps:
        for name in step.arguments:
            if name in constants and name not in seen:
                seen.add(name)
                yield name


def word(text: str) -> str:
    """A name as one word of the plan's text; foreign layers are called anything."""
    return "".join(c if c.isprintable() and c not in ", " else "-" for c in text) or "-"


def describe(graph: Graph, lowered: Lowered, name: str) -> tuple[tuple[int, ...], DType]:
    """Stored shape and type of a value."""
    if name in lowered.extra:
        return lowered.extra[name]
    return graph.stored(name) or (1,), graph.dtype(name)
