"""The 8-bit kernels of each ARM instruction set against the integer reference, to the bit."""

from __future__ import annotations

import shutil
from pathlib import Path

import int8_lab
import numpy as np
import pytest

from tsm_edge import target


def emulated(name: str) -> tuple[target.EdgeTarget, list[str]]:
    """A target, and what runs its programs here."""
    device = target.load(name)
    emulator = device.emulator
    assert emulator is not None
    program = shutil.which(emulator.program)
    if program is None or not Path(emulator.sysroot).is_dir():
        pytest.skip(f"needs the packages {emulator.package} and {emulator.sysroot_package}")
    return device, [program, "-cpu", emulator.cpu, "-L", emulator.sysroot]


@pytest.mark.parametrize("name", ["raspberry-pi-4", "raspberry-pi-5"])
def test_kernels_equal_the_reference(name: str, tmp_path: Path) -> None:
    device, command = emulated(name)
    int8_lab.check(int8_lab.cases(device, np.random.default_rng(3)), device, tmp_path, command)
