"""Lowering of graph nodes to kernels, by a schedule that claims the node's operator or by TVM's generic loops."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import NoReturn

import numpy as np
from tvm import tirx

from tsm_edge.errors import CompileError

from ..ir.dtype import FLOAT32, DType
from ..ir.graph import Graph, Node
from ..ir.ops import Alias, Copy, GlobalPool, Op, OverFrames, QMean, QOp, Role, text
from ..ir.plan import ALIGN, Cycles, Launch, Work, aligned
from ..passes import block_channels, fuse_block, pitch, storage
from ..schedules import registry
from ..schedules.rule import Machine
from . import generic

GENERIC = "generic"
BYTES_OF = {"cpu": "cpu_int8"}  # family -> where its 8-bit schedules are
SCRATCH = Role.SCRATCH.value  # the argument that is the calling thread's own memory


@dataclass(frozen=True)
class Step:
    """One kernel of the step. arguments: value or constant names in calling order; `key` is equal for equal code."""

    key: Hashable
    label: str
    layer: str
    schedule: str
    note: str
    items: int
    macs: int
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    arguments: tuple[str, ...]
    build: Callable[[], tirx.PrimFunc]
    launch: Launch | None = None
    work: Work | Cycles | None = None
    frames: int = 1  # how often it runs, each time on the next frame of every value
    reason: str = "no schedule takes it"

    @property
    def claim(self) -> str:
        """Which schedule takes the operator, how, and why."""
        return f"{self.schedule} takes {self.label} of {self.layer}: {self.note or '-'} ({self.reason})"


@dataclass
class Lowered:
    """All steps, with the constants they read and the shape (as stored) and type of what they write besides values."""

    steps: list[Step]
    constants: dict[str, np.ndarray]
    extra: dict[str, tuple[tuple[int, ...], DType]]
    scratch: int = 0  # bytes each thread needs


def prepare(graph: Graph, family: str, machine: Machine, align: int = ALIGN) -> None:
    """The target-dependent passes: element types, frame pitches, fused blocks, blocked layouts.

    machine: the target's facts for the schedules of a family. align: alignment of tensors in bytes.
    """
    plain = plain_values(graph, family, machine) if machine.storage is not FLOAT32 else []
    storage.run(graph, machine.storage, machine.biases, plain)
    pitch.run(graph, align)
    fuse_block.run(graph, lambda block: registry.find(family, block, machine) is not None)
    if machine.blocks_channels:
        block_channels.run(graph, machine.lanes)


def plain_values(graph: Graph, family: str, machine: Machine) -> list[str]:
    """Values that stay float32 on a machine with plain loops, which know no other floats.

    Those are what an operator without a schedule reads and writes, and means over an image, which are a network's
    longest sums.
    """
    names: list[str] = []
    for node, op in operators(graph) if machine.plain_loops else ():
        if op is None or registry.find(schedules_of(family, op), op, machine) is None:
            names += [*node.inputs, *node.outputs]
        elif isinstance(op, (GlobalPool, QMean)):
            names.append(node.output)
    return names


def operators(graph: Graph) -> Iterator[tuple[Node, Op | None]]:
    """Every node that computes, with the record that a schedule may claim."""
    for node in graph.nodes:
        if not isinstance(node.op, Alias):
            yield node, node.op if isinstance(node.op, Op) else None


def schedules_of(family: str, op: Op | None) -> str:
    """The family whose schedules an operator is offered to."""
    return BYTES_OF.get(family, family) if isinstance(op, QOp) else family


def lower(graph: Graph, family: str, machine: Machine, tuned: Mapping[str, str] | None = None) -> Lowered:
    """Schedule every node of a prepared graph. tuned: operator as text -> a name of `registry.choices`."""
    lowered = Lowered([], {}, {})
    for node, op in operators(graph):
        choice = (tuned or {}).get(text(op), "") if op else ""
        selection = None if op is None else registry.select(schedules_of(family, op), op, machine, choice)
        if op is None or selection is None:
            if not machine.plain_loops or graph.clip:
                refuse(node, machine)
            lower_generic(graph, node, lowered)
            continue
        kernel = selection.kernel(op, machine, *node.weights)
        frames = frames_of(graph, node)
        names = tensors_of(node)
        if SCRATCH in kernel.pointers:
            lowered.scratch = max(lowered.scratch, aligned(kernel.pointers[SCRATCH].bytes))
        for pointer, array in kernel.constants.items():
            names[pointer] = f"{node.output}.{pointer}"
            lowered.constants[names[pointer]] = array
        arguments = tuple(names[pointer] for pointer in kernel.pointers)
        lowered.constants.update(
            {name: graph.constants[name] for name in arguments if name in graph.constants}
        )
        writes = tuple(names[pointer] for pointer in kernel.pointers if pointer in (Role.Y, Role.NEXT))
        reads = tuple(name for name in arguments if name not in (*writes, SCRATCH))
        lowered.steps.append(
            Step(
                (kernel.rule, op),
                kernel.op.label,
                node.layer,
                kernel.rule,
                kernel.note,
                kernel.items,
                kernel.op.macs * frames,
                reads,
                writes,
                arguments,
                kernel.build,
                kernel.launch,
                kernel.work,
                frames,
                selection.reason,
            )
        )
    return lowered


def frames_of(graph: Graph, node: Node) -> int:
    """How often a kernel runs in a step: once a frame, but for those that take all frames at once.

    A state that is copied as it is, is copied whole.
    """
    op = node.op
    at_once = isinstance(op, OverFrames) or (isinstance(op, GlobalPool) and op.frames > 1)
    at_once |= isinstance(op, Copy) and node.inputs[0] in graph.states
    return 1 if at_once else graph.frames(node.output)


def refuse(node: Node, machine: Machine) -> NoReturn:
    """An operator without a schedule, in a clip or on a machine that has no plain loops for it."""
    raise CompileError(
        f"No {'' if machine.plain_loops else 'GPU '}schedule takes layer '{node.layer or node.output}'.",
        found=node.operator or node.kind,
        allowed="convolutions, pools, shifts, adds and clamps that fuse into them",
        hint="compile for the device's processor: --backend cpu",
    )


def tensors_of(node: Node) -> dict[str, str]:
    """The value behind every pointer that a kernel of this node may have."""
    roles = {role.value: name for role, name in node.roles.items()}
    return {Role.X.value: node.inputs[0], Role.Y.value: node.output, SCRATCH: SCRATCH, **roles}


def lower_generic(graph: Graph, node: Node, lowered: Lowered) -> None:
    """Append TVM's kernels for a node without a schedule."""
    for call in generic.legalise(graph, node):
        for tensor in call.tensors:
            if tensor.name not in graph.values and tensor.name not in call.constants:
                lowered.extra[tensor.name] = (tensor.shape or (1,), tensor.dtype)
        lowered.constants.update(call.constants)
        arguments = tuple(tensor.name for tensor in call.tensors)
        lowered.constants.update(
            {name: graph.constants[name] for name in arguments if name in graph.constants}
        )
        label = f"{node.operator.removeprefix('relax.')}_{prod(graph.shape(node.output))}".replace(".", "_")
        lowered.steps.append(
            Step(
                (GENERIC, arguments),
                label,
                node.layer,
                GENERIC,
                "",
                1,
                0,
                arguments[: call.inputs],
                arguments[call.inputs :],
                arguments,
                call.build,
            )
        )
