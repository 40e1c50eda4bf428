"""The whole table of CPU figures in one run: what must be reached, what was measured, with the ratio to the best peer.

    python benchmarks/table.py [--json] [--output FILE] [--documents DIR] [--reuse]

Runs the other CPU benchmarks one after the other, keeps their documents in DIR, and puts the figures that we hold
ourselves to beside their bounds. It says MISSED where a bound is. --reuse takes the documents that DIR holds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import _common

from tsm_edge.errors import RuntimeFailure

HERE = Path(__file__).parent
MODELS = (
    "tsm-mobilenetv2",
    "tsm-resnet50",
    "tsm-resnet18",
    "tsm-mobilenetv2:width=0.5",
    "tsm-mobilenetv2:width=1.4",
    "tsm-mobilenetv2:size=112",
    "tsm-mobilenetv2:size=160",
    "tsm-mobilenetv2:size=256",
)
#: bounds of the ratio to the best peer: must, aim
RATIOS = {"tsm-mobilenetv2": (0.75, 0.60), "tsm-resnet50": (0.95, 0.80)}
OTHERS = (0.85, 0.70)
PROGRAMS = {
    "step_time": ("--models", *MODELS, "--against", "onnxruntime,openvino,ncnn", "--min-runs", "60"),
    "shift_cost": ("--min-runs", "160", "--min-secs", "10", "--max-secs", "40"),
    "arm_instructions": (),
    "mca": (),
}
Row = dict[str, Any]


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run what is not there yet and collect the figures."""
    documents = {name: document(name, options, folder) for name in PROGRAMS}
    rows = [
        *peers(documents["step_time"]),
        *shift(documents["shift_cost"]),
        *arm(documents["arm_instructions"]),
        *utilisation(documents["mca"]),
    ]
    return {"rows": rows, "missed": sum(not row["met"] for row in rows)}


def document(name: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The document of one benchmark."""
    kept = options.documents or folder / "documents"
    path: Path = kept / f"{name}.json"
    if not (options.reuse and path.is_file()):
        _common.note(f"{name}.py")
        bundles = ("--bundles", str(folder / "bundles"))
        arguments = [*PROGRAMS[name], *bundles, "--json", "--output", str(path)]
        done = subprocess.run(
            [sys.executable, "-W", "ignore", str(HERE / f"{name}.py"), *arguments],
            stdout=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode:
            raise RuntimeFailure(f"{name}.py failed; its message is above.", found=f"exit {done.returncode}")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if "skipped" in found:
        raise RuntimeFailure(f"{name}.py measured nothing.", found=found["skipped"])
    return found


def row(
    figure: str, value: float, must: float, aim: float | None, least: bool = False, note: str = ""
) -> Row:
    """One figure; least: the bound is a lower one."""
    met = value >= must if least else value <= must
    return {"figure": figure, "measured": value, "must": must, "aim": aim, "met": met, "note": note}


def peers(found: dict[str, Any]) -> Iterator[Row]:
    """Ratios to the best peer, the two-thread speed-up, and compile time."""
    for model in found["models"]:
        shape = {key: value for key, value in model["parameters"].items() if key != "classes"}
        plain = shape.get("width", 1.0) == 1.0 and shape["size"] == 224
        name = " ".join([model["model"], *(f"{key}={value}" for key, value in shape.items())])
        must, aim = RATIOS.get(model["model"], OTHERS) if plain else OTHERS
        for one in model["rows"]:
            note = f"{one['median_ms']['tsm-edge']:.2f} ms, {one['best_peer']} {one['median_ms'][one['best_peer']]:.2f}"
            ratio = one["tsm_edge_over_best_peer"]
            yield row(f"{name}, {one['threads']} thread(s) / best peer", ratio, must, aim, note=note)
        if plain and model["model"] == "tsm-mobilenetv2" and "two_thread_speedup" in model:
            rounds = model["two_thread_speedup_of_rounds"]
            spread = f"p10 {rounds['p10']}, p90 {rounds['p90']}; of all {rounds['of_all']}"
            note = f"{rounds['good']} of {rounds['rounds']} rounds were on two cores of one cache; {spread}"
            yield row(
                f"{name}, two-thread speed-up", model["two_thread_speedup"], 1.75, 1.9, least=True, note=note
            )
    seconds = [model["compile_seconds"] for model in found["models"] if model["compile_seconds"] is not None]
    if seconds:
        yield row("longest compile of one target, seconds", max(seconds), 60.0, 20.0)


def shift(found: dict[str, Any]) -> Iterator[Row]:
    """The network with its shifts over the one without, each on one and two threads."""
    for model in found["models"]:
        for one in model["rows"]:
            figure = f"{model['model']}, {one['threads']} thread(s) / without shift"
            others = f"of medians {one['tsm_over_tsn']}, of minima {one['tsm_over_tsn_of_minima']}"
            where = "" if one["near"] else ", mostly not on two cores of one cache"
            intervals = f"{one['spells_counted']} of {one['intervals']} intervals{where}"
            note = f"+- {one['standard_error']:.4f}, {intervals}; {others}"
            yield row(figure, one["tsm_over_tsn_of_intervals"], 1.01, 1.0, note=note)


def arm(found: dict[str, Any]) -> Iterator[Row]:
    """Guest instructions of the Cortex-A72 build over ncnn's."""
    note = f"{found['instructions_per_frame'] / 1e6:.1f} M a frame"
    yield row("Cortex-A72 instructions / ncnn", found["tsm_edge_over_ncnn"], 0.95, 0.88, note=note)


def utilisation(found: dict[str, Any]) -> Iterator[Row]:
    """The least busy inner loop of each core, modelled."""
    for core in found["cores"]:
        figure = f"{core['cpu']}, modelled use of the multiply-add pipes, least of all loops"
        yield row(figure, core["least_busy"], found["bound"], 0.95, least=True, note=f"{core['loops']} loops")


def show(document: dict[str, Any]) -> None:
    """Print the table."""
    header = ("figure", "measured", "must", "aim", "", "")
    lines = [
        (
            one["figure"],
            one["measured"],
            one["must"],
            one["aim"],
            "met" if one["met"] else "MISSED",
            one["note"],
        )
        for one in document["rows"]
    ]
    _common.rows(header, lines)
    print(f"{len(lines)} figures, {document['missed']} missed, {document['total_seconds']} s")


if __name__ == "__main__":
    parser = _common.parser(__doc__.partition("\n")[0])
    parser.add_argument("--documents", type=Path, metavar="DIR", help="keep the documents of the parts here")
    parser.add_argument("--reuse", action="store_true", help="take the documents that are there")
    _common.main(parser.parse_args(), measure, show)
