"""Building a CPU kernel as TIR, statement by statement: a thin layer over TVM's IRBuilder.

A kernel is a C function: one pointer per tensor, then a half-open range of work items::

    void name(const float *x, const float *w, ..., float *y, int32_t begin, int32_t end);

A pointer has the element type of its operand. The type of the arithmetic is an argument of the functions that make
values (`local`, `constant`, `multiply_add`, `clip`, `larger`); `load` and `store` convert, so that a kernel may store
float16 and compute float32, or the other way round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script.builder import ir as T

from ...ir.dtype import FLOAT16, FLOAT32, DType, Pointer

Expr = Any  # tirx.Expr or a Python int; TVM overloads the arithmetic of both
Buffer = Any  # a flat buffer of one element type
FLOATS = (FLOAT16, FLOAT32)

#: Integer type of every index of the kernel being built: that of a pointer. LLVM cannot move a constant out of a
#: sign-extended 32-bit sum and recomputes addresses; 64 bits on a 32-bit machine cost up to half more instructions.
_index: ContextVar[str] = ContextVar("index", default="int64")
#: Type of the floating-point arithmetic of the kernel being built; loads convert to it.
_computed: ContextVar[DType] = ContextVar("computed", default=FLOAT32)
#: An opaque zero: the sign of the first work item, which LLVM cannot know.
_zero: ContextVar[Expr] = ContextVar("zero")


def build_kernel(
    pointers: Mapping[str, Pointer],
    body: Callable[..., None],
    index: str = "int64",
    dtype: DType = FLOAT32,
) -> tirx.PrimFunc:
    """The PrimFunc of a kernel.

    pointers: argument name -> the elements behind it, in calling order.
    body: called with one flat buffer per pointer, then `begin` and `end`; emits the statements.
    index: integer type of a pointer of the target. dtype: of the arithmetic.
    """
    _computed.set(dtype)
    _index.set(index)
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("kernel")
        T.func_attr({"tirx.noalias": True})
        handles = [T.arg(name, T.handle(str(pointer.dtype))) for name, pointer in pointers.items()]
        begin, end = T.arg("begin", T.int32()), T.arg("end", T.int32())
        first, last = (bind(tirx.Cast(index, bound)) for bound in (begin, end))
        _zero.set(bind(first >> 31))
        buffers = [
            T.decl_buffer((pointer.size,), str(pointer.dtype), data=handle)
            for pointer, handle in zip(pointers.values(), handles, strict=True)
        ]
        body(*buffers, first, last)
    return builder.get()


def local(size: int, dtype: DType = FLOAT32) -> Buffer:
    """Allocate `size` elements that LLVM promotes to registers; every index must be a constant after unrolling."""
    return T.alloc_buffer((size,), str(dtype), scope="local")


def vector_type(dtype: DType, lanes: int) -> str:
    """TVM's name of a vector type."""
    return str(dtype) if lanes == 1 else f"{dtype}x{lanes}"


def ramp(base: Expr, lanes: int) -> Expr:
    """Index of `lanes` consecutive elements from `base`."""
    return base if lanes == 1 else tirx.Ramp(base, 1, lanes)


def load(buffer: Buffer, base: Expr, lanes: int) -> Expr:
    """Load `lanes` consecutive elements, floats converted to the type of the arithmetic."""
    return converted(buffer[ramp(base, lanes)], _computed.get(), lanes)


def store(buffer: Buffer, base: Expr, value: Expr, lanes: int) -> None:
    """Store `lanes` consecutive elements, floats converted to the type of the buffer."""
    T.buffer_store(buffer, converted(value, DType(str(buffer.ty.dtype)), lanes), [ramp(base, lanes)])


def converted(value: Expr, dtype: DType, lanes: int) -> Expr:
    """A vector of floats cast to another float type; any other value unchanged."""
    own = str(value.ty.dtype).partition("x")[0]
    if own == dtype or own not in FLOATS or dtype not in FLOATS:
        return value
    return tirx.Cast(vector_type(dtype, lanes), value)


def prefetch(buffer: Buffer, index: Expr) -> None:
    """Prefetch the cache line of an element, which may lie behind the end of the buffer."""
    where = tirx.address_of(tirx.BufferLoad(buffer, [index]))
    read, keep, data = (tirx.const(value, "int32") for value in (0, 3, 1))
    T.evaluate(tirx.call_llvm_intrin("void", "llvm.prefetch", where, read, keep, data))


def splat(value: Expr, lanes: int) -> Expr:
    """One scalar in every lane."""
    return value if lanes == 1 else tirx.Broadcast(value, lanes)


def constant(value: float, lanes: int = 1, dtype: DType = FLOAT32) -> Expr:
    """A literal of a type in every lane."""
    return splat(tirx.const(value, str(dtype)), lanes)


def spliced(first: Expr, count: int, rest: Expr, lanes: int) -> Expr:
    """``rest`` with its first ``count`` lanes replaced by the ``count`` lanes of ``first``."""
    return tirx.Shuffle([first, rest], [*range(count), *range(2 * count, count + lanes)])


def lane(vector: Expr, index: int, lanes: int) -> Expr:
    """Broadcast lane `index` of `vector`: the by-element operand of NEON's fmla."""
    return splat(tirx.Shuffle([vector], [index]), lanes)


def bind(value: Expr) -> Expr:
    """Evaluate once, here, and return the variable."""
    return T.Bind(value) if not isinstance(value, int) else value


def multiply_add(total: Expr, a: Expr, b: Expr, lanes: int, fused: bool, dtype: DType = FLOAT32) -> Expr:
    """total + a * b. LLVM contracts mul and add to an FMA where the ISA prefers one; `fused` calls the intrinsic.

    32-bit ARM needs it: LLVM 19 leaves vector mul and add apart there although vfma is exact and faster.
    """
    if not fused:
        return total + a * b
    return tirx.call_llvm_pure_intrin(vector_type(dtype, lanes), "llvm.fma", a, b, total)


def opaque(value: int) -> Expr:
    """An opaque `value`: a constant that LLVM cannot fold.

    A known stride becomes part of each load's immediate offset, out of range for NEON's paired loads; an opaque one is
    added to a base register once for all of them.
    """
    return bind(_zero.get() ^ value)


def opaque_zero(value: Expr) -> Expr:
    """An opaque zero depending on `value`, so that LLVM neither hoists nor merges loads addressed with it.

    Otherwise loads from equal addresses are done once, before a loop, and occupy registers in it.
    """
    return 0 if isinstance(value, int) and value == 0 else _zero.get() & value


@contextmanager
def loop(begin: Expr, end: Expr) -> Iterator[Expr]:
    """A serial loop over [begin, end)."""
    with T.serial(
        *(tirx.const(bound, _index.get()) if isinstance(bound, int) else bound for bound in (begin, end))
    ) as index:
        yield index


def clip(
    value: Expr,
    low: float | None,
    high: float | None,
    lanes: int,
    names: tuple[str, str] | None,
    dtype: DType = FLOAT32,
) -> Expr:
    """Clamp to [low, high]; None leaves that side open. NaN stays NaN.

    names: LLVM's NEON intrinsics of vector maximum and minimum, which keep NaN. Without them compare and select, with
    the bound where the comparison holds: x86's `maxps bound, value` then returns its second operand, the value, if NaN.
    """
    for bound, index in ((low, 0), (high, 1)):
        if bound is None:
            continue
        limit = constant(bound, lanes, dtype)
        if names is not None and lanes > 1:
            value = tirx.call_llvm_pure_intrin(vector_type(dtype, lanes), names[index], value, limit)
        else:
            value = bind(value)
            value = tirx.Select(value > limit if index else value < limit, limit, value)
    return value


def larger(
    first: Expr, second: Expr, lanes: int, names: tuple[str, str] | None, dtype: DType = FLOAT32
) -> Expr:
    """The maximum, NaN where either is; both are read twice without `names` (see clip)."""
    if names is not None and lanes > 1:
        return tirx.call_llvm_pure_intrin(vector_type(dtype, lanes), names[0], first, second)
    # One `maxps` gives the second operand where either is NaN; what is left is NaN in the first one alone.
    return tirx.Select(tirx.isnan(first), first, tirx.Select(first > second, first, second))


def branch(
    condition: Expr | bool, then: Callable[[], None], otherwise: Callable[[], None] | None = None
) -> None:
    """Emit `if`; a condition that Python already knows emits one side only."""
    if isinstance(condition, bool):
        if condition:
            then()
        elif otherwise is not None:
            otherwise()
        return
    with T.If(condition):
        with T.Then():
            then()
        if otherwise is not None:
            with T.Else():
                otherwise()


def switch(index: Expr, bounds: list[int], cases: list[Callable[[], None]]) -> None:
    """Emit `cases[i]` for bounds[i] <= index < bounds[i + 1]; the first bound is 0 and the last case is open."""
    if len(cases) == 1:
        cases[0]()
    else:
        branch(index < bounds[1], cases[0], lambda: switch(index, bounds[1:], cases[1:]))


def switch_runs(index: Expr, runs: Iterable[tuple[int, Callable[[Expr], None]]]) -> None:
    """Emit one case per run: `emit(index - start of the run)` for runs of (length, emit) one after the other."""
    bounds: list[int] = []
    cases: list[Callable[[], None]] = []
    start = 0
    for length, emit in runs:
        if length:
            bounds.append(start)
            cases.append(lambda emit=emit, start=start: emit(index - start))  # type: ignore[misc]
            start += length
    switch(index, bounds, cases)


def vectors(width: int, lanes: int) -> list[tuple[int, int]]:
    """Split `width` channels into (offset, lanes) pieces: full vectors, then ever smaller powers of two."""
    pieces, offset = [], 0
    while offset < width:
        while lanes > width - offset:
            lanes //= 2
        pieces.append((offset, lanes))
        offset += lanes
    return pieces


def each_vector(size: int, lanes: int, emit: Callable[[Expr, int], None], unrolled: int = 0) -> None:
    """Call `emit(first element, lanes)` for `size` elements: whole vectors in a loop, then what `vectors` leaves.

    unrolled: so many whole vectors or fewer are emitted one by one.
    """
    whole = size // lanes
    looped = whole if whole > unrolled else 0
    if looped:
        with loop(0, looped) as index:
            emit(index * lanes, lanes)
    for offset, count in vectors(size - looped * lanes, lanes):
        emit(looped * lanes + offset, count)
