"""The modelled latency of `tsm-edge compile` against what this machine needs, layer by layer.

    python benchmarks/latency_model.py [--models tsm-mobilenetv2,...] [--threads 1,2] [--json] [--output FILE]
    python benchmarks/latency_model.py --boards

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

import _common

from tsm_edge import models, target
from tsm_edge.target import CpuFacts, EdgeTarget

MODELS = ("tsm-mobilenetv2", "tsm-resnet50", "tsm-resnet18")
SHORTEST_MS = 0.02  # layers below are mostly the call; they count in the frame's error, not in the layers'
#: milliseconds of a frame at 224x224 that others published, by model. TSM: online, TVM (ICCV paper; abstract of arXiv
#: 2109.13227 for the GPU). ncnn: its benchmark/README, mobilenet_v2 and resnet50 without a shift, fp16 where the chip
#: has it, 4 threads (6 on the Orin Nano)
PUBLISHED: dict[str, dict[str, dict[str, float]]] = {
    "raspberry-pi-3": {"tsm-mobilenetv2": {"ncnn": 111.7}, "tsm-resnet50": {"ncnn": 587}},
    "raspberry-pi-zero-2w": {"tsm-mobilenetv2": {"ncnn": 147.0}, "tsm-resnet50": {"ncnn": 783}},
    "raspberry-pi-4": {"tsm-mobilenetv2": {"ncnn": 61.9}, "tsm-resnet50": {"ncnn": 263}},
    "raspberry-pi-5": {"tsm-mobilenetv2": {"ncnn": 10.5}, "tsm-resnet50": {"ncnn": 46.2}},
    "jetson-nano-cpu": {"tsm-mobilenetv2": {"paper": 47.8, "ncnn": 33.8}, "tsm-resnet50": {"ncnn": 204}},
    "jetson-tx2-cpu": {"tsm-mobilenetv2": {"paper": 36.4}},
    "jetson-orin-nano-cpu": {"tsm-mobilenetv2": {"ncnn": 6.5}, "tsm-resnet50": {"ncnn": 39.3}},
    "rk3588-cpu": {"tsm-mobilenetv2": {"ncnn": 5.5}, "tsm-resnet50": {"ncnn": 28.3}},
}


def planned_of(model: str, device: EdgeTarget) -> Any:
    """The plan of a model."""
    from tsm_edge.compile import passes
    from tsm_edge.compile.backends import cpu
    from tsm_edge.compile.frontend import networks
    from tsm_edge.compile.lowering import lower, planner

    graph = networks.zoo(models.load(model)).load()
    passes.run(graph)
    lower.prepare(graph, device.family, cpu.machine(device))
    lowered = lower.lower(graph, device.family, cpu.machine(device))
    return planner.plan(graph, lowered)


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The boards' table, or the model against this machine."""
    if options.boards:
        return {"boards": [row for model in MODELS for row in boards(model)]}
    counts, runs = _common.counts(options.threads), []
    for model in options.models.split(","):
        bundle, _ = _common.compiled(folder / model, model)
        work = planned_of(model, target.load("local"))
        runs += [compare(model, bundle, work, threads) for threads in counts]
    return {"shortest_layer_ms": SHORTEST_MS, "runs": runs}


def compare(model: str, bundle: Path, work: Any, threads: int) -> dict[str, Any]:
    """Measured and modelled time of every layer and of the frame."""
    from tsm_edge.compile.backends import cpu

    _common.note(f"{model}, {threads} threads")
    document = _common.tsm_edge("bench", bundle, "--threads", threads, "--per-op", "--max-secs", 10)
    device = replace(target.load("local"), cpu=facts(target.load("local").cpu, document["ceiling"], threads))
    modelled = cpu.modelled(work, None, device, "fp32", threads)
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


def boards(model: str) -> list[dict[str, Any]]:
    """Modelled time of a frame of a model on every ARM target's processor, with what was published for it."""
    from tsm_edge.compile.backends import cpu

    rows = []
    for name in sorted(target.names(), key=lambda name: (name not in PUBLISHED, name)):
        device = target.load(name)
        if device.family != "cpu" or name == "local" or device.arch not in ("aarch64", "armv7l"):
            continue
        _common.note(f"{model} for {name}")
        work = planned_of(model, device)
        one, four = (
            cpu.modelled(work, None, device, "fp32", threads) for threads in (1, min(4, device.cpu.cores))
        )
        assert one is not None and four is not None
        published = PUBLISHED.get(name, {}).get(model, {})
        rows.append(
            {
                "model": model,
                "target": name,
                "modelled_ms_1_thread": round(one.ms, 1),
                "modelled_ms_4_threads": round(four.ms, 1),
                "bound": four.bound,
                "published_paper_ms": published.get("paper", ""),
                "published_ncnn_ms": published.get("ncnn", ""),
            }
        )
    return rows


def show(document: dict[str, Any]) -> None:
    """Print the frames, then the layers that are furthest off."""
    if "boards" in document:
        rows = document["boards"]
        _common.rows([name.replace("_", " ") for name in rows[0]], [list(row.values()) for row in rows])
        return
    header = ("model", "threads", "measured ms", "modelled ms", "frame %", "layers median %", "mean %")
    keys = ("model", "threads", "frame_measured_ms", "frame_modelled_ms", "frame_error_percent")
    keys += ("layer_error_percent_median", "layer_error_percent_mean")
    _common.rows(header, [[run[key] for key in keys] for run in document["runs"]])
    print()
    columns = ("layer", "schedule", "measured_ms", "modelled_ms", "error_percent")
    _common.rows(columns, [[row[key] for key in columns] for row in document["runs"][0]["layers"]])


if __name__ == "__main__":
    parser = _common.parser(__doc__.partition("\n")[0])
    parser.add_argument("--models", default=",".join(MODELS), metavar="A,B")
    parser.add_argument("--threads", default="1,2", metavar="N,M")
    parser.add_argument(
        "--boards", action="store_true", help="print the modelled figures of the boards instead"
    )
    _common.main(parser.parse_args(), measure, show)
