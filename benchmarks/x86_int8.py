"""The time of a step in 8 bits on x86 beside our float32, and ONNX Runtime and OpenVINO on the same network in 8 bits.

    python benchmarks/x86_int8.py [--models NAME ...] [--threads 1,2] [--min-runs N] [--json]

All runtimes take turns in one process. The peers read one QDQ file of ONNX Runtime's quantiser (uint8 activations, int8
weights per channel), with ranges of the same frames as ours; weights are seeded, for the time does not depend on
them. Ratios are medians over the rounds of a turn's median; beside them are those of the fastest steps, which load
disturbs least.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import _arm_own
import _common
import _peer_int8
import numpy as np

from tsm_edge import models, target
from tsm_edge.bench import machine, peers
from tsm_edge.bench.edge import EdgeRunner
from tsm_edge.bench.network import own_network
from tsm_edge.bench.runner import Runner, frames
from tsm_edge.bench.stop import StopRule
from tsm_edge.bench.turns import Entry, contest, opened

MODELS = ("tsm-mobilenetv2",)
PEERS = ("onnxruntime", "openvino")
CALIBRATED = 2  # frames
MUST = 0.80  # ours over the best peer's
#: of the largest value: two roundings of noise through seeded weights, enough to tell a wrong network from rounding
TOLERANCE = 0.5


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All models at all thread counts."""
    rows = [one_row(name, threads, options, folder) for name in options.models for threads in options.threads]
    return {"must": MUST, "rows": rows}


def runners(name: str, threads: int, inputs: list[np.ndarray], folder: Path) -> dict[str, Any]:
    """What is timed, by its name in the table: functions that open it."""
    network, device = own_network(models.load(name)), target.load("local")
    seen = np.stack(inputs[:CALIBRATED])
    path = folder / f"{name}-int8.onnx"
    if not path.is_file():
        _common.note(f"quantising {name} for the peers")
        _peer_int8.quantised(path, seen, network, unsigned=True)
    theirs = replace(network, onnx=path.read_bytes(), stored="int8")
    bundles = {kind: _arm_own.bundle_of(name, device, kind, seen, folder) for kind in ("int8", "fp32")}
    own = {f"tsm-edge {kind}": lambda at=at: EdgeRunner(at, threads) for kind, at in bundles.items()}
    return own | {f"{peer} int8": lambda peer=peer: peers.load(peer, theirs, threads) for peer in PEERS}


def one_row(name: str, threads: int, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One interleaved run."""
    inputs = frames(models.load(name).signature.inputs[0])
    entries: dict[str, Entry] = {}
    load = machine.load_1min()
    try:
        for key, make in runners(name, threads, inputs, folder).items():
            entries[key] = tolerant(make, next(iter(entries.values()), None))
        _common.note(f"{name}, {threads} threads")
        contest(list(entries.values()), inputs, StopRule(options.min_runs, options.min_secs, options.max_secs))
    finally:
        for entry in entries.values():
            entry.runner.close()
    ours = entries["tsm-edge int8"]
    others = {key: entry for key, entry in entries.items() if entry is not ours}
    over = {key: round(float(np.median(_common.paired(ours, entry))), 4) for key, entry in others.items()}
    least = {key: round(min(ours.times_ns) / min(entry.times_ns), 4) for key, entry in others.items()}
    worst = max(over[key] for key in over if not key.startswith("tsm-edge"))
    return {
        "model": name,
        "threads": threads,
        "median_ms": {key: entry.figures.median_ms for key, entry in entries.items()},
        "min_ms": {key: round(min(entry.times_ns) / 1e6, 4) for key, entry in entries.items()},
        "int8_over": over,
        "int8_over_of_minima": least,
        "over_best_peer": worst,
        "over_best_peer_of_minima": max(least[key] for key in least if not key.startswith("tsm-edge")),
        "met": worst <= MUST,
        "rounds": len(_common.paired(ours, ours)),
        "load_1min": [load, machine.load_1min()],
    }


def tolerant(make: Any, reference: Entry | None) -> Entry:
    """Open a runner whose outputs are compared with the first one's."""
    runner: Runner
    runner, entry = opened(make, reference)
    runner.tolerance = TOLERANCE
    return entry


def show(document: dict[str, Any]) -> None:
    """Print times and ratios."""
    for row in document["rows"]:
        print(f"{row['model']}, {row['threads']} threads, {row['rounds']} rounds, load {row['load_1min']}")
        over, least = row["int8_over"], row["int8_over_of_minima"]
        lines = [
            (key, median, row["min_ms"][key], over.get(key, 1.0), least.get(key, 1.0))
            for key, median in row["median_ms"].items()
        ]
        _common.rows(("runtime", "median ms", "min ms", "int8 over it", "of minima"), lines)
        print(f"over the best peer: {row['over_best_peer']}, must be {document['must']} or less")


if __name__ == "__main__":
    parser = _common.parser(__doc__.partition("\n")[0])
    parser.add_argument("--models", nargs="+", default=list(MODELS), metavar="NAME")
    _common.contest_options(parser)
    _common.main(parser.parse_args(), measure, show)
