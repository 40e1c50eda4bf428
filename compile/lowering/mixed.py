"""Mixed precision of an int8 network on a CPU: 3x3 layers run as float16 Winograd where that is modelled faster.

A layer costs the longer of its arithmetic, divided by the cores, and of its weights from memory, as in the latency
model (`latency_cpu.py`); an 8-bit layer saves bytes, Winograd multiplications. Every conversion between the two forms
is a kernel that moves numbers. float16 has to be clearly faster, as Winograd has to be elsewhere: its weights are four
to eight times as large. The choice starts from all layers in either form and changes one at a time while that helps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from math import inf, prod
from types import ModuleType

from tsm_edge.target import EdgeTarget

from ..ir.dtype import FLOAT16, Types
from ..ir.graph import Graph
from ..ir.ops import Conv, QConv
from ..kernels.cpu import cost_int8
from ..kernels.cpu.tiling import Machine
from ..quantize import check_layers, crossing, values_in_floats
from ..schedules import registry
from ..schedules.cpu import winograd
from ..schedules.cpu_int8 import conv as conv_int8
from .latency_cpu import DRAM_EFFICIENCY

HALVES = Types(*[FLOAT16] * len(fields(Types)))
Kept = frozenset[str]


@dataclass(frozen=True)
class Choice:
    """One layer's modelled cycles in both forms, conversions left out, and whether it computes in float16."""

    layer: str
    halves: float
    bytes: float
    kept: bool = False

    @property
    def text(self) -> str:
        """A line of --dump."""
        form = "float16" if self.kept else "int8"
        costs = f"float16 Winograd {self.halves / 1e6:.2f}, int8 {self.bytes / 1e6:.2f} M cycles"
        return f"{self.layer}: {form} ({costs})"


def choose(graph: Graph, backend: ModuleType, target: EdgeTarget, excluded: Iterable[str] = ()) -> list[Choice]:
    """The choice for every layer that Winograd may take in float16, without those that are excluded from 8 bits.

    None where a target has not both arithmetics.
    """
    if not target.cpu.dotprod or not target.cpu.fp16:
        return []
    check_layers(graph, excluded)
    machine, forced = backend.machine(target, "fp16"), frozenset(excluded)
    found = {choice.layer: choice for choice in candidates(graph, machine) if choice.layer not in forced}

    def total(kept: Kept) -> float:
        layers = sum(one.halves / winograd.GAIN if one.layer in kept else one.bytes for one in found.values())
        return layers + converted(graph, kept | forced, machine) / target.cpu.cores

    best = min((improved(start, found, total) for start in (frozenset(found), frozenset[str]())), key=total)
    return [replace(choice, kept=name in best) for name, choice in found.items()]


def with_threads(target: EdgeTarget, threads: int) -> EdgeTarget:
    """A target as that many threads see it: the cores that they use share its memory, and a common second-level cache,
    among themselves.
    """
    cpu = target.cpu
    cores = min(threads, cpu.cores)
    l2_kib = cpu.l2_kib * cpu.cores // cores if cpu.shared_l2 else cpu.l2_kib
    return replace(target, cpu=replace(cpu, cores=cores, l2_kib=l2_kib))


def in_order(graph: Graph, layers: Kept) -> list[str]:
    """Layers in the order of the network."""
    return list(dict.fromkeys(node.layer for node in graph.nodes if node.layer in layers))


def candidates(graph: Graph, machine: Machine) -> Iterable[Choice]:
    """The layers whose schedule in float16 is Winograd's."""
    for node in graph.nodes:
        if not isinstance(node.op, Conv) or not winograd.claims(node.op):
            continue
        op = replace(node.op, types=HALVES)
        if registry.find("cpu", op, machine) is winograd.SCHEDULE:
            params = winograd.Params.from_machine(machine, op)
            halves = winograd.cycles(replace(machine, stream=inf), op, params)
            stream = machine.stream * DRAM_EFFICIENCY
            layer = QConv(node.op)
            in_bytes = conv_int8.cycles(machine, layer, conv_int8.best(machine, layer)) / machine.cores
            weights = op.taps * op.out_channels
            yield Choice(node.layer, max(halves, params.weights(op) / stream), max(in_bytes, weights / stream))


def improved(kept: Kept, layers: Mapping[str, Choice], total: Callable[[Kept], float]) -> Kept:
    """A set of layers that no change of one layer makes faster."""
    least = total(kept)
    while True:
        nearby = {total(kept ^ {layer}): kept ^ {layer} for layer in layers}
        if not nearby or min(nearby) >= least:
            return kept
        least = min(nearby)
        kept = nearby[least]


def converted(graph: Graph, kept: Kept, machine: Machine) -> float:
    """Cycles of one core for all conversions between the forms."""
    floats = values_in_floats(graph, kept)
    needed = {(name, node.output in floats) for node in graph.nodes for name in crossing(graph, node, floats)}
    return sum(cost_int8.converted(machine, prod(graph.shape(name)), half=True) for name, _ in needed)
