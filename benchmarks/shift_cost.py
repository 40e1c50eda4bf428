"""What the online shift costs: the step of a TSM network beside the same network without its shifts.

    python benchmarks/shift_cost.py [--json] [--output FILE]

Both are written as ONNX from the same description (the second with every block's shift left out, which makes it the TSN
baseline of the same shape), compiled by the same command and timed in turns in one process. Both are compared with ONNX
Runtime on their own file before that, states included, and with a second stream of themselves, bit for bit, meanwhile.
On several threads the rounds count in which the processors are cores with a cache in common (`_spells.py`), unless
most do not.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import _common
import _spells
import numpy as np
from _spells import Spell, good

from tsm_edge import models
from tsm_edge.bench import per_op
from tsm_edge.bench.edge import EdgeRunner, Witness
from tsm_edge.bench.network import Network, own_network
from tsm_edge.bench.peers.onnxruntime import OnnxRuntime
from tsm_edge.bench.runner import frames
from tsm_edge.bench.stop import StopRule
from tsm_edge.bench.turns import Entry, contest, opened
from tsm_edge.models._layers import Block

MODELS = ("tsm-mobilenetv2", "tsm-resnet18", "tsm-resnet50")


def without_shift(model: models.Model) -> models.Model:
    """Return the same network whose blocks all read this frame only; it has no states."""
    layers = tuple(
        dataclasses.replace(layer, shifted=False) if isinstance(layer, Block) else layer
        for layer in model.layers
    )
    return dataclasses.replace(model, name=model.name.replace("tsm-", "tsn-"), layers=layers)


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All models at all thread counts."""
    return {"models": [one_model(name, options, folder) for name in options.models]}


def one_model(name: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Compile the two networks and time them at each thread count."""
    pair = []
    for model in (models.load(name), without_shift(models.load(name))):
        network = own_network(model)
        file = folder / f"{model.name}.onnx"
        file.write_bytes(network.onnx)
        pair.append((network, _common.compiled(folder / f"{model.name}-from-onnx", file)[0]))
    return {"model": name, "rows": [one_row(pair, threads, options) for threads in options.threads]}


def one_row(pair: list[tuple[Network, Path]], threads: int, options: argparse.Namespace) -> dict[str, Any]:
    """Two contests of the two bundles: a short one beside ONNX Runtime proves them, a long one times them.

    In the long one a second stream of each bundle has to give the same bits. ONNX Runtime would take two thirds of the
    time there, and a third of the rounds would be left to tell half a percent.
    """
    _common.note(f"{pair[0][1].name}, {threads} threads")
    ours: list[tuple[EdgeRunner, Entry]] = []
    try:
        for _, bundle in pair:
            ours.append(opened(lambda bundle=bundle: EdgeRunner(bundle, threads)))  # type: ignore[misc]
        inputs = frames(ours[0][0].model.signature.inputs[0])
        worst = proved(pair, ours, inputs, threads)
        again = [
            opened(lambda runner=runner: Witness(runner), entry, timed=False)[1] for runner, entry in ours
        ]  # type: ignore[misc]
        try:
            two = [[entry, second] for (_, entry), second in zip(ours, again)]
            spells = timed(two, inputs, StopRule(options.min_runs, options.min_secs, options.max_secs))
        finally:
            for second in again:
                second.runner.close()
        networks = [facts(runner, entry, per_op.profile(runner, inputs)) for runner, entry in ours]
    finally:
        for runner, _ in ours:
            runner.close()
    tsm, tsn = networks
    every = np.concatenate([spell.ratios for spell in spells])
    counted = good(spells) if threads > 1 else spells
    if 2 * len(counted) < len(spells):  # too few to be a measurement
        counted = spells
    ratios = np.concatenate([spell.ratios for spell in counted])
    return {
        "threads": threads,
        "tsm": tsm,
        "tsn": tsn,
        "tsm_over_tsn": round(tsm["median_ms"] / tsn["median_ms"], 4),
        "tsm_over_tsn_of_minima": round(tsm["min_ms"] / tsn["min_ms"], 4),
        "tsm_over_tsn_of_rounds": round(float(np.median(ratios)), 4),
        "tsm_over_tsn_of_all_rounds": round(float(np.median(every)), 4),
        "rounds": len(every),
        "rounds_counted": len(ratios),
        "worst_relative_difference": worst,
    }


def timed(two: list[list[Entry]], inputs: list[Any], rule: StopRule) -> list[Spell]:
    """Short contests until the rule says stop, with either network first in turn.

    With the same one first in every round, what else runs on the machine can keep step with the rounds: of six runs of
    tsm-resnet18 on one thread, two then said 1.05, in medians as in rounds, and four 0.99 to 1.007.
    """
    tsm, tsn = two
    return _spells.run(
        (tsm[0], tsn[0]),
        [tsm + tsn, tsn + tsm],
        inputs,
        lambda _, seconds: bool(rule.ended_by(len(tsm[0].times_ns), seconds)),
    )


def proved(
    pair: list[tuple[Network, Path]], ours: list[tuple[EdgeRunner, Entry]], inputs: list[Any], threads: int
) -> float:
    """Compare scores and states with ONNX Runtime's over some steps; return the worst relative difference."""
    witnesses = [witness(network, threads, entry) for (network, _), (_, entry) in zip(pair, ours)]
    try:
        entries = [entry for (_, entry), other in zip(ours, witnesses) for entry in (entry, other)]
        contest(entries, inputs, StopRule(min_runs=1, min_secs=0.0))
    finally:
        for other in witnesses:
            other.runner.close()
    for _, entry in ours:
        entry.times_ns.clear()
    return max(other.agreement.worst for other in witnesses if other.agreement)


def witness(network: Network, threads: int, reference: Entry) -> Entry:
    """ONNX Runtime on the same file, for its outputs, not for its time."""
    return opened(lambda: OnnxRuntime(network, threads), reference, timed=False)[1]


def facts(runner: EdgeRunner, entry: Entry, ops: list[per_op.OpTime]) -> dict[str, Any]:
    """Times, operations and the bytes that they move at least."""
    figures = dataclasses.asdict(entry.figures)
    return {
        **{key: round(value, 4) for key, value in figures.items()},
        "operations": len(ops),
        "bytes_moved": sum(op.bytes for op in ops),
        "state_bytes": runner.model.manifest.plan.state_bytes,
        "arena_bytes": runner.model.manifest.plan.arena_bytes,
    }


def show(document: dict[str, Any]) -> None:
    """Print the two times side by side."""
    lines = [
        (
            model["model"],
            row["threads"],
            row["tsm"]["median_ms"],
            row["tsn"]["median_ms"],
            row["tsm_over_tsn_of_rounds"],
            row["tsm"]["operations"],
            row["tsn"]["operations"],
            (row["tsm"]["bytes_moved"] - row["tsn"]["bytes_moved"]) / 1024,
        )
        for model in document["models"]
        for row in model["rows"]
    ]
    header = (
        "model",
        "threads",
        "TSM ms",
        "TSN ms",
        "ratio",
        "TSM operations",
        "TSN operations",
        "more KiB moved",
    )
    _common.rows(header, lines)


if __name__ == "__main__":
    parser = _common.parser(__doc__.partition("\n")[0])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=models.names(), metavar="NAME")
    _common.contest_options(parser)
    _common.main(parser.parse_args(), measure, show)
