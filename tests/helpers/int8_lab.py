"""Run 8-bit kernels outside a bundle, and whole bundles, and compute the same in the integer reference."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kernel_lab
import numpy as np
import pytest

from tsm_edge import bundle, models, target
from tsm_edge.bundle.scales import Scales
from tsm_edge.compile import passes, pipeline, quantize
from tsm_edge.compile.backends import cpu
from tsm_edge.compile.frontend import networks
from tsm_edge.compile.ir.ops import QConv, QMaxPool, QMean, Quantise
from tsm_edge.compile.quantize import integer, scheme
from tsm_edge.compile.quantize.ranges import Ranges
from tsm_edge.compile.quantize.windows import windows
from tsm_edge.compile.schedules import registry
from tsm_edge.compile.schedules.rule import Schedule
from tsm_edge.compile.verification import verify
from tsm_edge.compile.verification.reference import Reference, moving_frames
from tsm_edge.errors import UsageError
from tsm_edge.target import EdgeTarget


@dataclass
class Case:
    """A kernel, its arguments, and what it must write."""

    kernel: Any
    arguments: dict[str, np.ndarray]
    expected: dict[str, np.ndarray]


def cases(device: EdgeTarget, rng: np.random.Generator) -> list[Case]:
    """The CASES of every 8-bit schedule that the machine has instructions for."""
    machine = cpu.machine(device)
    pairs = [(rule, op) for rule in registry.rules("cpu_int8") for op in rule.cases]
    usable = [(rule, op) for rule, op in pairs if rule.worthwhile is None or rule.worthwhile(machine, op)]
    return [case_of(rule, op, machine, rng) for rule, op in usable]


def case_of(rule: Schedule, op: Any, machine: Any, rng: np.random.Generator) -> Case:
    """One case with random numbers, which reach both ends of their types."""
    if isinstance(op, QConv):
        return convolution(rule, op, machine, rng)
    kernel = registry.kernel_of(rule, op, rule.best(machine, op), machine)
    if isinstance(op, Quantise):
        x = (rng.standard_normal(op.size) * op.step * 100).astype(np.float32)
        x[:4] = np.array([0.5, -1.5, 1e9, -1e9])[: x.size] * op.step
        expected = scheme.Scale(op.step, op.zero).quantised(x)
    elif isinstance(op, QMean):
        x = rng.integers(-128, 128, (op.pixels, 1, op.channels)).astype(np.int8)
        expected = integer.mean(scheme.Scale(op.step, op.zero), x)
    else:
        assert isinstance(op, QMaxPool)
        pool = op.pool
        x = rng.integers(-128, 128, (pool.height, pool.width, pool.channels)).astype(np.int8)
        expected = windows(x, pool.kernel, pool.stride, pool.pad, -128).max((3, 4))
        return Case(kernel, {"x": x}, {"y": expected, "next": expected[..., : pool.fold_out]})
    return Case(kernel, {"x": x}, {"y": expected})


def convolution(rule: Schedule, op: QConv, machine: Any, rng: np.random.Generator) -> Case:
    """A layer whose sums fill the range of a byte."""
    conv = op.conv
    weight = rng.integers(-127, 128, (conv.out_channels, conv.channels // conv.groups, *conv.kernel)).astype(np.int8)
    bias = rng.integers(-3000, 3000, conv.out_channels).astype(np.int32)
    spread = 128 * 74 * conv.taps**0.5 / (256 if op.share else 1)
    multiplier = rng.uniform(0.3, 1.5, conv.out_channels) * 60 / spread * 2.0**31
    layer = scheme.Layer(
        weight, bias, np.minimum(multiplier, 2.0**31 - 1).astype(np.int32), op.x_zero, op.share, op.r_zero
    )
    kernel = registry.kernel_of(rule, op, rule.best(machine, op), machine, weight, bias, layer.multiplier)
    shape = (conv.height, conv.width)
    x = rng.integers(-128, 128, (*shape, conv.channels)).astype(np.int8)
    arguments = {"x": x, **kernel.constants}
    if conv.fold_in:
        arguments["state"] = rng.integers(-128, 128, (*shape, conv.fold_in)).astype(np.int8)
    if conv.residual:
        out = (conv.out_height, conv.out_width, conv.out_channels)
        arguments["r"] = rng.integers(-128, 128, out).astype(np.int8)
    state, residual = arguments.get("state"), arguments.get("r")
    y = integer.convolution(layer, x, state, residual, conv.stride, conv.pad, conv.groups)
    return Case(kernel, arguments, {"y": y, "next": y[..., : conv.fold_out]})


def check(found: list[Case], device: EdgeTarget, folder: Path, command: list[str]) -> None:
    """Build all kernels with one program, run it, and compare every byte."""
    calls = []
    for case in found:
        values = dict(case.arguments)
        for name, pointer in case.kernel.pointers.items():
            data = values.setdefault(name, np.zeros(pointer.size, pointer.dtype.numpy))
            assert data.nbytes == pointer.bytes, (case.kernel.op, name)
        calls.append((case.kernel, values))
    kernel_lab.run(calls, device, folder, command)
    for case, (kernel, values) in zip(found, calls, strict=True):
        for name, expected in case.expected.items():
            if name in kernel.pointers:
                wrong = np.flatnonzero(values[name] != expected.ravel())
                assert not wrong.size, f"{kernel.rule} {kernel.op}: {wrong.size} of {name}, from {wrong[0]}"


def check_bundle(device: EdgeTarget, folder: Path) -> None:
    """Compile a network in 8 bits and compare frames and states with the reference: the states to the bit."""
    model = models.load("tsm-mobilenetv2", width=0.25, size=32, classes=5)
    network = networks.zoo(model)
    graph = network.load()
    passes.run(graph)
    found = quantize.calibrate(graph, [list(moving_frames(model.signature.inputs[0], 2))], "mean squared error").ranges
    with pytest.raises(UsageError, match="needs the ranges"):
        pipeline.compile(network, device, folder / "none", precision="int8")
    with pytest.raises(UsageError, match="no such precision"):
        narrow = target.load("raspberry-pi-3-32bit")
        pipeline.compile(network, narrow, folder / "none", precision="int8", ranges=lambda graph: found)
    compiled = pipeline.compile(network, device, folder / "bundle", precision="int8", ranges=lambda graph: found)
    assert compiled.manifest.precision == "int8"
    assert Ranges.load(compiled.folder / "ranges.json") == found
    whole = sum(array.nbytes for node in graph.nodes for array in node.weights)
    assert compiled.planned.plan.weights_bytes < 0.4 * whole
    integers = quantize.quantise(graph, found)
    scales = Scales.load(compiled.folder / "scales.json")
    assert scales.text() == integers.by_layer().text() and len(scales.layers) == len(integers.layers)

    def step(frame: np.ndarray, states: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
        names = graph.states
        stored = {n: integers.scales[n].quantised(array) for n, array in zip(names, states, strict=True)}
        scores, after = integer.step(integers, frame, stored)
        return scores, [integers.scales[name].real(after[name]) for name in names]

    reference = Reference("the integer reference", step)
    outcome = verify.compare(compiled.folder, bundle.verify(compiled.folder), reference, 3)
    exact = {difference.name: difference.absolute for difference in outcome.differences}
    states = [pair.output_name for pair in model.signature.states]
    assert [name for name in states if exact[name] > 0] == []
    assert max(difference.relative for difference in outcome.differences) < 1e-5
