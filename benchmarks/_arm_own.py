"""Our own bundles under the counting emulator: compiled for a target, counted by the difference of two runs."""

from __future__ import annotations

import json
from pathlib import Path

import _arm_classes
import _common
import numpy as np

from tsm_edge import models, target
from tsm_edge.compile import passes, quantize
from tsm_edge.compile.frontend import networks

FRAMES = (1, 2)


def bundle_of(name: str, device: target.EdgeTarget, precision: str, frames: np.ndarray, folder: Path) -> Path:
    """Compile a model of the zoo for one thread, once; frames calibrate int8, [T, 1, 3, H, W]."""
    options: list[object] = ["--precision", precision, "--threads", 1]
    if precision == "int8":
        options += ["--ranges", ranges_of(name, frames, folder)]
    path, _ = _common.compiled(
        folder / f"{name}-{device.name}-{precision}", name, *options, target=device.name
    )
    return path


def ranges_of(name: str, frames: np.ndarray, folder: Path) -> Path:
    """The smallest and largest of every value over the frames, which is how the peers' ranges are made, too."""
    path = folder / f"{name}-ranges.json"
    if not path.is_file():
        graph = networks.zoo(models.load(name)).load()
        passes.run(graph)
        _common.note(f"calibrating {name}")
        path.write_text(quantize.calibrate(graph, [list(frames)], "min-max").ranges.text())
    return path


def counted(bundle: Path, device: target.EdgeTarget, cpu: str, plugin: Path) -> dict[str, float]:
    """Instructions a frame by class: the difference of two runs over the difference in frames."""
    few, more = (run(bundle, device, cpu, frames, plugin) for frames in FRAMES)
    return {name: (more[name] - few.get(name, 0)) / (FRAMES[1] - FRAMES[0]) for name in more}


def run(bundle: Path, device: target.EdgeTarget, cpu: str, frames: int, plugin: Path) -> dict[str, int]:
    """The classes of one run of so many frames."""
    assert device.emulator is not None
    shape = json.loads((bundle / "manifest.json").read_text())["signature"]["inputs"][0]["shape"]
    data = np.random.default_rng(0).standard_normal((frames, *shape), np.float32).tobytes()
    words = [device.emulator.program, "-cpu", cpu, "-plugin", str(plugin), "-L", device.emulator.sysroot]
    words += [str(bundle.resolve() / "tsm-edge-run"), "--tensor", "--threads", "1"]
    return _arm_classes.counted("The bundle", words, data)
