"""The edges of an 8-bit network: quantisation, dequantisation, and the mean that dequantises.

1. Quantise: v / step rounded half to even, plus zero, saturated; 16 elements at a time. Of float16 eight
   numbers at once, on NEON and where its range allows.
2. Dequantise: q - zero in 16 bits, converted, times step; 16 elements at a time.
3. Mean: a 32-bit sum over all pixels, minus pixels * zero, times step / pixels; the operators after it are float32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from tvm import tirx

from ...ir.dtype import FLOAT16, FLOAT32, INT8, INT32, DType, Pointer, Types
from ...ir.ops import Dequantise, Op, QMean, Quantise
from ...ir.plan import Cycles
from ...kernels.cpu import builder as tir
from ...kernels.cpu import bytes_neon, cost_int8, tiling
from ...kernels.cpu.builder import Buffer, Expr
from ...kernels.cpu.int8 import ByteSet, instructions, shuffled
from ..cpu import Kernel
from ..rule import NoParams, Schedule
from . import _rule

CHUNK = 1024  # numbers of a work item
HALF, OF_HALF = Types(x=INT8, y=FLOAT16), Types(x=FLOAT16, y=INT8)
CASES = (
    Quantise(3 * 20 * 18, 0.02, -7),
    Quantise(CHUNK * 2 + 13, 0.5, 12),
    Quantise(5, 1.0, -128),
    Quantise(CHUNK + 29, 0.02, -7, OF_HALF),
    Quantise(3, 2.0**-14, 100, OF_HALF),
    Dequantise(CHUNK * 2 + 13, 0.02, -128),
    Dequantise(CHUNK + 31, 0.03, 12, HALF),
    Dequantise(6, 2.0**-14, -3, HALF),
    QMean(49, 1280, 0.05, -128),
    QMean(15, 19, 0.02, 3),
    QMean(1, 4, 1.0, 0),
)


def claims(op: Op) -> bool:
    """All three operators."""
    return isinstance(op, (Quantise, Dequantise, QMean))


def schedule(op: Quantise | Dequantise | QMean, params: NoParams, machine: tiling.Machine) -> Kernel:
    """Quantise, Dequantise: x [size] -> y [size]. QMean: x [pixels, channels] int8 -> y [channels] float32."""
    if isinstance(op, QMean):
        return replace(mean(op), work=Cycles(cost_int8.summed(machine, op.pixels * op.channels)))
    piece = _quantised(op, instructions(machine)) if isinstance(op, Quantise) else _dequantised(op)
    work = Cycles(cost_int8.converted(machine, op.size, op.arithmetic is FLOAT16))
    return replace(elementwise(op, piece), work=work)


Piece = Callable[[Buffer, Buffer, Expr, int], None]  # x, y, the first of so many elements


def elementwise(op: Quantise | Dequantise, piece: Piece) -> Kernel:
    """The kernel of a conversion, 16 elements at a time."""
    chunks, rest = divmod(op.size, CHUNK)

    def body(x: Buffer, y: Buffer, begin: Expr, end: Expr) -> None:
        def chunk(item: Expr) -> None:
            with tir.loop(0, CHUNK // 16) as index:
                piece(x, y, tir.bind(item * CHUNK + index * 16), 16)

        def tail() -> None:
            with tir.loop(0, rest // 16) as index:
                piece(x, y, tir.bind(index * 16 + chunks * CHUNK), 16)
            for offset, lanes in tir.vectors(rest % 16, 8):
                piece(x, y, chunks * CHUNK + rest // 16 * 16 + offset, lanes)

        with tir.loop(begin, end) as item:
            if not chunks:
                tail()
            elif not rest:
                chunk(item)
            else:
                tir.branch(item < chunks, lambda: chunk(item), tail)

    pointers = {"x": Pointer(op.size, op.types.x), "y": Pointer(op.size, op.types.y)}
    return Kernel(op, "edges_cpu_int8", pointers, chunks + (rest > 0), body)


def _quantised(op: Quantise, isa: ByteSet) -> Piece:
    dtype = op.arithmetic
    factor = float(np.asarray(np.float32(1) / np.float32(op.step), dtype.numpy))
    width = 8 if dtype is FLOAT16 else isa.lanes

    def piece(x: Buffer, y: Buffer, at: Expr, lanes: int) -> None:
        numbers = []
        for first in range(0, max(lanes, width), width):
            count = min(width, lanes)
            value = tir.load(x, at + first, count) * tir.constant(factor, count, dtype)
            if count < width:
                some = [value] * (width // count)
                value = tirx.Shuffle(some, list(range(width))) if count > 1 else tirx.Broadcast(value, width)
            numbers.append(value if dtype is FLOAT16 else isa.rounded(value, op.zero))
        whole, size = bytes_neon.of_halves(numbers, op.zero) if dtype is FLOAT16 else isa.narrowed(numbers, False)
        tir.store(y, at, whole if lanes == size else shuffled(whole, 0, lanes), lanes)

    return piece


def _dequantised(op: Dequantise) -> Piece:
    dtype = op.arithmetic

    def piece(x: Buffer, y: Buffer, at: Expr, lanes: int) -> None:
        number = tirx.Cast(tir.vector_type(DType.INT16, lanes), tir.load(x, at, lanes))
        number = number - tir.constant(op.zero, lanes, DType.INT16)
        value = tirx.Cast(tir.vector_type(dtype, lanes), number)
        tir.store(y, at, value * tir.constant(op.step, lanes, dtype), lanes)

    return piece


def mean(op: QMean) -> Kernel:
    """The kernel of the mean."""
    whole = op.channels // 8
    tail = tir.vectors(op.channels - 8 * whole, 4)
    scale = float(np.float32(op.step) / np.float32(op.pixels))

    def vector(x: Buffer, y: Buffer, channel: Expr, lanes: int) -> None:
        total = tir.local(lanes, INT32)
        tir.store(total, 0, tir.constant(-op.pixels * op.zero, lanes, INT32), lanes)
        with tir.loop(0, op.pixels) as pixel:
            value = tir.load(x, pixel * op.channels + channel, lanes)
            tir.store(total, 0, tir.load(total, 0, lanes) + tirx.Cast(tir.vector_type(INT32, lanes), value), lanes)
        real = tirx.Cast(tir.vector_type(FLOAT32, lanes), tir.load(total, 0, lanes))
        tir.store(y, channel, real * tir.constant(scale, lanes), lanes)

    def body(x: Buffer, y: Buffer, begin: Expr, end: Expr) -> None:
        with tir.loop(begin, end) as item:
            rest = [(1, lambda at, o=o, n=n: vector(x, y, 8 * whole + o, n)) for o, n in tail]
            tir.switch_runs(item, [(whole, lambda at: vector(x, y, tir.bind(at * 8), 8)), *rest])

    pointers = {"x": Pointer(op.pixels * op.channels, INT8), "y": Pointer(op.channels, FLOAT32)}
    return Kernel(op, "edges_cpu_int8", pointers, whole + len(tail), body)


SCHEDULE = Schedule("edges_cpu_int8", claims, NoParams.from_machine, schedule, CASES, dtypes=_rule.DTYPES)
