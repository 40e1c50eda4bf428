"""What the online shift costs: the step of a TSM network beside the same network without its shifts.

    python benchmarks/shift_cost.py [--json] [--output FILE]

Both are written as ONNX from the same description (the second with every block's shift left out, which makes it the TSN
baseline of the same shape), compiled by the same command and timed in turns in one process. The scores of every step
and the states of every round are compared with ONNX Runtime's on the same file: it runs in the first contest, and is
what later ones, which have the same frames, are compared with. The ratio is the median over intervals, in which either
network is first as often as the other. On several threads the intervals count in which the processors are cores with a
cache in common (`_intervals.py`), unless most are not.
"""

from __future__ import annotations

import argparse
import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import _common
import _intervals
import numpy as np
from _intervals import Interval, Replay, good
from numpy.typing import NDArray

from tsm_edge import models
from tsm_edge.bench import per_op
from tsm_edge.bench.edge import EdgeRunner
from tsm_edge.bench.network import Network, own_network
from tsm_edge.bench.peers.onnxruntime import OnnxRuntime
from tsm_edge.bench.runner import frames
from tsm_edge.bench.stop import StopRule
from tsm_edge.bench.turns import Entry, Turn, opened
from tsm_edge.models.description import Block

MODELS = ("tsm-mobilenetv2", "tsm-resnet18", "tsm-resnet50")
#: the standard error of a ratio at which to stop: what a bound of a percent needs to be told from half of one
PRECISION = 0.0015


def without_shift(model: models.Model) -> models.Model:
    """Return the same network whose blocks all read this frame only; it has no states."""
    layers = tuple(
        dataclasses.replace(layer, shifted=False) if isinstance(layer, Block) else layer
        for layer in model.layers
    )
    return dataclasses.replace(model, name=model.name.replace("tsm-", "tsn-"), layers=layers)


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All models at all thread counts; what was mostly not on two cores of one cache is measured again at the end."""
    pairs = {name: compiled_pair(name, folder) for name in options.models}
    rows = {name: [one_row(pairs[name], n, options) for n in options.threads] for name in options.models}
    for name, found in rows.items():
        for at, row in enumerate(found):
            again = row if row["near"] else one_row(pairs[name], row["threads"], options)
            found[at] = again if again["near"] else row
    return {"models": [{"model": name, "rows": found} for name, found in rows.items()]}


def compiled_pair(name: str, folder: Path) -> list[tuple[Network, Path]]:
    """The network with its shifts and without, each with its bundle."""
    model = models.load(name)
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda one: compiled(one, folder), (model, without_shift(model))))


def compiled(model: models.Model, folder: Path) -> tuple[Network, Path]:
    """A network and its bundle."""
    network, file = own_network(model), folder / f"{model.name}.onnx"
    file.write_bytes(network.onnx)
    return network, _common.compiled(folder / f"{model.name}-from-onnx", file)[0]


def one_row(pair: list[tuple[Network, Path]], threads: int, options: argparse.Namespace) -> dict[str, Any]:
    """Time the two bundles in turns; every score, and the states of every round, are what ONNX Runtime's were."""
    _common.note(f"{pair[0][1].name}, {threads} threads")
    ours: list[tuple[EdgeRunner, Entry]] = []
    proofs: list[Entry] = []
    try:
        for network, bundle in pair:
            ours.append(opened(lambda bundle=bundle: EdgeRunner(bundle, threads)))  # type: ignore[misc]
            proofs.append(proof(network, threads, ours[-1][1]))
        inputs = frames(ours[0][0].model.signature.inputs[0])
        two = [[entry, other] for (_, entry), other in zip(ours, proofs)]
        rule = StopRule(options.min_runs, options.min_secs, options.max_secs)
        intervals = timed(two, inputs, threads, rule)
        networks = [facts(runner, entry, per_op.profile(runner, inputs)) for runner, entry in ours]
    finally:
        for entry in [entry for _, entry in ours] + proofs:
            entry.runner.close()
    tsm, tsn = networks
    chosen, near = counted(intervals, threads)
    ratios = medians(chosen)
    return {
        "threads": threads,
        "near": near,
        "tsm": tsm,
        "tsn": tsn,
        "tsm_over_tsn": round(tsm["median_ms"] / tsn["median_ms"], 4),
        "tsm_over_tsn_of_minima": round(tsm["min_ms"] / tsn["min_ms"], 4),
        "tsm_over_tsn_of_intervals": round(float(np.median(ratios)), 4),
        "standard_error": round(_intervals.standard_error(ratios), 4),
        "tsm_over_tsn_of_all_intervals": round(float(np.median(medians(intervals))), 4),
        "intervals": len(intervals),
        "spells_counted": len(chosen),
        "rounds_counted": _intervals.rounds(chosen),
        "worst_relative_difference": max(other.agreement.worst for other in proofs if other.agreement),
    }


def timed(two: list[list[Entry]], inputs: list[Any], threads: int, rule: StopRule) -> list[Interval]:
    """Spells with either network first in turn, until those that count meet the rule and `PRECISION`, or its cap.

    With the same one first in every round, what else runs on the machine can keep step with the rounds: of six runs of
    tsm-resnet18 on one thread, two then said 1.05, in medians as in rounds, and four 0.99 to 1.007.
    """
    tsm, tsn = two

    def enough(intervals: list[Interval], seconds: float) -> bool:
        if seconds >= rule.max_secs:
            return True
        chosen, near = counted(intervals, threads)
        ended = near and rule.ended_by(_intervals.rounds(chosen) * Turn().timed, seconds)
        return bool(ended) and _intervals.standard_error(medians(chosen)) <= PRECISION

    return _intervals.run((tsm[0], tsn[0]), [tsm + tsn, tsn + tsm], inputs, enough)


def medians(intervals: list[Interval]) -> NDArray[np.float64]:
    """The ratio of every interval: the median of its rounds, as many of either order."""
    return np.array([np.median(interval.ratios) for interval in intervals])


def counted(intervals: list[Interval], threads: int) -> tuple[list[Interval], bool]:
    """The intervals that count, and True: on one thread all of them, else the good ones (`_intervals.good`).

    Where those are the smaller part, all of them and False.
    """
    chosen = good(intervals) if threads > 1 else intervals
    near = 2 * len(chosen) >= len(intervals)
    return chosen if near else intervals, near


def proof(network: Network, threads: int, reference: Entry) -> Entry:
    """ONNX Runtime on the same file, for its outputs, not for its time: it runs in the first contest only."""
    return opened(lambda: Replay(OnnxRuntime(network, threads)), reference, timed=False)[1]


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
            row["tsm_over_tsn_of_intervals"],
            f"{row['standard_error']:.4f}",
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
        "+-",
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
