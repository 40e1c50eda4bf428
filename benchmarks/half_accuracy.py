"""What half precision on a processor costs in accuracy: a bundle in fp16 beside float32 on rendered clips.

    python benchmarks/half_accuracy.py [--model gestures] [--target raspberry-pi-5] [--data STORE] [--clips 22] [--json]

Without --data it renders `synth --split test`. The bundle runs as its own program, here or under its target's emulator,
every clip from zero states; PyTorch computes the same steps in float32 from the same frames.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import _common
import numpy as np

from tsm_edge import bundle, models, target
from tsm_edge.compile.verification import reference
from tsm_edge.runtime import native
from tsm_edge.train import measure as recognition
from tsm_edge.train.store import open_store

#: bounds: top-1 may fall by so much, so many frames must have float32's answer
MOST_LOST, LEAST_EQUAL = 0.002, 0.995


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Compile, run every clip through both, and compare."""
    data = options.data or folder / "half-clips"
    if options.data is None and not (data / "clips.json").is_file():
        _common.note(f"rendering {options.clips} clips")
        _common.tsm_edge("synth", "--split", "test", "--clips", options.clips, "--out", data)
    name = f"{options.model}-{options.target}-fp16"
    built, _ = _common.compiled(
        folder / name, options.model, "--precision", "fp16", target=options.target
    )
    manifest = bundle.verify(built)
    how = models.load(options.model).preprocess
    step = reference.step_of(manifest, None)
    command, where = native.runner(built, manifest)
    store = open_store(data)
    chosen = np.linspace(0, len(store) - 1, min(options.clips, len(store))).round().astype(int)
    exact, found = [], []
    for index in chosen:
        _common.note(f"clip {index}")
        pixels = recognition.centred(store.clip(int(index)), how)
        frames = [np.ascontiguousarray(one[None]) for one in recognition.normalised(pixels[None], how).numpy()[0]]
        exact.append(run_float(step, manifest, frames))
        found.append(run_bundle(command, manifest, frames))
    return compare(exact, found, store.targets[chosen]) | {
        "model": options.model,
        "target": options.target,
        "where": where,
    }


def run_float(step: reference.Step, manifest: bundle.Manifest, frames: list[np.ndarray]) -> np.ndarray:
    """Scores after each frame in float32, [T, classes]."""
    states = [np.zeros(pair.input.shape, np.float32) for pair in manifest.signature.states]
    rows = []
    for frame in frames:
        scores, states = step(frame, states)
        rows.append(scores.ravel())
    return np.stack(rows)


def run_bundle(command: list[str], manifest: bundle.Manifest, frames: list[np.ndarray]) -> np.ndarray:
    """The same through the bundle's program."""
    signature = manifest.signature
    classes = signature.outputs[0].size
    floats = classes + sum(pair.input.size for pair in signature.states)
    return native.dump(command, ("--threads", "1", "--tensor"), frames, floats)[:, :classes]


def compare(exact: list[np.ndarray], found: list[np.ndarray], targets: np.ndarray) -> dict[str, Any]:
    """Figures of both, and whether the bounds hold."""
    before, after = np.concatenate(exact), np.concatenate(found)
    first, second = top1(exact, targets), top1(found, targets)
    equal = float((before.argmax(1) == after.argmax(1)).mean())
    finite = bool(np.isfinite(after).all())
    return {
        "clips": len(exact),
        "frames": len(before),
        "top1_float32": first,
        "top1_float16": second,
        "frames_equal": equal,
        "largest_difference": float(np.abs(before - after).max() / np.abs(before).max()),
        "finite": finite,
        "bounds": {"top1_lost": MOST_LOST, "frames_equal": LEAST_EQUAL},
        "ok": finite and first - second <= MOST_LOST and equal >= LEAST_EQUAL,
    }


def top1(scores: list[np.ndarray], targets: np.ndarray) -> float:
    """Share of clips whose answer is right; a frame counts as `tsm-edge eval` lets it count."""
    answers = [int((recognition.consensus(len(clip)) @ clip).argmax()) for clip in scores]
    return float(np.mean(np.array(answers) == targets))


def show(document: dict[str, Any]) -> None:
    """One table."""
    keys = ("clips", "frames", "top1_float32", "top1_float16", "frames_equal", "largest_difference")
    _common.rows([key.replace("_", " ") for key in keys], [[document[key] for key in keys]])
    print("holds its bounds" if document["ok"] else "BELOW ITS BOUNDS")


if __name__ == "__main__":
    parser = _common.parser(__doc__.partition("\n")[0])
    parser.add_argument("--model", default="gestures", metavar="NAME")
    parser.add_argument("--target", default="raspberry-pi-5", metavar="NAME", choices=target.names())
    parser.add_argument("--data", type=Path, metavar="STORE", help="rendered clips; otherwise they are rendered")
    parser.add_argument("--clips", type=int, default=22)
    _common.main(parser.parse_args(), measure, show)
