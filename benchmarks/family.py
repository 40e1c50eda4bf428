"""The networks that TSM is compared with, each beside ONNX Runtime on the same network, on one thread and on two.

    python benchmarks/family.py --bundles DIR --compile-only --budget-secs 3600
    python benchmarks/family.py --bundles DIR --add FILE --output FILE [--models NAME …]

Every row is one `tsm-edge bench BUNDLE --against onnxruntime`: same network, same weights, same clips, float32, both in
turns in one process, scores compared all the while. A ratio of at most 1.0 is what each network is held to. No model
begins after --budget-secs, and those left out are named: the same command with --add goes on where the last one ended,
so that the machine is kept idle for minutes at a time, and the first line above compiles while it is busy.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import _common

from tsm_edge.models import clips


def measure(options: argparse.Namespace, folder: Path) -> dict[str, object]:
    """All models and thread counts but those of --add; models for which no time is left are named."""
    start, left_out = time.perf_counter(), []
    measured = [model for model in _added(options.add) if model["model"] not in options.again]
    known = {model["model"] for model in measured}
    for name in options.models:
        if name in known:
            continue
        if time.perf_counter() - start > options.budget_secs:
            left_out.append(name)
        elif options.compile_only:
            _compiled(name, folder, options)
        else:
            measured.append(one_model(name, folder, options))
    return {"models": sorted(measured, key=lambda model: str(model["model"])), "left_out": left_out}


def _added(path: Path | None) -> list[dict[str, object]]:
    """The models of an earlier document."""
    if path is None or not path.is_file():
        return []
    models: list[dict[str, object]] = json.loads(path.read_text())["models"]
    return models


def _compiled(name: str, folder: Path, options: argparse.Namespace) -> tuple[Path, float | None]:
    return _common.compiled(folder / name, name, "--size", options.size, "--classes", 174)


def one_model(name: str, folder: Path, options: argparse.Namespace) -> dict[str, object]:
    """Compile one model and time it."""
    bundle, seconds = _compiled(name, folder, options)
    manifest = json.loads((bundle / "manifest.json").read_text())
    rule = ("--min-runs", options.min_runs, "--min-secs", options.min_secs, "--max-secs", options.max_secs)
    rows = []
    for threads in options.threads:
        document = _common.tsm_edge("bench", bundle, "--threads", threads, "--against", "onnxruntime", *rule)
        ours, peer = document["runners"]
        rows.append(
            {
                "threads": threads,
                "median_ms": ours["median_ms"],
                "onnxruntime_ms": peer["median_ms"],
                "ratio": peer["tsm_edge_over_this_ratio"],
                "load_1min_before": document["machine"]["load_1min"],
            }
        )
    return {
        "model": name,
        "parameters": manifest["model"]["parameters"],
        "macs": manifest["plan"]["macs"],
        "bundle_bytes": sum(file.stat().st_size for file in bundle.iterdir()),
        "compile_seconds": seconds,
        "rows": rows,
    }


def show(document: dict[str, list[dict[str, list[dict[str, object]]]]]) -> None:
    """Print both times and their ratio."""
    lines = [
        (model["model"], *(row[key] for key in ("threads", "median_ms", "onnxruntime_ms", "ratio")))
        for model in document["models"]
        for row in model["rows"]
    ]
    for name in document["left_out"]:
        _common.note(f"{name}: left out, --budget-secs was over")
    _common.rows(("model", "threads", "ms a clip", "onnxruntime", "ratio"), lines)


if __name__ == "__main__":
    parser = _common.parser(__doc__.partition("\n")[0])
    parser.add_argument("--models", nargs="+", default=clips.names(), metavar="NAME")
    parser.add_argument("--size", type=int, default=224, metavar="PIXELS")
    parser.add_argument("--threads", type=_common.counts, default=[1, 2], metavar="1,2")
    parser.add_argument("--min-runs", type=int, default=10, metavar="N")
    parser.add_argument("--min-secs", type=float, default=2.0, metavar="S")
    parser.add_argument(
        "--max-secs", type=float, default=20.0, metavar="S", help="of timing one row, at most"
    )
    parser.add_argument(
        "--budget-secs", type=float, default=420.0, metavar="S", help="no model begins after these"
    )
    parser.add_argument(
        "--compile-only", action="store_true", help="fill the folder of --bundles, and time nothing"
    )
    parser.add_argument(
        "--add",
        type=Path,
        metavar="FILE",
        help="keep the models of this earlier document, measure the others",
    )
    parser.add_argument("--again", nargs="+", default=[], metavar="NAME", help="measure these all the same")
    _common.main(parser.parse_args(), measure, show)
