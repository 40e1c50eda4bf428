"""The 8-bit kernels of each ARM instruction set, and a whole bundle, against the integer reference, to the bit."""

from __future__ import annotations

from pathlib import Path

import emulators
import int8_lab
import numpy as np
import pytest
import qdq_lab

from tsm_edge import target
from tsm_edge.compile import pipeline
from tsm_edge.compile.quantize.ranges import Ranges


@pytest.mark.parametrize("name", ["raspberry-pi-4", "raspberry-pi-5"])
def test_kernels_equal_the_reference(name: str, tmp_path: Path) -> None:
    device = target.load(name)
    command = emulators.command(device)
    int8_lab.check(int8_lab.cases(device, np.random.default_rng(3)), device, tmp_path, command)


def test_a_bundle_equals_the_reference(tmp_path: Path) -> None:
    device = target.load("raspberry-pi-5")
    emulators.command(device)
    int8_lab.check_bundle(device, tmp_path)


@pytest.mark.parametrize(("name", "floats"), [("raspberry-pi-5", "float16"), ("raspberry-pi-4", "float32")])
def test_layers_are_kept_in_floats(name: str, floats: str, tmp_path: Path) -> None:
    device = target.load(name)
    emulators.command(device)
    int8_lab.check_mixed(device, tmp_path, floats)


def test_layers_are_chosen_for_half_precision(tmp_path: Path) -> None:
    device = target.load("raspberry-pi-5")
    emulators.command(device)
    int8_lab.check_chosen(device, tmp_path)


def test_a_bundle_of_a_quantised_file_equals_the_reference(tmp_path: Path) -> None:
    """The scales of ONNX Runtime's quantiser, with a state; `tests/compile/test_qdq.py` compares with ONNX Runtime."""
    device = target.load("raspberry-pi-5")
    emulators.command(device)
    path = qdq_lab.quantised(qdq_lab.cnn(tmp_path / "net.onnx"), tmp_path / "bytes.onnx", "QUInt8", per_channel=True)
    file = qdq_lab.File(path, qdq_lab.STATES)
    compiled = pipeline.compile(file.network, device, tmp_path / "bundle")
    assert compiled.manifest.precision == "int8" and not compiled.generic_layers()
    assert Ranges.load(compiled.folder / "ranges.json") == file.ranges
    exact, relative = int8_lab.compared(compiled.folder, file.integers)
    assert exact["keep"] == 0 and max(relative.values()) < 1e-5
