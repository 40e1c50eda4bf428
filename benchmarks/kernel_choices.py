"""What single choices of the CPU kernels are worth here: bundles with and without each of them, in turns.

    python benchmarks/kernel_choices.py [--choices requests,halves,narrow] [--json] [--output FILE]

A bundle without a choice comes from the same compiler, whose facts of this machine say that the choice does not pay.
The scores and states of both are compared all the while.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any
from unittest import mock

import _common
import numpy as np

from tsm_edge import models, target
from tsm_edge.bench import per_op
from tsm_edge.bench.edge import EdgeRunner
from tsm_edge.bench.runner import frames
from tsm_edge.bench.stop import StopRule
from tsm_edge.bench.turns import Entry, contest, opened
from tsm_edge.compile import pipeline
from tsm_edge.compile.backends import cpu
from tsm_edge.compile.frontend import networks

#: name -> the fact of a machine that turns a choice off, and what the choice is
CHOICES = {
    "requests": ("prefetch", "a tile prefetches operands of later tiles (schedules/cpu/_prefetch.py)"),
    "halves": ("half_width_fma", "panels of three half vectors (tiling.piece_lanes)"),
    "narrow": (
        "broadcasts",
        "panels of one vector for short reductions in a block (inverted_residual/params.py)",
    ),
}
MODELS = ("tsm-mobilenetv2", "tsm-resnet50")
MOST_OPS = 5  # of a row, those that gain most


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All choices that this machine makes, for all models and thread counts."""
    facts = cpu.machine(target.load("local"))
    made = [name for name in options.choices if getattr(facts, CHOICES[name][0])]
    for name in set(options.choices) - set(made):
        _common.note(f"{name}: not a choice for this machine")
    rows = [
        row for model in options.models for name in made for row in one_choice(model, name, options, folder)
    ]
    return {"choices": {name: CHOICES[name][1] for name in made}, "rows": rows}


def one_choice(model: str, name: str, options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """The two bundles at every thread count."""
    bundles = (
        compiled(folder / model, model),
        compiled(folder / f"{model}-no-{name}", model, CHOICES[name][0]),
    )
    return [{"model": model, "choice": name, **one_row(bundles, n, options)} for n in options.threads]


def compiled(folder: Path, model: str, off: str = "") -> Path:
    """Compile a model for this machine unless it is there; off: the fact of the machine that is not true."""
    if (folder / "manifest.json").is_file():
        return folder
    _common.note(f"compiling {folder.name}")
    honest = cpu.machine

    def changed(*arguments: Any) -> Any:
        machine = honest(*arguments)
        return dataclasses.replace(machine, **{off: False}) if off else machine

    with mock.patch.object(cpu, "machine", changed):
        pipeline.compile(networks.zoo(models.load(model)), target.load("local"), folder)
    return folder


def one_row(bundles: tuple[Path, Path], threads: int, options: argparse.Namespace) -> dict[str, Any]:
    """One contest of the two bundles."""
    _common.note(f"{bundles[1].name}, {threads} threads")
    ours, first = opened(lambda: EdgeRunner(bundles[0], threads))
    entries: list[Entry] = [first]
    try:
        other, entry = opened(lambda: EdgeRunner(bundles[1], threads), first)
        entries.append(entry)
        inputs = frames(ours.model.signature.inputs[0])
        contest(entries, inputs, StopRule(options.min_runs, options.min_secs, options.max_secs))
        ops = [per_op.profile(runner, inputs) for runner in (ours, other)]
    finally:
        for one in entries:
            one.runner.close()
    on, off = (one.figures for one in entries)
    gains = sorted(
        (
            {"layer": a.layer, "us": round(a.ns / 1e3, 1), "us_without": round(b.ns / 1e3, 1)}
            for a, b in zip(*ops)
        ),
        key=lambda gain: gain["us"] - gain["us_without"],
    )
    return {
        "threads": threads,
        "median_ms": round(on.median_ms, 4),
        "median_ms_without": round(off.median_ms, 4),
        "ratio": round(on.median_ms / off.median_ms, 4),
        "ratio_of_minima": round(on.min_ms / off.min_ms, 4),
        "ratio_of_rounds": round(float(np.median(_common.paired(*entries))), 4),
        "most_gained": gains[:MOST_OPS],
    }


def show(document: dict[str, Any]) -> None:
    """Print a line for each choice."""
    names = ("model", "choice", "threads", "median_ms", "median_ms_without", "ratio_of_rounds")
    _common.rows(names, [[row[name] for name in names] for row in document["rows"]])


if __name__ == "__main__":
    parser = _common.parser(__doc__.partition("\n")[0])
    parser.add_argument("--choices", type=lambda text: text.split(","), default=list(CHOICES), metavar="A,B")
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=models.names(), metavar="NAME")
    _common.contest_options(parser)
    _common.main(parser.parse_args(), measure, show)
