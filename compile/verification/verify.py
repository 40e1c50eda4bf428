"""A bundle against its reference over a sequence of frames, states included, on this machine or under an emulator."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tsm_edge import boxes as regions
from tsm_edge import frames as pixels
from tsm_edge.bundle.manifest import Manifest
from tsm_edge.runtime import native
from tsm_edge.signature import Preprocess

from .reference import Step, moving_frames, moving_pictures


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


PICTURES = 2  # that the way from pixels to the input is compared with


def compare(
    folder: Path, manifest: Manifest, step: Step, frames: int, boxes: Path | None = None
) -> Outcome:
    """Run both over the same frames from zero states and compare every output of every frame.

    A network that takes pictures gets some, too: what the bundle makes of pixels is compared with
    `tsm_edge.frames.preprocess` before the step. boxes: the file of a network of regions, for both.
    """
    signature = manifest.signature
    command, where = native.runner(folder, manifest)
    inputs = list(moving_frames(signature.inputs[0], frames))
    given = None if boxes is None else regions.read(boxes, signature)
    command = command if boxes is None else [*command, "--boxes", str(boxes)]
    left = run(command, ("--tensor",), inputs, manifest)
    differences, top1 = differing(manifest, step, inputs, left, given)
    if manifest.preprocess is not None:
        differences += (differing_on_pictures(command, manifest, step, manifest.preprocess, given),)
    return Outcome(where, frames, differences, top1)


def differing_on_pictures(
    command: list[str],
    manifest: Manifest,
    step: Step,
    how: Preprocess,
    boxes: NDArray[np.float32] | None = None,
) -> Difference:
    """The difference of the scores over a few pictures of another size and ratio than the network's."""
    size = (how.resize[0] * 3 // 2 + 1, how.resize[1] * 5 // 4 + 3)
    info = manifest.model
    pictures = list(moving_pictures(size, info.clip_frames + (PICTURES - 1) * info.window_stride))
    words = ("--raw", f"{size[1]}x{size[0]}", "--format", "rgb")
    left = run(command, words, pictures, manifest)
    inputs = [pixels.preprocess(picture, how, format="rgb") for picture in pictures]
    answers = range(info.clip_frames - 1, len(pictures), info.window_stride)
    windows = [np.concatenate(inputs[at + 1 - info.clip_frames : at + 1]) for at in answers]
    scores = differing(manifest, step, windows, left[list(answers)], boxes)[0][0]
    return replace(scores, name=f"{scores.name}, of pictures")


def run(
    command: list[str], words: tuple[str, ...], inputs: list[np.ndarray], manifest: Manifest
) -> NDArray[np.float32]:
    """What the bundle left after each input, float32 [inputs, values]: scores, then every state."""
    signature = manifest.signature
    floats = signature.outputs[0].size + sum(pair.input.size for pair in signature.states)
    return native.dump(command, ("--threads", "2", *words), inputs, floats)


def differing(
    manifest: Manifest,
    step: Step,
    inputs: list[np.ndarray],
    left: NDArray[np.float32],
    boxes: NDArray[np.float32] | None = None,
) -> tuple[tuple[Difference, ...], int]:
    """The differences of scores and states over all inputs, and how often the best class agrees."""
    signature = manifest.signature
    specs = [signature.outputs[0], *(pair.input for pair in signature.states)]
    names = [signature.outputs[0].name, *(pair.output_name for pair in signature.states)]
    worst = np.zeros(len(specs))
    largest = np.full(len(specs), np.finfo(np.float32).tiny)
    top1 = 0
    states = [np.zeros(pair.input.shape, np.float32) for pair in signature.states]
    if boxes is not None:
        states = [boxes if pair.input.name == regions.STATE else zeros for pair, zeros in zip(signature.states, states)]
    for frame, row in zip(inputs, left, strict=True):
        scores, states = step(frame, states)
        at = 0
        for index, (spec, wanted) in enumerate(zip(specs, [scores, *states], strict=True)):
            found = row[at : at + spec.size].reshape(spec.shape)
            difference = np.abs(found.astype(np.float64) - wanted.reshape(spec.shape))
            worst[index] = max(worst[index], np.inf if np.isnan(difference).any() else difference.max())
            largest[index] = max(largest[index], np.abs(wanted).max())
            at += spec.size
        top1 += int(row[: specs[0].size].argmax() == scores.argmax())
    rows = zip(names, specs, worst, largest, strict=True)
    return tuple(Difference(name, spec.shape, float(w), float(w / m)) for name, spec, w, m in rows), top1
