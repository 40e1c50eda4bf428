"""A bundle against its reference over a sequence of frames, states included, on this machine or under an emulator."""

from __future__ import annotations

import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tsm_edge import abi, target
from tsm_edge.errors import DeviceError, RuntimeFailure, ToolMissing
from tsm_edge.manifest import Manifest

from .reference import Step, moving_frames


@dataclass(frozen=True)
class Difference:
    """Largest difference of one output or state over all frames; relative to the reference's largest magnitude."""

    name: str
    shape: tuple[int, ...]
    absolute: float
    relative: float

    def within(self, tolerance: float) -> bool:
        """NaN is never within."""
        return bool(self.relative <= tolerance)


@dataclass(frozen=True)
class Outcome:
    """All differences and where the bundle ran."""

    where: str
    frames: int
    differences: tuple[Difference, ...]
    top1: int  # frames whose best class agrees


def compare(folder: Path, manifest: Manifest, step: Step, frames: int) -> Outcome:
    """Run both over the same frames from zero states and compare every output of every frame."""
    signature = manifest.signature
    inputs = list(moving_frames(signature.inputs[0], frames))
    command, where = runner(folder, manifest)
    specs = [signature.outputs[0], *(pair.input for pair in signature.states)]
    got = run(command, inputs, sum(spec.size for spec in specs))
    names = [signature.outputs[0].name, *(pair.output_name for pair in signature.states)]
    worst = np.zeros(len(specs))
    largest = np.full(len(specs), np.finfo(np.float32).tiny)
    top1 = 0
    states = [np.zeros(pair.input.shape, np.float32) for pair in signature.states]
    for frame, row in zip(inputs, got, strict=True):
        scores, states = step(frame, states)
        at = 0
        for index, (spec, wanted) in enumerate(zip(specs, [scores, *states], strict=True)):
            found = row[at : at + spec.size].reshape(spec.shape)
            difference = np.abs(found.astype(np.float64) - wanted.reshape(spec.shape))
            worst[index] = max(worst[index], np.inf if np.isnan(difference).any() else difference.max())
            largest[index] = max(largest[index], np.abs(wanted).max())
            at += spec.size
        top1 += int(row[: specs[0].size].argmax() == scores.argmax())
    differences = tuple(
        Difference(name, spec.shape, float(w), float(w / m))
        for name, spec, w, m in zip(names, specs, worst, largest, strict=True)
    )
    return Outcome(where, frames, differences, top1)


def runner(folder: Path, manifest: Manifest) -> tuple[list[str], str]:
    """The command that runs the bundle here, and in words where that is."""
    program = str(folder.resolve() / "tsm-edge-run")
    if manifest.target.arch == platform.machine():
        return [program], "this machine"
    emulator = target.load(manifest.target.name).emulator
    if emulator is None:
        raise ToolMissing(
            f"No emulator is known for target '{manifest.target.name}'.",
            found=platform.machine(),
            hint=f"verify it on a machine of type {manifest.target.arch}",
        )
    path = shutil.which(emulator.program) or shutil.which(f"{emulator.program}-static")
    if path is None:
        raise ToolMissing(
            f"The emulator '{emulator.program}' is not installed.",
            found="not on PATH",
            hint=f"apt install {emulator.package}",
        )
    command = [path, "-cpu", emulator.cpu]
    if emulator.sysroot and manifest.target.link == "shared":
        if not Path(emulator.sysroot).is_dir():
            raise ToolMissing(
                f"The C library for {manifest.target.arch} is not installed.",
                found=f"no {emulator.sysroot}",
                hint=f"apt install {emulator.sysroot_package}",
            )
        command += ["-L", emulator.sysroot]
    return [*command, program], f"{emulator.program}, {emulator.cpu}"


def run(command: list[str], inputs: list[np.ndarray], floats: int) -> np.ndarray:
    """Feed float32 frames to `tsm-edge-run --tensor --dump`; returns [frames, scores and states] float32."""
    arguments = [*command, "--threads", "2", "--tensor", "--dump"]
    done = subprocess.run(
        arguments, input=b"".join(frame.tobytes() for frame in inputs), capture_output=True, check=False
    )
    if (
        done.returncode == DeviceError.exit_code
    ):  # no driver, or none that can run it: the command's own words say why
        raise abi.error_from(DeviceError, done.stderr.rpartition(b"tsm-edge-run: ")[2])
    if done.returncode:
        raise RuntimeFailure(
            "The bundle does not run.",
            found=done.stderr.decode(errors="replace").strip()[-800:] or f"exit {done.returncode}",
        )
    if len(done.stdout) != len(inputs) * floats * 4:
        raise RuntimeFailure(
            "The bundle answered with another number of values.",
            found=len(done.stdout) // 4,
            allowed=len(inputs) * floats,
        )
    return np.frombuffer(done.stdout, np.float32).reshape(len(inputs), floats)
