"""The kernels of each ARM instruction set against plain numpy, under qemu-user."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import emulators
import kernel_lab
import numpy as np
import pytest

from tsm_edge import target
from tsm_edge.compile.backends import cpu
from tsm_edge.compile.ir.dtype import FLOAT16, FLOAT32, Types
from tsm_edge.compile.ir.ops import Conv, GlobalPool

EXTRA = [
    *(Conv(1, pixels, 13, 21, residual=True, high=1.0) for pixels in (1, 3, 8, 11)),
    *(Conv(3, 4, channels, 20, fold_in=channels // 8, low=0.0) for channels in (8, 24, 31)),
    *(Conv(size, size, 12, 12, (3, 3), (2, 2), (1, 1, 1, 1), 12, low=0.0, high=6.0) for size in (2, 5, 12)),
]


#: the frame and the scores are float32 in any precision
WIDE = [
    replace(Conv(9, 11, 3, 24, (3, 3), (2, 2), (1, 1, 1, 1), low=0.0), types=Types(FLOAT32, *[FLOAT16] * 6)),
    replace(Conv(1, 1, 300, 21), types=Types(w=FLOAT16, b=FLOAT16)),
    replace(GlobalPool(7, 5, 21), types=Types(x=FLOAT16)),
    replace(Conv(3, 3, 600, 40, low=0.0), types=Types(*[FLOAT16] * 7)),  # a sum in parts
]


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("raspberry-pi-3", "fp32"),
        ("raspberry-pi-3", "fp16"),
        ("raspberry-pi-4", "fp32"),
        ("raspberry-pi-5", "fp16"),
        ("raspberry-pi-3-32bit", "fp32"),
    ],
)
def test_kernels_equal_numpy(name: str, precision: str, tmp_path: Path) -> None:
    device = target.load(name)
    command = emulators.command(device)
    rng = np.random.default_rng(2)
    machine = cpu.machine(device, precision)
    kernels = kernel_lab.every_kernel(machine, rng, EXTRA)
    if machine.dtype is FLOAT16:
        kernels += [kernel_lab.schedule(op, machine, rng) for op in WIDE]
    kernel_lab.check_all(kernels, machine, device, tmp_path, command, rng)
