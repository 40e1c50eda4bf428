"""The kernel that a GPU schedule returns, and the parts that several GPU schedules share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from tvm import tirx

from ...ir.dtype import Pointer
from ...ir.ops import Conv, Op
from ...ir.plan import Work
from ...kernels.gpu import builder, matmul, operands, tiling
from ...kernels.gpu.builder import Expr, Launch, Memory
from ...kernels.gpu.operands import Epilogue, Prepared, Product, Source
from ...kernels.gpu.tiling import Gemm, Machine
from ..pointers import conv_pointers


@dataclass(frozen=True)
class Kernel:
    """One scheduled operator with its launch; `schedules/rule.py` says what its members are.

    Pointers have the names of `schedules.cpu.Kernel`. instructions: modelled issue slots of one thread. parallel:
    independent instructions of a thread, relative to a register tile's (`tiling.unit_cycles`).
    """

    op: Op
    rule: str
    pointers: dict[str, Pointer]
    launch: Launch
    body: Callable[..., None]
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    note: str = ""
    instructions: float = 0.0
    parallel: float = 1.0

    def on(self, machine: Machine) -> Kernel:
        """Itself: a GPU kernel is built for its machine."""
        return self

    @property
    def items(self) -> int:
        """Threads of the launch."""
        x, y, z = self.launch.grid
        return x * y * z * self.launch.threads

    @property
    def work(self) -> Work:
        """Input of the latency model."""
        return Work(self.instructions, self.parallel)

    def build(self) -> tirx.PrimFunc:
        """Emit the TIR."""
        return builder.build_kernel(self.pointers, self.launch, self.body)


@dataclass(frozen=True)
class Params:
    """Threads of a group, for kernels whose threads move one element each."""

    threads: int

    @classmethod
    def from_machine(cls, machine: Machine, op: Op) -> Params:
        return cls(min(64, machine.group_threads))

    def launch(self, count: int, frames: int = 1) -> Launch:
        """The launch of `count` threads for each frame, the second axis of the grid."""
        return Launch((builder.ceil_div(count, self.threads), frames, 1), self.threads)

    def each(self, count: int, thread: Expr, group: Expr, emit: Callable[[Expr], None]) -> None:
        """Call `emit(element)` in the threads that have one of `count` elements."""
        item = builder.bind(group * self.threads + thread)
        builder.branch(count % self.threads == 0 or item < count, lambda: emit(item))


def epilogue(op: Conv, memory: dict[str, Memory]) -> Epilogue:
    """The epilogue of a convolution over its arguments."""
    return Epilogue(
        memory["y"],
        memory["b"],
        op.out_channels,
        memory.get("r"),
        op.low,
        op.high,
        memory.get("next"),
        op.fold_out,
    )


def source(op: Conv, memory: dict[str, Memory]) -> Source:
    """The activations of a convolution over its arguments."""
    return Source(memory["x"], op.channels, memory.get("state"), op.fold_in)


def product_kernel(
    op: Conv,
    rule: str,
    machine: Machine,
    gemm: Gemm,
    matrix: np.ndarray,
    bias: np.ndarray,
    product_of: Callable[[Source], Product[Prepared]],
) -> Kernel:
    """The kernel of a matrix product. matrix: weights as [k, n], k padded to whole stages of every tap."""
    packed = operands.pack(matrix, gemm, op.types.w)
    padded = operands.pad_bias(bias, gemm)
    pointers = conv_pointers(op, packed.size, padded.size)
    columns = builder.ceil_div(op.out_channels, gemm.tile_columns)
    rows = builder.ceil_div(op.pixels, gemm.tile_rows)
    launch = Launch((columns, rows, 1), gemm.threads, gemm.shared_bytes)

    def body(memory: dict[str, Memory], thread: Expr, group: tuple[Expr, Expr, Expr]) -> None:
        matmul.emit(product_of(source(op, memory)), memory["w"], epilogue(op, memory), thread, group[:2])

    return Kernel(
        op,
        rule,
        pointers,
        launch,
        body,
        constants={"w": packed, "b": padded},
        note=gemm.note,
        instructions=tiling.gemm_instructions(gemm, matrix.shape[0] // gemm.depth, machine.convert),
    )
