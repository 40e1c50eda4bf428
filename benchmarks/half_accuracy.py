"""What half precision on a processor costs in accuracy: a bundle in fp16 beside float32 on rendered clips.

    python benchmarks/half_accuracy.py [--model gestures] [--target raspberry-pi-5] [--data STORE ...] [--clips 22]

Without --data it renders `synth --split test`. The bundle runs as its own program, here or under its target's emulator,
every clip from zero states; PyTorch computes the same steps in float32 from the same frames. An emulator needs 0.25 s a
frame; with --trial the clips run through what chooses the default instead (`compile/quantize/half.py`), which rounds
the same numbers and sums, though in an order of its own.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import _accuracy
import _common
import numpy as np
import torch

from tsm_edge import bundle, target
from tsm_edge.compile import passes
from tsm_edge.compile.frontend import networks
from tsm_edge.compile.ir.graph import Graph
from tsm_edge.compile.quantize import half
from tsm_edge.compile.verification import reference
from tsm_edge.runtime import native
from tsm_edge.train import measure as recognition

#: bounds: top-1 may fall by so much, so many frames must have float32's answer
MOST_LOST, LEAST_EQUAL = 0.002, 0.995


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Compile, run every clip through both, and compare."""
    data = options.data or [folder / "half-clips"]
    if not options.data and not (data[0] / "clips.json").is_file():
        _common.note(f"rendering {options.clips} clips")
        _common.tsm_edge("synth", "--split", "test", "--clips", options.clips, "--out", data[0])
    subject = _accuracy.trained(options.model, options.weights)
    name = f"{subject.model.name}-{options.target}-fp16"
    built, _ = _common.compiled(folder / name, *subject.words, "--precision", "fp16", target=options.target)
    manifest = bundle.verify(built)
    graph = trial_graph(subject) if options.trial else None
    how = subject.model.preprocess
    step = reference.step_of(manifest, options.weights)
    command, where = native.runner(built, manifest)
    stores = _accuracy.spread(_accuracy.opened(data), options.clips)
    exact, found = [], []
    for pixels in _accuracy.pixels(stores):
        if len(exact) % 20 == 0:
            _common.note(f"clip {len(exact)}")
        seen = recognition.centred(pixels, how)
        frames = [np.ascontiguousarray(one[None]) for one in recognition.normalised(seen[None], how).numpy()[0]]
        exact.append(run_float(step, manifest, frames))
        rounded = _accuracy.run_bundle(command, manifest, frames) if graph is None else run_trial(graph, frames)
        found.append(rounded)
    figures = _accuracy.against(exact, found, stores, MOST_LOST, LEAST_EQUAL)
    return {
        "model": subject.model.name,
        "parameters": dict(subject.model.parameters),
        "target": options.target,
        "where": where if graph is None else "the compiler's trial",
        "data": [store.origin for store in stores],
        **figures,
    }


def run_float(step: reference.Step, manifest: bundle.Manifest, frames: list[np.ndarray]) -> np.ndarray:
    """Scores after each frame in float32, [T, classes]."""
    states = [np.zeros(pair.input.shape, np.float32) for pair in manifest.signature.states]
    rows = []
    for frame in frames:
        scores, states = step(frame, states)
        rows.append(scores.ravel())
    return np.stack(rows)


def trial_graph(subject: _accuracy.Trained) -> Graph:
    """The fused graph that the trial runs."""
    graph = networks.zoo(subject.model, subject.weights).load()
    passes.run(graph)
    return graph


def run_trial(graph: Graph, frames: list[np.ndarray]) -> np.ndarray:
    """Scores after each frame as the trial computes them in half precision, [T, classes]."""
    steps = half.Steps(graph, half=True)
    with torch.inference_mode():
        return np.stack([steps.step(torch.from_numpy(frame)).numpy() for frame in frames])


def show(document: dict[str, Any]) -> None:
    """One table."""
    keys = ("clips", "frames", "top1_float32", "top1", "frames_equal", "largest_difference")
    _common.rows([key.replace("_", " ") for key in keys], [[document[key] for key in keys]])
    print("holds its bounds" if document["ok"] else "BELOW ITS BOUNDS")


if __name__ == "__main__":
    parser = _common.parser(__doc__.partition("\n")[0])
    parser.add_argument("--model", default="gestures", metavar="NAME")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="what `tsm-edge train` wrote, in place of --model")
    parser.add_argument("--target", default="raspberry-pi-5", metavar="NAME", choices=target.names())
    parser.add_argument(
        "--data", type=Path, nargs="+", metavar="STORE", help="rendered clips; otherwise they are rendered"
    )
    parser.add_argument("--clips", type=int, default=22)
    parser.add_argument("--trial", action="store_true", help="run the compiler's trial in place of the bundle")
    _common.main(parser.parse_args(), measure, show)
