"""A bundle against its reference over a sequence of frames, states included, on this machine or under an emulator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tsm_edge import native
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
    command, where = native.runner(folder, manifest)
    specs = [signature.outputs[0], *(pair.input for pair in signature.states)]
    floats = sum(spec.size for spec in specs)
    got = native.dump(command, ("--threads", "2", "--tensor"), inputs, floats)
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
