"""Tile choices: they cover the shape exactly and fit the registers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tsm_edge import target
from tsm_edge.compile import pipeline
from tsm_edge.compile.backends import cpu
from tsm_edge.compile.ir.dtype import FLOAT16, Types
from tsm_edge.compile.ir.ops import Conv
from tsm_edge.compile.kernels.cpu import tiling
from tsm_edge.compile.schedules import registry
from tsm_edge.compile.schedules.cpu.winograd import params

MACHINES = {
    name: cpu.machine(target.load(name)) for name in ("x86-64", "raspberry-pi-4", "raspberry-pi-3-32bit")
}


@pytest.mark.parametrize("rows", range(1, 15))
@pytest.mark.parametrize("total", [1, 2, 7, 14, 49, 56, 196, 3136])
def test_rows_are_cut_without_waste(total: int, rows: int) -> None:
    cut = tiling.split_rows(total, rows)
    assert sum(count * height for count, height in cut) == total
    assert max(height for _, height in cut) <= rows
    heights = [height for _, height in cut]
    assert max(heights) - min(heights) <= 1
    assert sum(count for count, _ in cut) == -(-total // rows)


@pytest.mark.parametrize("channels", [1, 3, 8, 24, 27, 32, 40, 96, 160, 222, 1280])
@pytest.mark.parametrize("width", [4, 8, 16, 24])
def test_panels_cover_the_channels(channels: int, width: int) -> None:
    panels = tiling.panels_of(channels, min(width, channels), 4)
    assert sum(panels.widths) == channels
    assert all(w % 4 == 0 for w in panels.widths[:-1])


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
@pytest.mark.parametrize(
    "shape", [(12544, 16, 96), (49, 160, 960), (1, 1280, 27), (3136, 144, 24), (5, 3, 1)]
)
def test_chosen_tiles_fit_the_registers(machine: tiling.Machine, shape: tuple[int, int, int]) -> None:
    pixels, length, channels = shape
    rows, panels = tiling.choose(machine, ((1, pixels),), channels, length)
    assert tiling.fits(machine, rows, panels.width)
    assert sum(panels.widths) == channels


def test_a_width_of_three_halves_is_made_of_halves_where_units_are_that_narrow() -> None:
    target_ = target.load("x86-64")
    facts = replace(target_.cpu, simd_bits=512, simd_registers=32)
    narrow, wide = (
        cpu.machine(
            replace(target_, cpu=replace(facts, flops_per_cycle=flops, fma_vector_bits=bits, load_ports=ports))
        )
        for flops, bits, ports in ((32, 256, 1), (64, 512, 2))
    )
    assert (narrow.half_width_fma, wide.half_width_fma) == (True, False)
    assert (narrow.fma_per_cycle, wide.fma_per_cycle) == (1.0, 2.0)
    rows, panels = tiling.choose(narrow, ((1, 3136),), 24, 144)
    assert (rows, panels.widths, tiling.piece_lanes(narrow, rows, 24)) == (9, (24,), 8)
    assert tiling.piece_lanes(narrow, rows + 1, 24) == 16, "more rows do not fit the registers in halves"
    assert tiling.piece_lanes(narrow, 9, 32) == tiling.piece_lanes(wide, 9, 24) == 16
    assert tiling.choose(wide, ((1, 3136),), 24, 144)[0] > 9


def test_weights_that_fit_the_cache_stay_there() -> None:
    machine = MACHINES["x86-64"]
    assert tiling.order(machine, 500, 4, 4096, 8 * 1024).block == 1
    big = tiling.order(machine, 500, 40, 4096, 4 * 1024 * 1024)
    assert 1 < big.block <= 500
    assert big.block * 4096 <= machine.l2_bytes


def test_an_image_is_walked_in_quarters_where_each_core_has_a_cache() -> None:
    """14 tiles of 14 pixels and 64 channels, 384 channels out; with weights too large to be read again, all at once."""
    x86, arm = MACHINES["x86-64"], MACHINES["raspberry-pi-4"]
    shape = {"tiles": 14, "panels": 12, "tile_bytes": 14 * 64 * 4}
    small, large = 64 * 384 * 4, x86.l2_bytes // 2 + 1
    assert tiling.order(x86, **shape, weight_bytes=small) == tiling.Order(14, 12, 4)
    assert tiling.order(arm, **shape, weight_bytes=small) == tiling.Order(14, 12, 14)
    assert tiling.order(x86, **shape, weight_bytes=large) == tiling.Order(14, 12, 14)
    assert tiling.order(x86, 10, 12, 14 * 64 * 4, small) == tiling.Order(10, 12, 10)


def test_products_of_winograd_leave_a_register_and_need_few_loads() -> None:
    machine = cpu.machine(target.load("raspberry-pi-5"), "fp16")
    groups = ((36, 196),)
    rows, panels = params.register_tile(machine, groups, Conv(56, 56, 64, 64, (3, 3), pad=(1, 1, 1, 1)))
    assert tiling.fits(replace(machine, registers=machine.registers - 1), rows, panels.width)
    plain = tiling.choose(machine, groups, 64, 64)
    chosen, others = (tiling.loads(machine, groups, *tile, 64, blocks=True) for tile in ((rows, panels), plain))
    assert chosen < 0.95 * others


def test_one_thread_has_the_memory_to_itself() -> None:
    """The larger weights of F(4x4) pay where three other cores do not stream theirs at the same time."""
    device = target.load("raspberry-pi-5")
    alone = pipeline.with_threads(device, 1)
    assert (alone.cpu.cores, pipeline.with_threads(device, 64)) == (1, device)
    op = Conv(7, 7, 512, 512, (3, 3), (1, 1), (1, 1, 1, 1), types=Types(*[FLOAT16] * 7))
    schedules = [registry.find("cpu", op, cpu.machine(one, "fp16")) for one in (alone, device)]
    assert [rule.name for rule in schedules if rule] == ["winograd_cpu", "conv_cpu"]


def test_fewer_threads_have_larger_shares_of_a_common_cache() -> None:
    board, apart = target.load("raspberry-pi-4"), target.load("raspberry-pi-5")
    assert board.cpu.shared_l2 and not apart.cpu.shared_l2
    shares = [pipeline.with_threads(board, threads).cpu.l2_kib for threads in (1, 2, 3, 4, 8)]
    assert shares == [1024, 512, 341, 256, 256]
    assert pipeline.with_threads(apart, 1).cpu.l2_kib == apart.cpu.l2_kib
    op = Conv(14, 14, 256, 256, (3, 3), (1, 1), (1, 1, 1, 1))
    alone, together = (cpu.machine(pipeline.with_threads(board, threads)) for threads in (1, 4))
    assert alone.l2_bytes == 4 * together.l2_bytes
    assert [params.Params.from_machine(machine, op).m for machine in (alone, together)] == [4, 2]
