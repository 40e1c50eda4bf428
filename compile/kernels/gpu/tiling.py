"""Tile sizes of GPU kernels from a target's facts and a layer's shape; arithmetic only, no TVM.

The cost model counts the instructions of one wave and the waves that keep a compute unit busy. It only has to rank
candidates; `lowering/latency_gpu.py` turns the same counts into a modelled latency.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import ceil

from tsm_edge.errors import CompileError

from ...ir.dtype import FLOAT32, DType
from ...ir.ops import Conv, Op

#: waves per 32 lanes that hide a unit's latencies, for threads with independent accumulators
WAVES_WANTED = 3.0
PAD = 4  # floats of padding per row of the activation tile: fewer bank conflicts, 16-byte aligned
TILE_OVERHEAD = 24  # instructions of a wave around one k tile: addresses, loop, two barriers
WINDOW_PARALLEL = 0.5  # independent instructions of a window's thread, relative to a register tile's
WAVES_AT_ONCE = 4  # allocation granularity of registers in waves, one per scheduler of a unit
SPARE_REGISTERS = 12  # per thread: the assembler's count exceeds the estimate by at most this
GROUP_OVERHEAD = 250  # cycles before the first product and after the last


@dataclass(frozen=True)
class Machine:
    """What GPU schedules read of a target."""

    wave: int
    units: int
    lanes: int  # float32 multiply-adds of a unit in a cycle
    clock_ghz: float
    dram_gb_s: float
    l2_bytes: int
    registers: int  # 32-bit registers of a unit
    thread_registers: int  # most registers of a thread that the schedules may plan with
    shared_bytes: int  # shared memory of a unit
    group_shared_bytes: int  # most shared memory of a group
    unit_threads: int
    unit_groups: int
    group_threads: int  # most threads of a group
    convert: float  # issue slots to convert one stored element to float32
    storage: DType  # of activations, states and weights; arithmetic is float32

    biases: DType = FLOAT32
    plain_loops: bool = False
    blocks_channels: bool = False

    def of(self, op: Op) -> Machine:
        """The machine of one operator: itself, as all compute in float32."""
        return self


@dataclass(frozen=True)
class Gemm:
    """The tiling of a matrix product of M pixels, N channels and a reduction of K.

    A thread keeps row_each x column_each accumulators; a slice of rows x columns threads covers a tile; `slices` slices
    split the reduction of one tile (split K). Every stage has `depth` of K in shared memory.
    """

    row_each: int
    column_each: int
    rows: int
    columns: int
    slices: int
    depth: int

    @property
    def tile_rows(self) -> int:
        return self.row_each * self.rows

    @property
    def tile_columns(self) -> int:
        return self.column_each * self.columns

    @property
    def slice_threads(self) -> int:
        return self.rows * self.columns

    @property
    def threads(self) -> int:
        return self.slice_threads * self.slices

    @property
    def staged_rows(self) -> int:
        """Floats of one stage's activations, a whole number of vectors."""
        return ceil(self.depth * (self.tile_rows + PAD) / 4) * 4

    @property
    def shared_floats(self) -> int:
        """Staged tiles of all slices; the reduction of the slices' sums reuses them."""
        staged = self.slices * (self.staged_rows + self.depth * self.tile_columns)
        sums = self.tile_rows * self.tile_columns * (self.slices // 2)
        return max(staged, sums)

    @property
    def shared_bytes(self) -> int:
        """Shared memory of a group."""
        return self.shared_floats * FLOAT32.bytes

    @property
    def note(self) -> str:
        """The tile in words."""
        cut = f"{self.tile_rows}x{self.tile_columns}x{self.depth} by {self.row_each}x{self.column_each}"
        return cut if self.slices == 1 else f"{cut} in {self.slices}"

    def registers(self) -> int:
        """Registers of a thread, estimated: sums, operands, staged loads, addresses."""
        staged = (self.tile_rows + self.tile_columns) * self.depth / self.slice_threads
        return int(self.row_each * self.column_each + self.row_each + self.column_each + staged + 32)


def occupancy(machine: Machine, threads: int, registers: int, shared_bytes: int) -> int:
    """Groups resident on a unit at once."""
    waves = ceil(threads / machine.wave)
    limits = [
        machine.unit_groups,
        machine.unit_threads // (waves * machine.wave),
        machine.registers // max(1, waves * machine.wave * (ceil(registers / 8) * 8)),
    ]
    if shared_bytes:
        limits.append(machine.shared_bytes // shared_bytes)
    return min(limits)


def unit_cycles(
    machine: Machine, groups: int, threads: int, instructions: float, resident: int, parallel: float = 1.0
) -> float:
    """Cycles until the busiest unit is done. instructions: of one thread; resident: groups on a unit (occupancy).

    parallel: independent instructions of a thread, relative to a register tile's; fewer need more waves.
    """
    share = ceil(groups / machine.units)
    waves = ceil(threads / machine.wave)
    active = min(share, resident) * waves
    wanted = WAVES_WANTED * machine.lanes / 32 * (32 / machine.wave) / parallel
    rate = machine.lanes / machine.wave * min(1.0, active / wanted)  # wave instructions a cycle
    return share * waves * instructions / rate + GROUP_OVERHEAD


def gemm_instructions(gemm: Gemm, steps: int, convert: float = 1.0) -> float:
    """Issue slots of one thread for a reduction of `steps` stages; convert: as in `Machine`."""
    tiles = ceil(steps / gemm.slices)
    loads = ceil(gemm.row_each / 4) + ceil(gemm.column_each / 4)
    step = gemm.row_each * gemm.column_each + 2 * loads
    loaded = (1.5 + convert) * gemm.tile_rows + (0.75 + convert) * gemm.tile_columns
    staged = loaded * gemm.depth / gemm.slice_threads
    store = gemm.row_each * gemm.column_each * (3 if gemm.slices == 1 else 5)
    return tiles * (gemm.depth * step + staged + TILE_OVERHEAD) + store + 60


def gemm_cycles(machine: Machine, gemm: Gemm, m: int, n: int, k: int) -> float:
    """Modelled cycles of a matrix product."""
    resident = occupancy(machine, gemm.threads, gemm.registers(), gemm.shared_bytes)
    if resident == 0:
        return float("inf")
    groups = ceil(m / gemm.tile_rows) * ceil(n / gemm.tile_columns)
    instructions = gemm_instructions(gemm, ceil(k / gemm.depth), machine.convert)
    compute = unit_cycles(machine, groups, gemm.threads, instructions, resident)
    item = machine.storage.bytes
    traffic = (m * k * ceil(n / gemm.tile_columns) + n * k * ceil(m / gemm.tile_rows)) * item
    from_l2 = traffic / (64 * machine.units)  # 64 bytes per cycle and unit from the L2 cache
    from_dram = (m * k + n * k + m * n) * item / (machine.dram_gb_s / machine.clock_ghz)
    return max(compute, from_l2, from_dram)


def candidates(machine: Machine, m: int, n: int, k: int, depths: tuple[int, ...]) -> Iterator[Gemm]:
    """Tiles that fit the machine."""
    for row_each in (1, 2, 4, 8):
        for column_each in (4, 8) if n >= 4 else (1,):
            for columns in (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24):
                if column_each * columns >= 2 * n:
                    continue
                for rows in (4, 5, 7, 8, 10, 13, 14, 16, 20, 25, 28, 32, 64):
                    if row_each * rows >= 2 * max(m, machine.wave):
                        continue
                    for slices in (1, 2, 4):
                        for depth in depths:
                            gemm = Gemm(row_each, column_each, rows, columns, slices, depth)
                            if fits(machine, gemm, k):
                                yield gemm


def fits(machine: Machine, gemm: Gemm, k: int) -> bool:
    """Whether a tile is within the limits of the machine and gives every slice work."""
    staged = max(gemm.tile_rows, gemm.tile_columns) * gemm.depth / gemm.slice_threads
    handed = WAVES_AT_ONCE * machine.wave
    return (
        machine.wave <= gemm.threads <= min(256, machine.group_threads)
        and gemm.registers() <= machine.thread_registers
        # two groups, so that one computes while the other waits; half is also the most a group may have on some GPUs
        and (gemm.registers() + SPARE_REGISTERS) * ceil(gemm.threads / handed) * handed
        <= machine.registers // 2
        and gemm.shared_bytes <= machine.group_shared_bytes
        and (gemm.slices == 1 or gemm.slices * gemm.depth * 2 <= k)
        and staged <= 16
    )


@cache
def choose_gemm(machine: Machine, m: int, n: int, k: int, depths: tuple[int, ...] = (8, 16, 32)) -> Gemm:
    """The tile with the least modelled cycles; CompileError where the machine has room for none."""
    fitting = list(candidates(machine, m, n, k, depths))
    if not fitting:
        raise CompileError(
            f"No tile of a matrix product of {m} x {n} x {k} fits the target's GPU.",
            found=f"{machine.thread_registers} registers a thread, {machine.group_threads} threads a group, "
            f"{machine.group_shared_bytes} bytes of shared memory",
            hint="look at thread_registers, group_threads and group_shared_kib of the target's file",
        )
    return min(fitting, key=lambda gemm: (gemm_cycles(machine, gemm, m, n, k), -gemm.depth, gemm.threads))


@dataclass(frozen=True)
class Window:
    """The tiling of a windowed operator: channels, output columns and rows of a thread, threads of a group."""

    lanes: int
    columns: int
    rows: int
    threads: int

    def items(self, op: Conv) -> int:
        """Threads that have work."""
        return (
            (op.channels // self.lanes) * ceil(op.out_width / self.columns) * ceil(op.out_height / self.rows)
        )

    @property
    def note(self) -> str:
        """The tile in words."""
        return f"{self.rows}x{self.columns}x{self.lanes}"


@cache
def choose_window(machine: Machine, op: Conv, lanes: int) -> Window:
    """The cut of a depthwise window with the least modelled cycles; `lanes` divides the channels."""
    return min(
        (
            Window(width, columns, rows, threads)
            for width in (1, 2, 4)
            if lanes % width == 0
            for columns in (1, 2, 4, 7)
            if columns <= max(1, op.out_width)
            for rows in (1, 2, 4)
            if rows <= max(1, op.out_height)
            for threads in (64, 128, 256)
            if threads <= machine.group_threads
        ),
        key=lambda window: (window_cycles(machine, op, window), window.threads),
    )


def window_registers(op: Conv, window: Window) -> int:
    """Registers of a thread, estimated: accumulators, a kernel row of weights per output row, loads in flight."""
    return (
        window.lanes * (window.columns * window.rows + op.kernel[1] * min(window.rows, op.kernel[0]) + 6) + 24
    )


def window_instructions(op: Conv, window: Window, convert: float = 1.0) -> float:
    """Issue slots of one thread of a depthwise window; convert: as in `Machine`."""
    in_rows = (window.rows - 1) * op.stride[0] + op.kernel[0]
    in_columns = (window.columns - 1) * op.stride[1] + op.kernel[1]
    taps = op.kernel[0] * op.kernel[1]
    outputs = window.columns * window.rows
    # a load of an input vector: test, address, load, and the conversion of each number
    numbers = convert * window.lanes
    instructions = in_rows * in_columns * (4 + numbers) + taps * (2 + numbers)
    return instructions + outputs * window.lanes * (taps + 4) + 60


def window_cycles(machine: Machine, op: Conv, window: Window) -> float:
    """Modelled cycles of a depthwise window."""
    registers = window_registers(op, window)
    if registers > machine.thread_registers:
        return float("inf")
    resident = occupancy(machine, window.threads, registers, 0)
    groups = ceil(window.items(op) / window.threads)
    instructions = window_instructions(op, window, machine.convert)
    compute = unit_cycles(machine, groups, window.threads, instructions, resident, WINDOW_PARALLEL)
    item = machine.storage.bytes
    moved = (op.height * op.width + op.pixels) * op.channels * item
    return max(compute, moved / (machine.dram_gb_s / machine.clock_ghz))
