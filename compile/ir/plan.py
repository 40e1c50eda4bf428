"""The plan: a static list of kernel calls over one static arena. Pure data.

`Plan.text()` prints it, `Plan.parse()` reads that text back, `Plan.check()` verifies it: every range inside its memory,
no two live tensors overlapping, every value written before it is read, every state written exactly once per step.

Text form, one record a line; fields are separated by one space and contain none::

    plan <version> input <name> output <name> arena <bytes> state <bytes> weights <bytes> scratch <bytes>
    tensor <name> <dtype> <AxBxC> <memory> <offset> <bytes>
    op <symbol> <layer> <schedule> items <n> macs <n> reads <a,b> writes <c,d> calls <a,b,c,d>

and an op of a GPU ends in ``launch <XxYxZ groups> <threads of a group> <shared bytes>``. Behind that an op that runs
once for each frame of a clip has ``frames <n>``; a tensor of frames has more bytes than elements where they lie apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from tsm_edge.errors import CompileError

from .dtype import DType

VERSION = 1
ALIGN = 64
ARENA, STATE_IN, STATE_OUT, WEIGHTS, SCRATCH = "arena", "state_in", "state_out", "weights", "scratch"


@dataclass(frozen=True)
class PlanTensor:
    """A named range of one memory. Shape as stored (NHWC for 4-D values)."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    memory: str
    offset: int
    scale: float = 0.0  # of 8-bit integers: a number is (q - zero) * scale
    zero: int = 0
    pitch: int = 0  # of a clip: bytes from one frame, which the first axis counts, to the next

    @property
    def nbytes(self) -> int:
        return tensor_bytes(self.shape, self.dtype, self.pitch)


def tensor_bytes(shape: tuple[int, ...], dtype: DType, pitch: int = 0) -> int:
    """Bytes from the first to the last of a tensor; pitch: from one frame of a clip to the next."""
    if not pitch:
        return prod(shape) * dtype.bytes
    return (shape[0] - 1) * pitch + prod(shape[1:]) * dtype.bytes


@dataclass(frozen=True)
class Launch:
    """Groups of a GPU kernel's grid (x, y, z), threads of a group, and bytes of shared memory a group declares."""

    grid: tuple[int, int, int]
    threads: int
    shared_bytes: int = 0

    def text(self) -> str:
        """As the plan's text has it."""
        return f" launch {'x'.join(map(str, self.grid))} {self.threads} {self.shared_bytes}"

    @classmethod
    def parse(cls, words: list[str]) -> Launch:
        """Read what `text` wrote."""
        name, grid, threads, shared = words
        x, y, z = (int(extent) for extent in grid.split("x"))
        if name != "launch":
            raise ValueError(name)
        return cls((x, y, z), int(threads), int(shared))


@dataclass(frozen=True)
class Work:
    """The cost of a GPU kernel: issue slots of one thread, and its independent ones relative to a register tile's."""

    instructions: float
    parallel: float


@dataclass(frozen=True)
class Cycles:
    """The cost of a CPU kernel: cycles of one core for all its items."""

    cycles: float


@dataclass(frozen=True)
class Resources:
    """Resources of one kernel as its assembler reports them: registers per thread, the rest in bytes."""

    registers: int
    shared_bytes: int
    spill_stores: int
    spill_loads: int
    stack_bytes: int


@dataclass(frozen=True)
class PlanOp:
    """One kernel call: symbol, what it reads and writes, its arguments in calling order, and on a GPU its launch."""

    symbol: str
    layer: str
    schedule: str
    items: int
    macs: int
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    calls: tuple[str, ...]
    launch: Launch | None = None
    frames: int = 1  # how often it runs, each time on the next frame of its tensors in the arena


@dataclass(frozen=True)
class Plan:
    """Tensors and operations of one step, and the size of each memory in bytes."""

    input: str
    output: str
    tensors: tuple[PlanTensor, ...]
    ops: tuple[PlanOp, ...]
    arena_bytes: int
    state_bytes: int
    weights_bytes: int
    scratch_bytes: int = 0

    def __post_init__(self) -> None:
        self.check()

    def tensor(self, name: str) -> PlanTensor:
        """The tensor called `name`."""
        return self._index()[name]

    def _index(self) -> dict[str, PlanTensor]:
        return {tensor.name: tensor for tensor in self.tensors}

    def traffic(self, op: PlanOp) -> int:
        """Bytes of all arguments of an operation: the minimum memory traffic."""
        index = self._index()
        return sum(index[name].nbytes for name in op.calls if index[name].memory != SCRATCH)

    @property
    def launches(self) -> int:
        """How many kernels run in a step where each frame of a clip has one of its own."""
        return sum(op.frames for op in self.ops)

    @property
    def macs(self) -> int:
        return sum(op.macs for op in self.ops)

    def check(self) -> None:
        """Raise CompileError naming the first rule that the plan breaks."""
        index = self._index()
        if len(index) != len(self.tensors):
            raise CompileError("The plan names a tensor twice.", allowed="unique names")
        for word in (*index, *(word for op in self.ops for word in (op.symbol, op.layer, op.schedule))):
            if not word or any(c in ", " or not c.isprintable() for c in word):
                raise CompileError(
                    "A name in the plan is no word.", found=repr(word), allowed="no spaces or commas"
                )
        for name in (self.input, self.output):
            if name not in index:
                raise CompileError(f"The plan has no tensor '{name}'.", allowed=", ".join(index))
        sizes = {
            ARENA: self.arena_bytes,
            STATE_IN: self.state_bytes,
            STATE_OUT: self.state_bytes,
            WEIGHTS: self.weights_bytes,
            SCRATCH: self.scratch_bytes,
        }
        for tensor in self.tensors:
            inside = tensor.offset >= 0 and tensor.offset + tensor.nbytes <= sizes[tensor.memory]
            if not inside or tensor.offset % ALIGN:
                raise CompileError(
                    f"Tensor '{tensor.name}' is outside its memory or not aligned.",
                    found=f"{tensor.memory} {tensor.offset}+{tensor.nbytes}",
                    allowed=f"0..{sizes[tensor.memory]}",
                )
        self._check_order(index)
        self._check_overlap(index)

    def _check_order(self, index: dict[str, PlanTensor]) -> None:
        written = {name for name, tensor in index.items() if tensor.memory in (WEIGHTS, STATE_IN, SCRATCH)}
        written.add(self.input)
        states: set[int] = set()
        for op in self.ops:
            for name in op.reads:
                if name not in written:
                    raise CompileError(f"'{op.symbol}' reads '{name}' before it is written.")
            for name in op.writes:
                tensor = index[name]
                if tensor.memory in (WEIGHTS, STATE_IN):
                    raise CompileError(f"'{op.symbol}' writes '{name}', which lies in {tensor.memory}.")
                if tensor.memory == STATE_OUT and tensor.offset in states:
                    raise CompileError(f"State '{name}' is written twice.")
                states |= {tensor.offset} if tensor.memory == STATE_OUT else set()
                written.add(name)
        for tensor in self.tensors:
            if tensor.memory == STATE_OUT and tensor.offset not in states:
                raise CompileError(f"State '{tensor.name}' is never written.")

    def _check_overlap(self, index: dict[str, PlanTensor]) -> None:
        spans = lifetimes([(op.reads, op.writes) for op in self.ops], self.output)
        arena = [index[name] for name in spans if index[name].memory == ARENA]
        for i, a in enumerate(arena):
            for b in arena[:i]:
                apart = a.offset + a.nbytes <= b.offset or b.offset + b.nbytes <= a.offset
                if not apart and overlap(spans[a.name], spans[b.name]):
                    raise CompileError(
                        f"'{a.name}' and '{b.name}' are alive together and overlap in the arena."
                    )

    def text(self) -> str:
        """The plan as text."""
        lines = [
            f"plan {VERSION} input {self.input} output {self.output} arena {self.arena_bytes} "
            f"state {self.state_bytes} weights {self.weights_bytes} scratch {self.scratch_bytes}"
        ]
        lines += [
            f"tensor {t.name} {t.dtype} {'x'.join(map(str, t.shape))} {t.memory} {t.offset} {t.nbytes}"
            for t in self.tensors
        ]
        lines += [
            f"op {op.symbol} {op.layer} {op.schedule} items {op.items} macs {op.macs} reads {','.join(op.reads)} "
            f"writes {','.join(op.writes)} calls {','.join(op.calls)}{op.launch.text() if op.launch else ''}"
            + (f" frames {op.frames}" if op.frames > 1 else "")
            for op in self.ops
        ]
        return "\n".join(lines) + "\n"

    @classmethod
    def parse(cls, text: str) -> Plan:
        """Read what `text` wrote; CompileError on anything else."""
        head, *lines = text.splitlines() or [""]
        try:
            words = head.split(" ")
            if words[:2] != ["plan", str(VERSION)]:
                raise ValueError(head)
            sizes = [int(word) for word in words[7::2]]
            tensors = [_parse_tensor(line.split(" ")) for line in lines if line.startswith("tensor ")]
            ops = [_parse_op(line.split(" ")) for line in lines if line.startswith("op ")]
            if len(tensors) + len(ops) != len(lines):
                raise ValueError("unknown record")
            return cls(words[3], words[5], tuple(tensors), tuple(ops), *sizes)
        except (ValueError, IndexError, KeyError) as error:
            raise CompileError(
                "This is not a plan.", found=str(error)[:80], allowed=f"version {VERSION}"
            ) from error


def _parse_tensor(words: list[str]) -> PlanTensor:
    _, name, dtype, extents, memory, offset, size = words
    shape, kind = tuple(int(extent) for extent in extents.split("x")), DType(dtype)
    last = prod(shape[1:]) * kind.bytes  # the bytes of the last frame
    pitch = (int(size) - last) // (shape[0] - 1) if shape[0] > 1 and int(size) != last * shape[0] else 0
    return PlanTensor(name, kind, shape, memory, int(offset), pitch=pitch)


def _parse_op(words: list[str]) -> PlanOp:
    _, symbol, layer, schedule, _, items, _, macs, _, reads, _, writes, _, calls = words[:14]
    read, written, called = (tuple(field.split(",")) if field else () for field in (reads, writes, calls))
    rest, frames = words[14:], 1
    if rest and rest[-2] == "frames":
        *rest, _, count = rest
        frames = int(count)
    launch = Launch.parse(rest) if rest else None
    return PlanOp(symbol, layer, schedule, int(items), int(macs), read, written, called, launch, frames)


def lifetimes(ops: list[tuple[tuple[str, ...], tuple[str, ...]]], output: str) -> dict[str, tuple[int, int]]:
    """First and last operation that touches each tensor, from (reads, writes) in order.

    A tensor that is read before anything writes it is the frame and lives from the start; the output lives to the end.
    """
    spans: dict[str, tuple[int, int]] = {}
    for index, (reads, writes) in enumerate(ops):
        for name in reads:
            spans[name] = (spans.get(name, (-1, 0))[0], index)
        for name in writes:
            spans.setdefault(name, (index, index))
    if output in spans:
        spans[output] = (spans[output][0], len(ops))
    return spans


def overlap(a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Whether two lifetimes share an operation."""
    return a[0] <= b[1] and b[0] <= a[1]


def aligned(size: int, align: int = ALIGN) -> int:
    """`size` rounded up to whole alignments."""
    return (size + align - 1) // align * align


def allocate(
    sizes: dict[str, int], spans: dict[str, tuple[int, int]], align: int = ALIGN
) -> tuple[dict[str, int], int]:
    """Offsets in one arena and its size: largest tensor first, at the lowest offset free over its lifetime.

    Greedy by size (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020).
    """
    offsets: dict[str, int] = {}
    for name in sorted(sizes, key=lambda item: (-sizes[item], spans[item], item)):
        taken = sorted(
            (offsets[o], offsets[o] + aligned(sizes[o], align))
            for o in offsets
            if overlap(spans[o], spans[name])
        )
        at = 0
        for start, stop in taken:
            if at + sizes[name] <= start:
                break
            at = max(at, stop)
        offsets[name] = at
    return offsets, max((offsets[name] + aligned(sizes[name], align) for name in offsets), default=0)
