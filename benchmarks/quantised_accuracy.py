"""What 8 bits cost in accuracy: the integer reference of a trained network beside float32 on rendered clips.

    python benchmarks/quantised_accuracy.py [--model gestures] [--calibrate STORE] [--data STORE] [--clips 22] [--json]

Without folders it renders `synth --split train` to calibrate on and `--split test` to measure on, which share no
shapes, textures or speeds. Each way to choose ranges is measured; the one that calibration itself takes is marked. The
reference computes to the bit what the 8-bit kernels do (`compile/quantize/integer.py`).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import _common
import numpy as np

from tsm_edge import models
from tsm_edge.compile import passes, quantize
from tsm_edge.compile.frontend import calibration_data, networks
from tsm_edge.compile.ir.graph import Graph
from tsm_edge.compile.quantize.calibration import METHODS, Clips, decibels
from tsm_edge.models import Model
from tsm_edge.train.store import Store, open_store

#: bounds: top-1 may fall by so much, so many frames must have float32's answer
MOST_LOST, LEAST_EQUAL = 0.005, 0.985


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Calibrate by each method, and measure each."""
    model = models.load(options.model)
    graph = networks.zoo(model).load()
    passes.run(graph)
    known = store(options.calibrate, folder / "train", "train", options.clips)
    calibrating, _ = clips_of(known, model, options.clips)
    held = store(options.data, folder / "test", "test", options.test_clips)
    clips, targets = clips_of(held, model, options.test_clips)
    _common.note("float32")
    exact = [calibration_data.exact_scores(graph, clip) for clip in clips]
    chosen = quantize.calibrate(graph, calibrating)
    rows = [{"method": "float32", "top1": calibration_data.top1(exact, targets)}]
    for method in METHODS:
        _common.note(method)
        network = quantize.quantise(graph, chosen.tried[method])
        found = [calibration_data.rounded_scores(network, clip) for clip in clips]
        rows.append(row(method, exact, found, targets) | {"chosen": method == chosen.ranges.method})
    network = quantize.quantise(graph, chosen.ranges)
    table = quantize.layer_table(network, calibrating[:4])
    taken = next(each for each in rows if each.get("chosen"))
    return {
        "model": model.name,
        "clips": {"calibration": len(calibrating), "test": len(clips), "frames": sum(map(len, clips))},
        "calibration_decibels": {name: float(value) for name, value in chosen.decibels.items()},
        "methods": rows,
        "layers": [vars(each) for each in table],
        "bytes": {"float32": float_bytes(graph), "int8": network.weight_bytes()},
        "bounds": {"top1_lost": MOST_LOST, "frames_equal": LEAST_EQUAL},
        "ok": rows[0]["top1"] - taken["top1"] <= MOST_LOST and taken["frames_equal"] >= LEAST_EQUAL,
    }


def store(given: Path | None, folder: Path, split: str, clips: int) -> Store:
    """The given clips, or rendered ones."""
    if given is None and not (folder / "clips.json").is_file():
        _common.note(f"rendering {clips} clips")
        _common.tsm_edge("synth", "--split", split, "--clips", clips, "--out", folder)
    return open_store(given or folder)


def clips_of(data: Store, model: Model, count: int) -> tuple[Clips, np.ndarray]:
    """Clips spread over the whole store, each as frames that the network takes, and what they show."""
    indices = np.linspace(0, len(data) - 1, min(count, len(data))).round().astype(int)
    found = [calibration_data.frames_of(data.clip(int(index)), model.preprocess) for index in indices]
    return found, data.targets[indices]


def row(name: str, exact: list[np.ndarray], found: list[np.ndarray], targets: np.ndarray) -> dict[str, Any]:
    """The figures of one method."""
    before, after = np.concatenate(exact), np.concatenate(found)
    return {
        "method": name,
        "top1": calibration_data.top1(found, targets),
        "frames_equal": float((before.argmax(1) == after.argmax(1)).mean()),
        "largest_difference": float(np.abs(before - after).max() / np.abs(before).max()),
        "decibels": float(decibels(before, after)),
    }


def float_bytes(graph: Graph) -> int:
    """Of the float32 weights of the same layers."""
    floats = quantize.scheme.float_nodes(graph)
    convs = [node for node in graph.nodes if node.weights and node.output not in floats]
    return sum(array.nbytes for node in convs for array in node.weights)


def show(document: dict[str, Any]) -> None:
    """Two tables."""
    keys = ("method", "top1", "frames_equal", "largest_difference", "decibels")
    lines = [
        [*(one.get(key, "") for key in keys), "taken" if one.get("chosen") else ""]
        for one in document["methods"]
    ]
    _common.rows(("ranges", "top-1", "frames equal", "largest off", "dB", ""), lines)
    keys = ("layer", "decibels", "low", "high", "zero", "saturated")
    lines = [[one[key] for key in keys] for one in document["layers"]]
    _common.rows(("layer", "dB", "from", "to", "zero", "saturated"), lines)
    print("holds its bounds" if document["ok"] else "BELOW ITS BOUNDS")


if __name__ == "__main__":
    parser = _common.parser(__doc__.partition("\n")[0])
    parser.add_argument("--model", default="gestures", choices=models.shipped())
    parser.add_argument("--calibrate", type=Path, metavar="STORE")
    parser.add_argument("--data", type=Path, metavar="STORE")
    parser.add_argument("--clips", type=int, default=22, metavar="N", help="clips to calibrate on")
    parser.add_argument("--test-clips", type=int, default=110, metavar="N", help="clips to measure on")
    _common.main(parser.parse_args(), measure, show)
