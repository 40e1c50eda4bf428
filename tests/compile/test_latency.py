"""The modelled latency: arithmetic that a reader can redo by hand."""

from __future__ import annotations

from dataclasses import replace

import kernel_lab
import numpy as np
import pytest

from tsm_edge import target
from tsm_edge.compile.backends import cpu
from tsm_edge.compile.ir.ops import Conv, Copy, GlobalPool, InvertedResidual, MaxPool, Op, QConv, Transpose
from tsm_edge.compile.ir.plan import Cycles
from tsm_edge.compile.kernels.cpu import cost
from tsm_edge.compile.lowering import latency_cpu
from tsm_edge.compile.lowering.latency_cpu import Work
from tsm_edge.compile.schedules import registry

BOARD = target.load("raspberry-pi-4")
CPU = replace(BOARD.cpu, clock_ghz=2.0, cores=4, l2_kib=256, dram_gb_s=10.0)
MIB = 2**20


def work(cycles: float = 2e6, items: int = 100, weights: int = 0, activations: int = 0) -> Work:
    return Work("layer", "schedule", cycles, items, weights, activations)


def frame(*works: Work, threads: int = 1) -> latency_cpu.FrameTime:
    modelled = latency_cpu.frame(works, CPU, threads)
    assert modelled is not None
    return modelled


def test_a_layer_that_stays_in_the_cache_takes_its_cycles() -> None:
    modelled = frame(work())
    assert modelled.ms == pytest.approx(1.0)
    assert modelled.bound == "compute"
    assert modelled.text == "1.0 ms per frame at 1 thread, compute-bound"


def test_weights_larger_than_the_caches_come_from_memory() -> None:
    modelled = frame(work(weights=2 * MIB), threads=4)
    assert modelled.ms == pytest.approx(2 * MIB / (10e6 * latency_cpu.DRAM_EFFICIENCY))
    assert modelled.bound == "memory"
    assert modelled.text.endswith("ms per frame at 4 threads, memory-bound")


def test_weights_of_the_whole_network_decide_whether_they_stay() -> None:
    small = work(cycles=0.0, weights=MIB // 2)
    assert frame(small).ms == 0
    assert frame(small, replace(small, weights=MIB)).ops[0].memory_ms > 0


def test_activations_count_only_where_they_exceed_the_caches() -> None:
    assert frame(work(cycles=0.0, activations=MIB)).ms == 0
    assert frame(work(cycles=0.0, activations=MIB + 4)).ms > 0


@pytest.mark.parametrize(
    ("items", "threads", "share"), [(100, 4, 0.25), (5, 4, 0.4), (1, 4, 1.0), (4, 3, 0.5)]
)
def test_items_that_do_not_divide_leave_threads_idle(items: int, threads: int, share: float) -> None:
    modelled = latency_cpu.compute_ms(work(items=items), 2.0, threads)
    assert modelled == pytest.approx(share + latency_cpu.WAKE_US / 1e3)


def test_nothing_is_modelled_without_a_clock() -> None:
    assert latency_cpu.frame([work()], replace(CPU, clock_ghz=0.0), 1) is None


def cycles(name: str, op: Op) -> float:
    """What a schedule says of its kernel with the parameters that the model chooses."""
    machine = cpu.machine(BOARD)
    rule = next(rule for rule in registry.rules("cpu") if rule.name == name)
    weights = kernel_lab.weights_for(op, np.random.default_rng(0))
    work = rule.build(op, rule.best(machine, op), machine, *weights).work
    assert isinstance(work, Cycles)
    return work.cycles


def test_a_tuned_layer_is_modelled_with_its_own_tiles() -> None:
    machine, op = cpu.machine(BOARD), Conv(14, 14, 96, 576)
    rule = next(rule for rule in registry.rules("cpu") if rule.name == "pointwise_cpu")
    weights = kernel_lab.weights_for(op, np.random.default_rng(0))
    kernels = [rule.build(op, params, machine, *weights) for params in registry.variants(rule, op, machine)]
    modelled = [kernel.work.cycles for kernel in kernels if isinstance(kernel.work, Cycles)]
    assert len(set(modelled)) > 1 and min(modelled) == modelled[0]


def test_a_dense_layer_is_near_and_never_below_its_multiply_adds() -> None:
    machine = cpu.machine(BOARD)
    for op in (Conv(14, 14, 96, 576), Conv(14, 14, 256, 256, (3, 3), (1, 1), (1, 1, 1, 1), low=0.0)):
        floor = op.macs / machine.lanes / machine.fma_per_cycle
        name = "pointwise_cpu" if op.pointwise else "conv_cpu"
        assert floor <= cycles(name, op) <= 1.2 * floor


@pytest.mark.parametrize(
    ("board", "products", "most"),  # multiply-adds of bytes that the core's instructions do in a cycle at best
    [("raspberry-pi-4", 8, 1.3), ("raspberry-pi-5", 32, 1.3), ("x86-64", 32, 2.0), ("intel-n100", 32, 1.5)],
)
@pytest.mark.parametrize("conv", [Conv(14, 14, 96, 576), Conv(14, 14, 256, 256, (3, 3), (1, 1), (1, 1, 1, 1))])
def test_a_dense_layer_in_8_bits_is_near_its_products(
    board: str, products: int, most: float, conv: Conv
) -> None:
    machine = cpu.machine(target.load(board))
    rule = next(rule for rule in registry.rules("cpu_int8") if rule.takes(QConv(conv)))
    weight = np.zeros((conv.out_channels, conv.channels, *conv.kernel), np.int8)
    zeros = np.zeros(conv.out_channels, np.int32)
    modelled = rule.build(QConv(conv), rule.best(machine, QConv(conv)), machine, weight, zeros, zeros).work
    assert isinstance(modelled, Cycles)
    assert conv.macs / products <= modelled.cycles <= most * conv.macs / products


def test_a_depthwise_layer_pays_for_its_epilogue() -> None:
    machine = cpu.machine(BOARD)
    plain = Conv(14, 14, 96, 96, (3, 3), (1, 1), (1, 1, 1, 1), 96)
    clamped = replace(plain, low=0.0, high=6.0)
    vectors = plain.pixels * 24
    plain_cycles = cycles("depthwise_cpu", plain)
    assert cycles("depthwise_cpu", clamped) - plain_cycles == pytest.approx(2 * vectors)
    assert plain_cycles > plain.macs / machine.lanes


def test_a_block_is_the_sum_of_its_layers() -> None:
    parts = (
        Conv(14, 14, 16, 96),
        Conv(14, 14, 96, 96, (3, 3), (1, 1), (1, 1, 1, 1), 96),
        Conv(14, 14, 96, 16),
    )
    alone = [cycles("depthwise_cpu" if part.depthwise else "pointwise_cpu", part) for part in parts]
    # the block walks its layers row by row, with tiles that fit a row
    assert sum(alone) <= cycles("inverted_residual_cpu", InvertedResidual(*parts)) <= 1.2 * sum(alone)


@pytest.mark.parametrize(
    ("op", "numbers"),
    [
        (GlobalPool(7, 7, 10), 490),
        (Copy(49, 24, 3), 147),
        (Transpose(5, 7), 35),
        (MaxPool(4, 4, 8, (2, 2), (2, 2), (0, 0, 0, 0)), 128),
    ],
)
def test_what_moves_numbers_is_counted_by_them(op: Op, numbers: int) -> None:
    name = {"transpose": "copy"}.get(op.kind, op.kind)
    assert cycles(f"{name}_cpu", op) == numbers / cost.COPIED
