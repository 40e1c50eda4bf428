"""Building a GPU kernel as TIR, statement by statement; the same TIR becomes CUDA C and OpenCL C.

A kernel has one pointer per tensor and a fixed launch: a grid of groups, each with the same number of threads.
Arithmetic is scalar float32 on register arrays with constant indices. Memory is accessed by calls of helpers that move
1, 2, 4 or 8 elements; each family defines them in the prelude of its source (`backends/cuda.py`, `opencl.py`):

    tsm_load<n><t>(registers, global)    tsm_store<n><t>(global, registers)    t: h is IEEE binary16, f is binary32
    tsm_take<n>(registers, shared)       tsm_put<n>(shared, registers)
    tsm_at_least(value, bound)  tsm_at_most(value, bound)  tsm_larger(a, b)     these keep NaN
    tsm_lowest()                         minus infinity
    tsm_exp(value)                       the exponential function in float32, accurate to 4 units in the last place

so that float16 storage needs no 16-bit type, which OpenCL 1.2 devices may lack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script.builder import ir as T

from ...ir.dtype import FLOAT16, FLOAT32, DType, Pointer
from ...ir.plan import Launch
from ..cpu.builder import Buffer, Expr, bind, branch

FLOAT = str(FLOAT32)  # of registers and shared memory
WORDS = {FLOAT16: "uint16"}  # pointer types in place of those that not every device's language has
WIDTHS = (8, 4, 2, 1)


@dataclass(frozen=True)
class Memory:
    """A tensor in device memory."""

    buffer: Buffer
    dtype: DType

    def load(self, registers: Buffer, at: int, base: Expr, lanes: int) -> None:
        """registers[at : at + lanes] = this[base : base + lanes]."""
        call(f"tsm_load{lanes}{self._letter}", place(registers, at), place(self.buffer, base))

    def store(self, base: Expr, registers: Buffer, at: int, lanes: int) -> None:
        """this[base : base + lanes] = registers[at : at + lanes]."""
        call(f"tsm_store{lanes}{self._letter}", place(self.buffer, base), place(registers, at))

    @property
    def _letter(self) -> str:
        return "h" if self.dtype is FLOAT16 else "f"


def build_kernel(pointers: Mapping[str, Pointer], launch: Launch, body: Callable[..., None]) -> tirx.PrimFunc:
    """The PrimFunc of a kernel.

    pointers: argument name -> the elements behind it, float16 or float32, in calling order.
    body: called with {name: Memory}, the thread's number in its group and the group's numbers (x, y, z).
    """
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("kernel")
        T.func_attr({"tirx.noalias": True})
        kinds = {name: WORDS.get(pointer.dtype, str(pointer.dtype)) for name, pointer in pointers.items()}
        handles = [T.arg(name, T.handle(kinds[name])) for name in pointers]
        memory = {
            name: Memory(T.decl_buffer((pointer.size,), kinds[name], data=handle), pointer.dtype)
            for (name, pointer), handle in zip(pointers.items(), handles, strict=True)
        }
        with _launched(launch) as (thread, group):
            body(memory, thread, group)
    return builder.get()


@contextmanager
def _launched(launch: Launch) -> Iterator[tuple[Expr, tuple[Expr, Expr, Expr]]]:
    with (
        T.launch_thread("blockIdx.x", launch.grid[0]) as x,
        T.launch_thread("blockIdx.y", launch.grid[1]) as y,
        T.launch_thread("blockIdx.z", launch.grid[2]) as z,
        T.launch_thread("threadIdx.x", launch.threads) as thread,
    ):
        yield thread, (x, y, z)


def registers(size: int) -> Buffer:
    """`size` floats in registers of one thread; every index must be a constant after unrolling."""
    return T.alloc_buffer((size,), FLOAT, scope="local")


def shared(size: int) -> Buffer:
    """`size` floats in shared memory of the group."""
    return T.alloc_buffer((size,), FLOAT, scope="shared")


def barrier() -> None:
    """A barrier of the group, which every thread must reach."""
    T.evaluate(tirx.call_intrin("void", "tirx.tvm_storage_sync", "shared"))


def place(buffer: Buffer, at: Expr) -> Expr:
    """The address of an element."""
    return tirx.address_of(buffer[at])


def call(name: str, *arguments: Expr) -> None:
    """Call a helper of the prelude for its effect."""
    T.evaluate(tirx.call_extern("int32", name, *arguments))


def take(values: Buffer, at: int, source: Buffer, base: Expr, lanes: int) -> None:
    """Registers from shared memory."""
    call(f"tsm_take{lanes}", place(values, at), place(source, base))


def put(target: Buffer, base: Expr, values: Buffer, at: int, lanes: int) -> None:
    """Registers to shared memory."""
    call(f"tsm_put{lanes}", place(target, base), place(values, at))


def assign(values: Buffer, at: int, value: Expr) -> None:
    """values[at] = value."""
    T.buffer_store(values, value, [at])


def fill(values: Buffer, at: int, count: int, value: float) -> None:
    """values[at : at + count] = value."""
    for index in range(at, at + count):
        assign(values, index, tirx.const(value, FLOAT))


def clamp(values: Buffer, at: int, count: int, low: float | None, high: float | None) -> None:
    """Limit values[at : at + count]; None leaves that side open. NaN stays NaN."""
    for index in range(at, at + count):
        value = values[index]
        value = value if low is None else _pure("tsm_at_least", value, tirx.const(low, FLOAT))
        value = value if high is None else _pure("tsm_at_most", value, tirx.const(high, FLOAT))
        if low is not None or high is not None:
            assign(values, index, value)


def larger(first: Expr, second: Expr) -> Expr:
    """The maximum, NaN where either is."""
    return _pure("tsm_larger", first, second)


def lowest() -> Expr:
    """Minus infinity; TVM's own literal needs headers that our sources do not include."""
    return _pure("tsm_lowest")


def exp(value: Expr) -> Expr:
    """The exponential function."""
    return _pure("tsm_exp", value)


def _pure(name: str, *arguments: Expr) -> Expr:
    return tirx.call_pure_extern(FLOAT, name, *arguments)


@contextmanager
def loop(count: int) -> Iterator[Expr]:
    """A serial loop over [0, count)."""
    with T.serial(0, count) as index:
        yield index


def width_of(count: int, most: int = 4) -> int:
    """The widest vector of 1, 2, 4 or 8 numbers that divides `count` and is at most `most`."""
    return next(width for width in WIDTHS if width <= most and count % width == 0)


def ceil_div(a: int, b: int) -> int:
    """a / b, rounded up."""
    return -(-a // b)


__all__ = [
    "FLOAT",
    "Buffer",
    "Expr",
    "Launch",
    "Memory",
    "assign",
    "barrier",
    "bind",
    "branch",
    "build_kernel",
    "ceil_div",
    "clamp",
    "exp",
    "fill",
    "loop",
    "put",
    "registers",
    "shared",
    "take",
    "width_of",
]
