"""The emulator of a target for tests that run its programs here."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tsm_edge.target import EdgeTarget


def command(device: EdgeTarget) -> list[str]:
    """What stands before a program of the target; the test is skipped where the emulator is not installed."""
    emulator = device.emulator
    assert emulator is not None
    program = shutil.which(emulator.program)
    if program is None or not Path(emulator.sysroot).is_dir():
        pytest.skip(f"needs the packages {emulator.package} and {emulator.sysroot_package}")
    return [program, "-cpu", emulator.cpu, "-L", emulator.sysroot]
