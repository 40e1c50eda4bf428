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
from tsm_edge.compile.ir.dtype import FLOAT16, FLOAT32
from tsm_edge.compile.ir.ops import Dequantise, QConv, QMaxPool, QMean, Quantise
from tsm_edge.compile.lowering import mixed
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
    machine, halves = cpu.machine(device), device.cpu.fp16
    pairs = [(rule, op) for rule in registry.rules("cpu_int8") for op in rule.cases]
    usable = [(rule, op) for rule, op in pairs if rule.worthwhile is None or rule.worthwhile(machine, op)]
    return [case_of(rule, op, machine, rng) for rule, op in usable if halves or FLOAT16 not in op.types.all]


def case_of(rule: Schedule, op: Any, machine: Any, rng: np.random.Generator) -> Case:
    """One case with random numbers, which reach both ends of their types."""
    if isinstance(op, QConv):
        return convolution(rule, op, machine, rng)
    kernel = registry.kernel_of(rule, op, rule.best(machine, op), machine)
    if isinstance(op, Quantise):
        x = (rng.standard_normal(op.size) * op.step * 100).astype(op.types.x.numpy)
        x[:4] = (np.array([0.5, -1.5, 1e4, -1e4])[: x.size] * op.step).astype(x.dtype)
        expected = quantised(op, x)
    elif isinstance(op, Dequantise):
        x = rng.integers(-128, 128, op.size).astype(np.int8)
        floats = op.arithmetic.numpy.type
        expected = ((x.astype(np.int16) - op.zero).astype(floats) * floats(op.step)).astype(op.types.y.numpy)
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


def quantised(op: Quantise, x: np.ndarray) -> np.ndarray:
    """The conversion in the operator's type of arithmetic; in float32 it is the reference's."""
    if op.arithmetic is FLOAT32:
        return scheme.Scale(op.step, op.zero).quantised(x.astype(np.float32))
    steps = x * np.float16(np.float32(1) / np.float32(op.step))
    return np.clip(np.rint(steps).astype(np.int32) + op.zero, -128, 127).astype(np.int8)


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


def compared(folder: Path, integers: quantize.QuantisedGraph) -> tuple[dict[str, float], dict[str, float]]:
    """How far a bundle is from the integers that were compiled: absolute and relative differences by output."""
    graph = integers.graph

    def stored(name: str, array: np.ndarray) -> np.ndarray:
        return array if name in integers.floats else integers.scales[name].quantised(array)

    def real(name: str, array: np.ndarray) -> np.ndarray:
        return array if name in integers.floats else integers.scales[name].real(array)

    def step(frame: np.ndarray, states: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
        before = {name: stored(name, array) for name, array in zip(graph.states, states, strict=True)}
        scores, after = integer.step(integers, frame, before)
        return scores, [real(name, after[name]) for name in graph.states]

    found = verify.compare(folder, bundle.verify(folder), Reference("the integer reference", step), 3).differences
    return {one.name: one.absolute for one in found}, {one.name: one.relative for one in found}


class Small:
    """A small network, the ranges of its values, and the reference of what is compiled from it."""

    def __init__(self, name: str = "tsm-mobilenetv2", **shape: Any) -> None:
        self.model = models.load(name, **(shape or {"width": 0.25, "size": 32}), classes=5)
        self.network = networks.zoo(self.model)
        self.graph = self.network.load()
        passes.run(self.graph)
        frames = list(moving_frames(self.model.signature.inputs[0], 2))
        self.ranges = quantize.calibrate(self.graph, [frames], "mean squared error").ranges

    def compiled(self, device: EdgeTarget, folder: Path, **options: Any) -> pipeline.Compiled:
        """A bundle in 8 bits."""
        given = {"precision": "int8", "ranges": lambda graph, kept: self.ranges, **options}
        return pipeline.compile(self.network, device, folder, **given)

    def compare(self, folder: Path, kept: tuple[str, ...] = ()) -> tuple[dict[str, float], dict[str, float]]:
        """How far a bundle is from the reference: absolute and relative differences by output."""
        return compared(folder, quantize.quantise(self.graph, self.ranges, kept))

    @property
    def states(self) -> list[str]:
        """The outputs that are states."""
        return [pair.output_name for pair in self.model.signature.states]


def check_bundle(device: EdgeTarget, folder: Path) -> None:
    """Compile a network in 8 bits and compare frames and states with the reference: the states to the bit."""
    small = Small()
    with pytest.raises(UsageError, match="needs the ranges"):
        small.compiled(device, folder / "none", ranges=None)
    with pytest.raises(UsageError, match="no such precision"):
        small.compiled(target.load("raspberry-pi-3-32bit"), folder / "none")
    compiled = small.compiled(device, folder / "bundle")
    assert compiled.manifest.precision == "int8"
    assert compiled.modelled is None or compiled.modelled.ms > 0
    assert Ranges.load(compiled.folder / "ranges.json") == small.ranges
    whole = sum(array.nbytes for node in small.graph.nodes for array in node.weights)
    assert compiled.planned.plan.weights_bytes < 0.4 * whole
    integers = quantize.quantise(small.graph, small.ranges)
    scales = Scales.load(compiled.folder / "scales.json")
    assert scales.text() == integers.by_layer().text() and len(scales.layers) == len(integers.layers)
    exact, relative = small.compare(compiled.folder)
    assert [name for name in small.states if exact[name] > 0] == []
    assert max(relative.values()) < 1e-5


#: reading a state, with a residual and a next state, and depthwise; the number of states before any of them
KEPT = ("features.15.conv.0", "features.15.conv.6", "features.17.conv.3")
BEFORE = 9


def check_mixed(device: EdgeTarget, folder: Path, floats: str) -> None:
    """Keep layers in floats: states before them to the bit, those after within a few steps of rounding."""
    small = Small()
    with pytest.raises(UsageError, match="no such layer") as refused:
        small.compiled(device, folder / "none", exclude=["stem"])
    assert KEPT[0] in refused.value.allowed and "classifier" not in refused.value.allowed
    compiled = small.compiled(device, folder / "bundle", exclude=KEPT, dump=folder / "dump")
    assert compiled.manifest.model.float_layers == f"{floats}: {', '.join(KEPT)}"
    claims = next((folder / "dump").glob("*-claims.txt")).read_text().splitlines()
    for layer in KEPT:
        assert [line for line in claims if f" of {layer}:" in line and "_cpu takes" in line]
    assert sum("dequantise_" in line for line in claims) == 4
    exact, relative = small.compare(compiled.folder, KEPT)
    assert [state for state in small.states[:BEFORE] if exact[state] > 0] == []
    assert 0 < max(relative.values()) < 0.1


def check_chosen(device: EdgeTarget, folder: Path) -> None:
    """The layers of a ResNet that are modelled faster in float16 run as Winograd; the others are in 8 bits."""
    small = Small("tsm-resnet18", size=64)
    compiled = small.compiled(device, folder / "bundle", threads=1, dump=folder / "dump")
    dump = {name: next((folder / "dump").glob(f"*-{name}.txt")).read_text() for name in ("precision", "claims")}
    halves = tuple(line.partition(":")[0] for line in dump["precision"].splitlines() if ": float16" in line)
    assert compiled.manifest.model.float_layers == f"float16: {', '.join(halves)}"
    assert "layer1.0.conv1" in halves and "layer4.1.conv1" not in halves
    taken = [line for line in dump["claims"].splitlines() if line.startswith("winograd_cpu takes")]
    assert len(taken) == len(halves)
    exact, relative = small.compare(compiled.folder, halves)
    assert exact[small.states[0]] == 0 < max(relative.values()) < 0.1
    plain = mixed.choose(small.graph, cpu, target.load("raspberry-pi-4"))
    assert not plain and all(one.layer not in halves for one in mixed.choose(small.graph, cpu, device, halves))
