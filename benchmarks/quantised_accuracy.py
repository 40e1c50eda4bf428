"""What 8 bits cost in accuracy: the integer reference of a trained network beside float32 on rendered clips.

    python benchmarks/quantised_accuracy.py [--model gestures] [--calibrate STORE] [--data STORE ...] [--clips 22]

Without folders it renders `synth --split train` to calibrate on and `--split test` to measure on, which share no
shapes, textures or speeds. Each way to choose ranges is measured, or with --chosen only the one that calibration
itself takes. The reference computes to the bit what the 8-bit kernels do (`compile/quantize/integer.py`); --native runs
a bundle for this machine in its place, which is as much faster as kernels are than numpy.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

import _accuracy
import _common
import numpy as np

from tsm_edge import bundle, models
from tsm_edge.compile import passes, quantize
from tsm_edge.compile.frontend import calibration_data, networks
from tsm_edge.compile.ir.graph import Graph
from tsm_edge.compile.quantize.calibration import Clips, decibels
from tsm_edge.models import Model
from tsm_edge.runtime import native
from tsm_edge.train.store import Store

#: bounds: top-1 may fall by so much, so many frames must have float32's answer
MOST_LOST, LEAST_EQUAL = 0.005, 0.985


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Calibrate by each method, and measure each."""
    subject = _accuracy.trained(options.model, options.weights)
    model = subject.model
    graph = networks.zoo(model, subject.weights).load()
    passes.run(graph)
    known = stores([options.calibrate] if options.calibrate else [], folder / "train", "train", options.clips)
    calibrating = clips_of(_accuracy.spread(known, options.clips), model)
    held = _accuracy.spread(stores(options.data or [], folder / "test", "test", options.test_clips), options.test_clips)
    clips = clips_of(held, model)
    _common.note("float32")
    exact = [calibration_data.exact_scores(graph, clip) for clip in clips]
    chosen = quantize.calibrate(graph, calibrating)
    rows = []
    for method in [chosen.ranges.method] if options.chosen else chosen.tried:
        _common.note(method)
        if options.native:
            found = bundle_scores(subject, chosen.tried[method], folder, clips)
        else:
            network = quantize.quantise(graph, chosen.tried[method])
            found = [calibration_data.rounded_scores(network, clip) for clip in clips]
        figures = _accuracy.against(exact, found, held, MOST_LOST, LEAST_EQUAL)
        noise = float(decibels(np.concatenate(exact), np.concatenate(found)))
        rows.append({"method": method, "chosen": method == chosen.ranges.method, "decibels": noise, **figures})
    network = quantize.quantise(graph, chosen.ranges)
    table = quantize.layer_table(network, calibrating[:4])
    taken = next(each for each in rows if each["chosen"])
    return {
        "model": model.name,
        "parameters": dict(model.parameters),
        "clips": {"calibration": len(calibrating), "test": len(clips), "frames": sum(map(len, clips))},
        "calibration_decibels": {name: float(value) for name, value in chosen.decibels.items()},
        "methods": rows,
        "layers": [vars(each) for each in table],
        "bytes": {"float32": float_bytes(graph), "int8": network.weight_bytes()},
        "data": [store.origin for store in held],
        "ok": taken["ok"],
    }


def stores(given: list[Path], folder: Path, split: str, clips: int) -> list[Store]:
    """The given clips, or rendered ones."""
    if not given and not (folder / "clips.json").is_file():
        _common.note(f"rendering {clips} clips")
        _common.tsm_edge("synth", "--split", split, "--clips", clips, "--out", folder)
    return _accuracy.opened(given or [folder])


def clips_of(data: list[Store], model: Model) -> Clips:
    """Every clip of the stores as frames that the network takes."""
    return [calibration_data.frames_of(pixels, model.preprocess) for pixels in _accuracy.pixels(data)]


def bundle_scores(
    subject: _accuracy.Trained, ranges: quantize.Ranges, folder: Path, clips: Clips
) -> list[np.ndarray]:
    """Scores of every clip from a bundle for this machine with these ranges."""
    name = f"{subject.model.name}-int8-{ranges.method.replace(' ', '-')}"
    source = folder / f"{name}.json"
    ranges.save(source)
    shutil.rmtree(folder / name, ignore_errors=True)
    built, _ = _common.compiled(folder / name, *subject.words, "--precision", "int8", "--ranges", source)
    manifest = bundle.verify(built)
    command, _ = native.runner(built, manifest)
    return [_accuracy.run_bundle(command, manifest, list(clip)) for clip in clips]


def float_bytes(graph: Graph) -> int:
    """Of the float32 weights of the same layers."""
    floats = quantize.scheme.float_nodes(graph)
    convs = [node for node in graph.nodes if node.weights and node.output not in floats]
    return sum(array.nbytes for node in convs for array in node.weights)


def show(document: dict[str, Any]) -> None:
    """Two tables."""
    keys = ("method", "top1_float32", "top1", "frames_equal", "largest_difference", "decibels")
    lines = [[*(one[key] for key in keys), "taken" if one["chosen"] else ""] for one in document["methods"]]
    _common.rows(("ranges", "float32", "top-1", "frames equal", "largest off", "dB", ""), lines)
    keys = ("layer", "decibels", "low", "high", "zero", "saturated")
    lines = [[one[key] for key in keys] for one in document["layers"]]
    _common.rows(("layer", "dB", "from", "to", "zero", "saturated"), lines)
    print("holds its bounds" if document["ok"] else "BELOW ITS BOUNDS")


if __name__ == "__main__":
    parser = _common.parser(__doc__.partition("\n")[0])
    parser.add_argument("--model", default="gestures", choices=models.shipped())
    parser.add_argument("--weights", type=Path, metavar="FILE", help="what `tsm-edge train` wrote, in place of --model")
    parser.add_argument("--calibrate", type=Path, metavar="STORE")
    parser.add_argument("--data", type=Path, nargs="+", metavar="STORE")
    parser.add_argument("--chosen", action="store_true", help="measure only the ranges that calibration takes")
    parser.add_argument("--native", action="store_true", help="run bundles for this machine, not the reference")
    parser.add_argument("--clips", type=int, default=22, metavar="N", help="clips to calibrate on")
    parser.add_argument("--test-clips", type=int, default=110, metavar="N", help="clips to measure on")
    _common.main(parser.parse_args(), measure, show)
