"""softmax(x kᵀ) v on a GPU in one pass over the keys: neither scores nor exponentials are in device memory.

A group takes a block of positions and walks the keys in blocks, keeping the sums of both for the keys it has seen
(Milakov and Gimelshein, "Online normalizer calculation for softmax", arXiv:1805.02867):

1. Scores of the block: a register tile of a thread is some positions by 4 keys; x and k are read in place.
2. Maximum of each position: `stripes` threads share its keys. Sums so far shrink by exp(maximum before - now).
3. Means: a thread has the same positions and every `columns`-th vector of 4 channels; the division waits until the end.

Where a thread's sums would not fit, the channels are split among groups, each of which computes the scores itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil

from tvm import tirx

from ...ir.dtype import FLOAT32
from ...ir.ops import Op
from ...ir.ops.attention import PANEL, Attention
from ...kernels.gpu import builder as gpu
from ...kernels.gpu import tiling
from ...kernels.gpu.builder import Buffer, Expr, Launch, Memory
from ...kernels.gpu.tiling import Machine
from ..pointers import typed
from ..rule import Schedule
from . import _rule

ROWS = 4  # threads along the positions of a block
LANES = 4  # keys and channels of a thread's vector
ADDRESSES = 40  # registers of a thread beside its tiles
LEAST = -3.0e38  # below every score; finite, so that its difference from minus infinity is no NaN
CASES = (
    Attention(3, 6, 24, 21, 0.3),
    Attention(2, 7, 19, 9, 0.5, pitch=144, out_pitch=160),
    Attention(1, 3, 6, 530, 0.4),
    Attention(2, 64, 64, 128, 0.125),
    Attention(2, 9, 520, 150, 0.05),
)


def claims(op: Op) -> bool:
    """All of them."""
    return isinstance(op, Attention)


@dataclass(frozen=True)
class Params:
    """Positions of a thread, threads along keys and channels, and groups that share a position's channels."""

    each: int
    columns: int
    slices: int

    @property
    def threads(self) -> int:
        """Of a group."""
        return ROWS * self.columns

    @property
    def block(self) -> int:
        """Positions of a group."""
        return ROWS * self.each

    @property
    def keys(self) -> int:
        """Keys of a block."""
        return LANES * self.columns

    @property
    def stripes(self) -> int:
        """Threads that share the keys of a position."""
        return self.columns // self.each

    @property
    def shared_floats(self) -> int:
        """Scores, a number of each thread, and a factor of each position."""
        return self.keys * self.block + self.threads + self.block

    @classmethod
    def from_machine(cls, machine: Machine, op: Attention) -> Params:
        found = [
            cls(each, columns, slices)
            for each in (4, 2, 1)
            for columns in (8, 16, 32, 64)
            for slices in (1, 2, 4, 8, 16, 32)
            if ROWS * columns <= min(256, machine.group_threads)
        ]
        fitting = [params for params in found if fits(machine, op, params)]
        fitting = fitting or [min(found, key=lambda params: registers(op, params))]
        return min(fitting, key=lambda params: (cycles(machine, op, params), params.threads, params.slices))


def vectors_of(op: Attention, params: Params) -> int:
    """Vectors of channels of a thread."""
    return ceil(op.channels / (LANES * params.columns * params.slices))


def registers(op: Attention, params: Params) -> int:
    """Registers of a thread, estimated."""
    lanes = gpu.width_of(op.channels)
    means = LANES * params.each * vectors_of(op, params)
    return means + params.each * (LANES + lanes + 1) + 2 * LANES + ADDRESSES


def fits(machine: Machine, op: Attention, params: Params) -> bool:
    """Whether a group is within the machine's limits."""
    count = registers(op, params)
    return (
        count <= machine.thread_registers
        and (count + tiling.SPARE_REGISTERS) * params.threads <= machine.registers // 2
        and params.shared_floats * FLOAT32.bytes <= machine.group_shared_bytes
    )


def instructions(machine: Machine, op: Attention, params: Params) -> float:
    """Issue slots of a thread."""
    lanes, each = gpu.width_of(op.channels), params.each
    loads = (each / lanes + 1) * 1.5 + (each + LANES) * machine.convert
    scores = op.channels * (each * LANES + loads)
    means = params.keys * (vectors_of(op, params) * (each * LANES + 2 + LANES * machine.convert) + 3)
    softmax = LANES * each * 24 + 4 * params.stripes + 60
    return ceil(op.positions / params.keys) * (scores + means + softmax) + 200


def cycles(machine: Machine, op: Attention, params: Params) -> float:
    """Modelled cycles."""
    groups = ceil(op.frames * op.pixels / params.block) * params.slices
    shared = params.shared_floats * FLOAT32.bytes
    resident = tiling.occupancy(machine, params.threads, registers(op, params), shared)
    return tiling.unit_cycles(
        machine, groups, params.threads, instructions(machine, op, params), max(1, resident)
    )


@dataclass
class Group:
    """The statements of one group.

    row: of the thread's first position in the block; column: its index along keys and channels. shared_row, stripe: the
    position whose keys it shares with others, and its share of them.
    """

    op: Attention
    params: Params
    memory: dict[str, Memory]
    thread: Expr
    first: Expr  # position of the block
    slice: Expr
    scores: Buffer = field(init=False)
    means: Buffer = field(init=False)
    kept: Buffer = field(init=False)  # maximum of shared_row so far, and the sum of this stripe's exponentials

    def __post_init__(self) -> None:
        params = self.params
        self.scores = gpu.shared(params.shared_floats)
        self.means = gpu.registers(params.each * LANES * vectors_of(self.op, params))
        self.kept = gpu.registers(2)
        self.row = gpu.bind(self.thread // params.columns * params.each)
        self.column = gpu.bind(self.thread % params.columns)
        self.shared_row = gpu.bind(self.thread % params.block)
        self.stripe = gpu.bind(self.thread // params.block)
        self.partial = params.keys * params.block  # where each thread leaves a number
        self.factors = self.partial + params.threads

    def start_of(self, position: Expr, pitch: int) -> Expr:
        """Where a position of the clip begins."""
        op = self.op
        return position // op.pixels * pitch + position % op.pixels * op.channels

    def put_scores(self, first_key: Expr) -> None:
        """Scores of a block of keys to shared memory, [key][position]; minus infinity behind the last key."""
        op, each = self.op, self.params.each
        last = op.frames * op.pixels - 1
        starts = [
            gpu.bind(self.start_of(tirx.min(self.first + self.row + row, last), op.pitch)) for row in range(each)
        ]
        key = gpu.bind(first_key + self.column * LANES)
        inside = tirx.min(key, gpu.ceil_div(op.positions, PANEL) * PANEL - LANES)
        panel = gpu.bind(inside // PANEL * (PANEL * op.channels) + inside % PANEL)
        lanes = min(gpu.width_of(op.channels), gpu.width_of(op.pitch))
        sums, x, k = gpu.registers(each * LANES), gpu.registers(each * lanes), gpu.registers(LANES)
        gpu.fill(sums, 0, each * LANES, 0.0)
        with gpu.loop(op.channels // lanes) as index:
            for row, start in enumerate(starts):
                self.memory["x"].load(x, row * lanes, start + index * lanes, lanes)
            for lane in range(lanes):
                self.memory["k"].load(k, 0, panel + (index * lanes + lane) * PANEL, LANES)
                for column in range(LANES):
                    for row in range(each):
                        at = column * each + row
                        gpu.assign(sums, at, sums[at] + x[row * lanes + lane] * k[column])
        gpu.barrier()  # the means of the block before are done
        for column in range(LANES):
            for row in range(each):
                at = column * each + row
                gpu.assign(sums, at, sums[at] * tirx.const(op.scale, gpu.FLOAT))
            if op.positions % self.params.keys:
                gpu.branch(key + column >= op.positions, lambda at=column * each: self.drop(sums, at))  # type: ignore[misc]
            place = (self.column * LANES + column) * self.params.block + self.row
            gpu.put(self.scores, gpu.bind(place), sums, column * each, each)
        gpu.barrier()

    def drop(self, sums: Buffer, at: int) -> None:
        """Scores of a key that does not exist."""
        for index in range(at, at + self.params.each):
            gpu.assign(sums, index, gpu.lowest())

    def exponentials(self) -> None:
        """The block's scores become exponentials; `kept` and the factors of the sums so far follow its maximum."""
        params = self.params
        each_stripe = params.keys // params.stripes
        best, value = gpu.registers(1), gpu.registers(1)

        def place_of(index: Expr) -> Expr:
            return gpu.bind((index * params.stripes + self.stripe) * params.block + self.shared_row)

        gpu.assign(best, 0, self.kept[0])
        with gpu.loop(each_stripe) as index:
            gpu.take(value, 0, self.scores, place_of(index), 1)
            gpu.assign(best, 0, gpu.larger(best[0], value[0]))
        gpu.put(self.scores, self.partial + self.thread, best, 0, 1)
        gpu.barrier()
        with gpu.loop(params.stripes) as index:
            gpu.take(value, 0, self.scores, self.partial + index * params.block + self.shared_row, 1)
            gpu.assign(best, 0, gpu.larger(best[0], value[0]))
        gpu.assign(value, 0, gpu.exp(self.kept[0] - best[0]))
        gpu.assign(self.kept, 0, best[0])
        gpu.assign(self.kept, 1, self.kept[1] * value[0])
        gpu.branch(self.stripe < 1, lambda: gpu.put(self.scores, self.factors + self.shared_row, value, 0, 1))
        with gpu.loop(each_stripe) as index:
            place = place_of(index)
            gpu.take(value, 0, self.scores, place, 1)
            gpu.assign(value, 0, gpu.exp(value[0] - best[0]))
            gpu.assign(self.kept, 1, self.kept[1] + value[0])
            gpu.put(self.scores, place, value, 0, 1)
        gpu.barrier()

    def channel(self, vector: int) -> Expr:
        """The first channel of this thread's vector."""
        return ((self.slice * vectors_of(self.op, self.params) + vector) * self.params.columns + self.column) * LANES

    def add_means(self, first_key: Expr) -> None:
        """Add the exponentials' products with the values."""
        op, params = self.op, self.params
        each, vectors = params.each, vectors_of(op, params)
        share, v = gpu.registers(each), gpu.registers(LANES)
        gpu.take(share, 0, self.scores, self.factors + self.row, each)
        for at in range(each * LANES * vectors):
            gpu.assign(self.means, at, self.means[at] * share[at // LANES % each])
        last = gpu.ceil_div(op.channels, PANEL) * PANEL - LANES
        panels = []
        for vector in range(vectors):
            channel = gpu.bind(tirx.min(self.channel(vector), last))
            panels.append(gpu.bind(channel // PANEL * (PANEL * op.positions) + channel % PANEL))
        with gpu.loop(params.keys) as index:

            def products() -> None:
                gpu.take(share, 0, self.scores, index * params.block + self.row, each)
                for vector, panel in enumerate(panels):
                    self.memory["v"].load(v, 0, panel + (first_key + index) * PANEL, LANES)
                    for row in range(each):
                        for lane in range(LANES):
                            at = (vector * each + row) * LANES + lane
                            gpu.assign(self.means, at, self.means[at] + share[row] * v[lane])

            gpu.branch(op.positions % params.keys == 0 or first_key + index < op.positions, products)

    def finish(self) -> None:
        """Divide by the sums and store."""
        op, params = self.op, self.params
        each = params.each
        gpu.barrier()
        gpu.put(self.scores, self.partial + self.thread, self.kept, 1, 1)
        gpu.barrier()
        total, more = gpu.registers(each), gpu.registers(each)
        gpu.fill(total, 0, each, 0.0)
        with gpu.loop(params.stripes) as index:
            gpu.take(more, 0, self.scores, self.partial + index * params.block + self.row, each)
            for row in range(each):
                gpu.assign(total, row, total[row] + more[row])
        for row in range(each):
            gpu.assign(total, row, tirx.const(1.0, gpu.FLOAT) / total[row])
        for row in range(each):
            position = gpu.bind(self.first + self.row + row)

            def channels(row: int = row, position: Expr = position) -> None:
                self.store(row, self.start_of(position, op.out_pitch), total[row])

            gpu.branch(op.frames * op.pixels % params.block == 0 or position < op.frames * op.pixels, channels)

    def store(self, row: int, start: Expr, share: Expr) -> None:
        """This thread's channels of a position that begins at `start` of y."""
        op = self.op
        lanes = min(gpu.width_of(op.channels), gpu.width_of(op.out_pitch))
        for vector in range(vectors_of(op, self.params)):
            for part in range(0, LANES, lanes):
                at = (vector * self.params.each + row) * LANES + part
                channel = gpu.bind(self.channel(vector) + part)

                def write(at: int = at, channel: Expr = channel) -> None:
                    for index in range(at, at + lanes):
                        gpu.assign(self.means, index, self.means[index] * share)
                    self.memory["y"].store(gpu.bind(start + channel), self.means, at, lanes)

                gpu.branch(channel < op.channels, write)


def schedule(op: Attention, params: Params, machine: Machine) -> _rule.Kernel:
    """x [frames, pixels, channels], k, v -> y [frames, pixels, channels]."""
    here = op.pixels * op.channels
    sizes = {
        "x": (op.frames - 1) * op.pitch + here,
        "k": gpu.ceil_div(op.positions, PANEL) * PANEL * op.channels,
        "v": gpu.ceil_div(op.channels, PANEL) * PANEL * op.positions,
        "y": (op.frames - 1) * op.out_pitch + here,
    }
    blocks = gpu.ceil_div(op.frames * op.pixels, params.block)
    launch = Launch((blocks, params.slices, 1), params.threads, params.shared_floats * FLOAT32.bytes)

    def body(memory: dict[str, Memory], thread: Expr, group: tuple[Expr, Expr, Expr]) -> None:
        work = Group(op, params, memory, thread, gpu.bind(group[0] * params.block), group[1])
        gpu.fill(work.means, 0, params.each * LANES * vectors_of(op, params), 0.0)
        gpu.fill(work.kept, 0, 1, LEAST)
        gpu.fill(work.kept, 1, 1, 0.0)
        with gpu.loop(gpu.ceil_div(op.positions, params.keys)) as index:
            first_key = gpu.bind(index * params.keys)
            work.put_scores(first_key)
            work.exponentials()
            work.add_means(first_key)
        work.finish()

    return _rule.Kernel(
        op,
        "attention_gpu",
        typed(sizes, op.types),
        launch,
        body,
        note=f"{params.block}x{params.keys} by {params.each}x{LANES}"
        + (f" in {params.slices}" if params.slices > 1 else ""),
        instructions=instructions(machine, op, params),
    )


SCHEDULE = Schedule("attention_gpu", claims, Params.from_machine, schedule, CASES)
