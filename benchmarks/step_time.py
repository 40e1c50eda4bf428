"""The time of a step beside ONNX Runtime, OpenVINO, ncnn and PyTorch, and what the native command needs in memory.

    python benchmarks/step_time.py [--json] [--output FILE]

Every row is one `tsm-edge bench BUNDLE --against …`: same network, same weights, same frames, float32, all runtimes in
turns in one process, outputs compared all the while. The weights are seeded, for the time does not depend on them.
One thread is then measured beside two (`_speedup.py`). Memory is the peak of `tsm-edge-run --bench` in a process of its
own, beside what the plan says it needs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from typing import Any

import _common
import _speedup

from tsm_edge.errors import RuntimeFailure

MODELS = ("tsm-mobilenetv2", "tsm-resnet18", "tsm-resnet50")
PEERS = "onnxruntime,openvino,ncnn,torch"
MEMORY_STEPS = 20


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All models and thread counts. A speed-up that was of no two cores of one cache is measured again at the end."""
    folders = [folder / text.replace(":", "-").replace(",", "-") for text in options.models]
    models = [one_model(text, bundle, options) for text, bundle in zip(options.models, folders)]
    for bundle, found in zip(folders, models):
        if found.get("two_thread_speedup_of_rounds", {}).get("good") == 0:
            found.update(_speedup.measure(bundle))
    return {"models": models}


def one_model(text: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Compile one model into `folder` and measure it. text: a model's name, then perhaps ":width=…,size=…"."""
    name, _, settings = text.partition(":")
    parameters = [part for pair in settings.split(",") if pair for part in _option(pair)]
    bundle, seconds = _common.compiled(folder, name, *parameters)
    manifest = json.loads((bundle / "manifest.json").read_text())
    rows = [one_row(bundle, threads, options) for threads in options.threads]
    speedup = _speedup.measure(bundle) if {1, 2} <= set(options.threads) else {}
    return {
        "model": name,
        "parameters": manifest["model"]["parameters"],
        "macs": manifest["plan"]["macs"],
        "compile_seconds": seconds,
        "bundle_bytes": sum(file.stat().st_size for file in bundle.iterdir()),
        "rows": rows,
        **speedup,
    }


def one_row(bundle: Path, threads: int, options: argparse.Namespace) -> dict[str, Any]:
    """One interleaved run, and the native command's memory."""
    _common.note(f"{bundle.name}, {threads} threads")
    rule = ("--min-runs", options.min_runs, "--min-secs", options.min_secs)
    document = _common.tsm_edge("bench", bundle, "--threads", threads, "--against", options.against, *rule)
    ours, *peers = document["runners"]
    best = min(peers, key=lambda runner: runner["median_ms"])
    return {
        "threads": threads,
        "median_ms": {runner["name"]: runner["median_ms"] for runner in document["runners"]},
        "tsm_edge_over": {runner["name"]: runner["tsm_edge_over_this_ratio"] for runner in peers},
        "best_peer": best["name"],
        "tsm_edge_over_best_peer": best["tsm_edge_over_this_ratio"],
        "memory": memory(bundle, threads),
        "runners": document["runners"],
        "checked": document["checked"],
        "method": document["method"],
        "load_1min_before": document["machine"]["load_1min"],
    }


def memory(bundle: Path, threads: int) -> dict[str, Any]:
    """Peak resident memory of the native command, and what is in it beside weights, arena, states and scratch."""
    command = [
        str(bundle / "tsm-edge-run"),
        "--bench",
        "--frames",
        str(MEMORY_STEPS),
        "--threads",
        str(threads),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeFailure("tsm-edge-run --bench failed.", found=done.stderr.strip())
    report = json.loads(done.stdout)
    plan = json.loads((bundle / "manifest.json").read_text())["plan"]
    planned = (
        plan["weights_bytes"]
        + plan["arena_bytes"]
        + 2 * plan["state_bytes"]
        + threads * plan["scratch_bytes"]
    )
    return {
        "peak_rss_mib": round(report["peak_rss_kib"] / 1024, 2),
        "weights_arena_states_mib": round(planned / 2**20, 2),
        "overhead_mib": round(report["peak_rss_kib"] / 1024 - planned / 2**20, 2),
        "native_median_ms": report["median_ms"],
    }


def _option(pair: str) -> tuple[str, str]:
    key, _, value = pair.partition("=")
    return f"--{key}", value


def show(document: dict[str, Any]) -> None:
    """Print the medians, the ratio to the fastest peer, and memory."""
    runners = list(document["models"][0]["rows"][0]["median_ms"])
    lines = []
    for model in document["models"]:
        what = " ".join([model["model"], *(f"{key}={value}" for key, value in model["parameters"].items())])
        for row in model["rows"]:
            facts = row["memory"]
            times = [row["median_ms"][runner] for runner in runners]
            ratio = (row["tsm_edge_over_best_peer"], row["best_peer"])
            lines.append((what, row["threads"], *times, *ratio, facts["peak_rss_mib"], facts["overhead_mib"]))
    _common.rows(("model", "threads", *runners, "ratio", "to best peer", "peak MiB", "overhead MiB"), lines)
    for model in document["models"]:
        seconds = (
            "there already"
            if model["compile_seconds"] is None
            else f"{model['compile_seconds']} s to compile"
        )
        size = f"{model['bundle_bytes'] / 2**20:.1f} MiB"
        speedup = (
            f", {model['two_thread_speedup']} times as fast with 2 threads"
            if "two_thread_speedup" in model
            else ""
        )
        print(f"{model['model']} {model['parameters']}: {size}, {seconds}{speedup}")


if __name__ == "__main__":
    parser = _common.parser(__doc__.partition("\n")[0])
    parser.add_argument("--models", nargs="+", default=list(MODELS), metavar="NAME[:width=W,size=S]")
    parser.add_argument("--threads", type=_common.counts, default=[1, 2], metavar="1,2")
    parser.add_argument("--against", default=PEERS, metavar="A,B")
    parser.add_argument("--min-runs", type=int, default=50, metavar="N")
    parser.add_argument("--min-secs", type=float, default=2.0, metavar="S")
    _common.main(parser.parse_args(), measure, show)
