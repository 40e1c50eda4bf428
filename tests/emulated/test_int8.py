"""The 8-bit kernels of each ARM instruction set, and a whole bundle, against the integer reference, to the bit."""

from __future__ import annotations

from pathlib import Path

import emulators
import int8_lab
import numpy as np
import pytest

from tsm_edge import bundle, models, target
from tsm_edge.compile import passes, pipeline, quantize
from tsm_edge.compile.frontend import networks
from tsm_edge.compile.quantize import integer
from tsm_edge.compile.quantize.ranges import Ranges
from tsm_edge.compile.verification import verify
from tsm_edge.compile.verification.reference import Reference, moving_frames
from tsm_edge.errors import UsageError


@pytest.mark.parametrize("name", ["raspberry-pi-4", "raspberry-pi-5"])
def test_kernels_equal_the_reference(name: str, tmp_path: Path) -> None:
    device = target.load(name)
    command = emulators.command(device)
    int8_lab.check(int8_lab.cases(device, np.random.default_rng(3)), device, tmp_path, command)


def test_a_bundle_equals_the_reference(tmp_path: Path) -> None:
    device = target.load("raspberry-pi-5")
    emulators.command(device)
    model = models.load("tsm-mobilenetv2", width=0.25, size=32, classes=5)
    network = networks.zoo(model)
    graph = network.load()
    passes.run(graph)
    found = quantize.calibrate(graph, [list(moving_frames(model.signature.inputs[0], 2))], "mean squared error").ranges
    with pytest.raises(UsageError, match="needs the ranges"):
        pipeline.compile(network, device, tmp_path / "none", precision="int8")
    with pytest.raises(UsageError, match="no such precision"):
        x86 = target.load("x86-64")
        pipeline.compile(network, x86, tmp_path / "none", precision="int8", ranges=lambda graph: found)
    folder = tmp_path / "bundle"
    compiled = pipeline.compile(network, device, folder, precision="int8", ranges=lambda graph: found)
    assert compiled.manifest.precision == "int8"
    assert Ranges.load(folder / "ranges.json") == found
    whole = sum(array.nbytes for node in graph.nodes for array in node.weights)
    assert compiled.planned.plan.weights_bytes < 0.4 * whole
    integers = quantize.quantise(graph, found)

    def step(frame: np.ndarray, states: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
        names = graph.states
        stored = {n: integers.scales[n].quantised(array) for n, array in zip(names, states, strict=True)}
        scores, after = integer.step(integers, frame, stored)
        return scores, [integers.scales[name].real(after[name]) for name in names]

    outcome = verify.compare(folder, bundle.verify(folder), Reference("the integer reference", step), 3)
    exact = {difference.name: difference.absolute for difference in outcome.differences}
    states = [pair.output_name for pair in model.signature.states]
    assert [name for name in states if exact[name] > 0] == []
    assert max(difference.relative for difference in outcome.differences) < 1e-5
