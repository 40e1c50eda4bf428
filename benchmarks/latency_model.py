"""The modelled latency of `tsm-edge compile` against what this machine needs, layer by layer.

    python benchmarks/latency_model.py [--models A,B] [--precisions fp32,int8] [--threads 1,2] [--json] [--output FILE]
    python benchmarks/latency_model.py --boards [--output benchmarks/results/boards.json]

The model is the one in compile/lowering/latency_cpu.py. For this machine it gets the clock at which the multiply-add
loop of `tsm-edge bench` reaches its measured peak, and the memory bandwidth that copying reaches; a processor's nominal
clock is not what it runs at. Each layer's time is the median of profiled steps. `--boards` measures nothing: it prints
the modelled time of a frame on every board beside the published ones.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from statistics import mean, median
from typing import Any

import _arm_own
import _boards
import _common
import numpy as np

from tsm_edge import models, target
from tsm_edge.bench.runner import frames
from tsm_edge.target import CpuFacts

MODELS = ("tsm-mobilenetv2", "tsm-resnet50", "tsm-resnet18")
CALIBRATED = 2  # frames
SHORTEST_MS = 0.02  # layers below are mostly the call; they count in the frame's error, not in the layers'


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The boards' table, or the model against this machine."""
    if options.boards:
        return {"boards": [row for model in options.models.split(",") for row in _boards.rows(model)]}
    counts, runs, device = _common.counts(options.threads), [], target.load("local")
    alone = replace(device, cpu=replace(device.cpu, cores=1))  # as a bundle for one thread is compiled
    for model in options.models.split(","):
        network, seen = _boards.network(model), np.stack(frames(models.load(model).signature.inputs[0])[:CALIBRATED])
        for precision in options.precisions.split(","):
            bundle = _arm_own.bundle_of(model, device, precision, seen, folder)
            work = _boards.planned(network, alone, precision)
            runs += [compare(f"{model} {precision}", bundle, work, threads) for threads in counts]
    return {"shortest_layer_ms": SHORTEST_MS, "runs": runs}


def compare(title: str, bundle: Path, work: Any, threads: int) -> dict[str, Any]:
    """Measured and modelled time of every layer and of the frame. title: the model and the precision."""
    from tsm_edge.compile.backends import cpu

    model, precision = title.split()
    _common.note(f"{title}, {threads} threads")
    document = _common.tsm_edge("bench", bundle, "--threads", threads, "--per-op", "--max-secs", 10)
    device = replace(target.load("local"), cpu=facts(target.load("local").cpu, document["ceiling"], threads))
    modelled = cpu.modelled(work, None, device, precision, threads)
    assert modelled is not None
    layers = [
        {
            "layer": op["layer"],
            "schedule": op["schedule"],
            "measured_ms": op["median_ms"],
            "modelled_ms": round(time.ms, 5),
            "bound": time.bound,
            "error_percent": round(100 * (time.ms / op["median_ms"] - 1), 1),
        }
        for op, time in zip(document["ops"], modelled.ops, strict=True)
    ]
    errors = [abs(row["error_percent"]) for row in layers if row["measured_ms"] >= SHORTEST_MS]
    frame = document["runners"][0]["median_ms"]
    return {
        "model": model,
        "precision": precision,
        "threads": threads,
        "clock_ghz_of_the_model": round(device.cpu.clock_ghz, 2),
        "frame_measured_ms": frame,
        "frame_modelled_ms": round(modelled.ms, 3),
        "frame_error_percent": round(100 * (modelled.ms / frame - 1), 1),
        "layer_error_percent_median": round(median(errors), 1),
        "layer_error_percent_mean": round(mean(errors), 1),
        "layers": layers,
    }


def facts(cpu: CpuFacts, ceiling: dict[str, Any], threads: int) -> CpuFacts:
    """The processor as measured: the clock behind its arithmetic peak, and its memory bandwidth."""
    from tsm_edge.compile.lowering.latency_cpu import DRAM_EFFICIENCY

    clock = ceiling["gflop_per_s"] / threads / cpu.flops_per_cycle
    return replace(cpu, clock_ghz=clock, dram_gb_s=ceiling["gb_per_s"] / DRAM_EFFICIENCY)


def show(document: dict[str, Any]) -> None:
    """Print the frames, then the layers that are furthest off."""
    if "boards" in document:
        rows = document["boards"]
        _common.rows([name.replace("_", " ") for name in rows[0]], [list(row.values()) for row in rows])
        return
    header = ("model", "precision", "threads", "measured ms", "modelled ms", "frame %", "layers median %", "mean %")
    keys = ("model", "precision", "threads", "frame_measured_ms", "frame_modelled_ms", "frame_error_percent")
    keys += ("layer_error_percent_median", "layer_error_percent_mean")
    _common.rows(header, [[run[key] for key in keys] for run in document["runs"]])
    print()
    columns = ("layer", "schedule", "measured_ms", "modelled_ms", "error_percent")
    _common.rows(columns, [[row[key] for key in columns] for row in document["runs"][0]["layers"]])


if __name__ == "__main__":
    parser = _common.parser(__doc__.partition("\n")[0])
    parser.add_argument("--models", default=",".join(MODELS), metavar="A,B")
    parser.add_argument("--precisions", default="fp32,int8", metavar="A,B")
    parser.add_argument("--threads", default="1,2", metavar="N,M")
    parser.add_argument(
        "--boards", action="store_true", help="print the modelled figures of the boards instead"
    )
    _common.main(parser.parse_args(), measure, show)
