"""Guest instructions a frame of ours and of the peers in float32, float16 and int8, by instruction class, under qemu.

    python benchmarks/arm_precision.py --peers DIR [--models A,B] [--cores a72,a76,i8mm] [--precisions A,B] [--json]

What is counted are the rows of `_arm_goals.py`, or those of them that the options name; the table gives ours over the
best peer of a row. DIR receives an AArch64 Python and the peers' wheels from Debian's and Python's registries (about
350 MB), and keeps them. One thread. Each runtime gets the same network with the same seeded weights, and states in and
out; in int8, ranges that the same frames made. Peers are counted inside one process, between two marking system calls
around the runtime's own call; our command by the difference of two runs, which also holds its reading of the frame and
the frame's rounding to 8 bits, and it is compiled for one thread. Counts repeat to a few thousand: with --bundles those
of the peers are kept and used again. The scores of every peer are compared with ONNX Runtime's in float32 on this
machine.
The instruction classes tell which kernels ran: `fmla.4s`, `fmla.8h`, `sdot`, `smmla`, `smlal.4s`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _arm_classes
import _arm_goals
import _arm_ncnn
import _arm_own
import _arm_sysroot
import _arm_tflite
import _common
import _peer_int8
import arm_instructions
import numpy as np
from _arm_goals import CORES, OURS, Core, Goal

from tsm_edge import models, target
from tsm_edge.bench.ncnn_file import ncnn_files
from tsm_edge.bench.network import Network, own_network
from tsm_edge.errors import EdgeError, RuntimeFailure

FRAMES, WARM = 2, 1
PLUGIN = Path(__file__).with_name("count_classes.c")
GUEST = Path(__file__).with_name("_arm_peer_step.py")
SHOWN = 8  # classes a row of the table has
#: how far the scores may be from float32's, of the largest: enough to tell a wrong network from rounding. The weights
#: are seeded and the frames noise, so that scores are nearly alike; sums in float16 move ncnn's by 0.14.
TOLERANCES = {"fp32": 1e-3, "fp16": 0.25, "int8": 0.5}


RUNTIMES = (OURS, "ncnn", "litert", "onnxruntime")


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Count every runtime on every core in every precision; one that cannot be counted says why."""
    missing = arm_instructions.what_is_missing(target.load("raspberry-pi-4"))
    if missing:
        return {"skipped": missing}
    peers = [runtime for runtime in options.runtimes if runtime != OURS]
    if peers and options.peers is None:
        raise RuntimeFailure("The peers need a folder for their Python.", hint="--peers DIR, or --runtimes tsm-edge")
    root = _arm_sysroot.made(options.peers.resolve()) if peers else None
    plugin = built(folder)
    goals = _arm_goals.chosen(options.models, options.cores, options.precisions)
    counted: list[dict[str, Any]] = []
    for name in dict.fromkeys(goal.model for goal in goals):
        counted += of_model(name, [goal for goal in goals if goal.model == name], options, root, plugin)
    return {
        "emulator": arm_instructions.emulator_version(target.load("raspberry-pi-4")),
        "threads": 1,
        "peers": list(_arm_sysroot.WHEELS) if peers else [],
        "tolerances_relative": TOLERANCES,
        "ratios": _arm_goals.judged(goals, counted),
        "counts": counted,
    }


def of_model(
    name: str, goals: list[Goal], options: argparse.Namespace, root: Path | None, plugin: Path
) -> Iterator[dict[str, Any]]:
    """The rows of one network."""
    network, folder = own_network(models.load(name)), plugin.parent
    frames = np.random.default_rng(0).standard_normal((FRAMES, *network.signature.inputs[0].shape), np.float32)
    np.save(folder / "frames.npy", frames)
    seen = on_this_machine(network, frames)
    for goal in goals:
        for runtime in options.runtimes:
            kept = folder / f"counted-{name}-{goal.core}-{goal.precision}-{runtime}.json"
            if kept.is_file() and runtime != OURS:
                row = json.loads(kept.read_text())
            else:
                row = {"model": name, "core": goal.core, "cpu": CORES[goal.core].cpu, "precision": goal.precision}
                row |= {"runtime": runtime, **count_of(runtime, goal, network, seen, root, frames, plugin)}
                kept.write_text(json.dumps(row))
            _common.note(line(row))
            yield row


def count_of(
    runtime: str, goal: Goal, network: Network, seen: Seen, root: Path | None, frames: np.ndarray, plugin: Path
) -> dict[str, Any]:
    """One count, or why there is none."""
    precision = goal.precision
    try:
        if runtime == OURS:
            return ours(goal, frames, plugin)
        assert root is not None
        files = peer_files(runtime, precision, network, seen, root, plugin.parent)
        states = len(network.signature.states)
        found = peer(runtime, files, precision, CORES[goal.core], states, root, plugin)
        return found | agreement(plugin.parent, seen.scores, precision)
    except EdgeError as error:
        return {"not_counted": " ".join(str(error).split())}


@dataclass(frozen=True)
class Seen:
    """What ONNX Runtime computes here in float32: the scores, and the range of every value over the frames."""

    scores: np.ndarray
    ranges: dict[str, tuple[float, float]]


def on_this_machine(network: Network, frames: np.ndarray) -> Seen:
    """Run the network with every value as an output."""
    import onnx
    import onnxruntime

    proto = onnx.load_from_string(network.onnx)
    outputs = [value.name for value in proto.graph.output]
    values = [name for node in proto.graph.node for name in node.output if name not in outputs]
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in values)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    states = {s.input.name: np.zeros(s.input.shape, np.float32) for s in network.signature.states}
    scores, ranges = [], {"frame": (float(frames.min()), float(frames.max()))}
    for frame in frames:
        found = dict(zip([*outputs, *values], session.run([*outputs, *values], {"frame": frame, **states})))
        scores.append(found["logits"].ravel())
        states = {name: found[f"{name}_out"] for name in states}
        for key, value in found.items():
            low, high = ranges.get(key, (np.inf, -np.inf))
            ranges[key] = min(low, float(value.min())), max(high, float(value.max()))
    return Seen(np.stack(scores), ranges)


def peer_files(
    runtime: str, precision: str, network: Network, seen: Seen, root: Path, folder: Path
) -> Path:
    """Write the network as a peer reads it."""
    model = network.own(runtime)
    path = folder / f"{model.name}-{precision}"
    if runtime == "litert":
        schema = _arm_tflite.schema_of(root / "site")
        path = path.with_suffix(".tflite")
        path.write_bytes(_arm_tflite.tflite(schema, model, network.weights, precision, seen.ranges))
    elif runtime == "ncnn":
        if precision == "int8":
            param, data = _arm_ncnn.int8_files(model, network.weights, ncnn_peaks(seen))
        else:
            param, data = ncnn_files(model, network.weights)
        path.with_name(path.name + ".param").write_text(param)
        path.with_name(path.name + ".bin").write_bytes(data)
        for index, pair in enumerate(network.signature.states):
            np.save(f"{path}.state{index}.npy", np.zeros(pair.input.shape[1:], np.float32))
    else:
        path = path.with_suffix(".onnx")
        if precision == "fp16":
            raise RuntimeFailure("ONNX Runtime computes no float16 on a CPU; it converts to float32.")
        if precision == "int8":
            _peer_int8.quantised(path, np.load(folder / "frames.npy"), network)
        else:
            path.write_bytes(network.onnx)
    return path


def ncnn_peaks(seen: Seen) -> dict[str, float]:
    """The largest absolute value of each blob under ncnn's names: a convolution's blob is after its activation."""
    peaks = {name: max(-low, high, 1e-6) for name, (low, high) in seen.ranges.items()}
    for name, peak in list(peaks.items()):
        stem, _, kind = name.rpartition(".")
        if kind in ("relu", "relu6"):
            peaks[f"{stem}.out"] = peak
    for name, peak in list(peaks.items()):
        peaks.setdefault(f"{name}.out", peak)
        if name.endswith(".add"):
            stem = name.removesuffix(".add")
            peaks.setdefault(f"{stem}.sum", peak)
    for name, peak in list(peaks.items()):
        if name.endswith(".shift"):
            peaks[f"{name}ed"] = peak
    return peaks


def peer(
    runtime: str, model: Path, precision: str, core: Core, states: int, root: Path, plugin: Path
) -> dict[str, Any]:
    """Count one peer's steps in its AArch64 Python."""
    folder = plugin.parent
    start = _arm_sysroot.command(root, core.cpu, f"{plugin},marked=on")
    out = folder / "scores.npy"
    out.unlink(missing_ok=True)
    words = [*start, str(GUEST), runtime, str(model), str(folder / "frames.npy"), str(states), str(out), precision]
    classes = _arm_classes.counted(runtime, words)
    if not out.is_file():
        raise RuntimeFailure(f"{runtime} left no scores.")
    return _arm_classes.summed({name: count / (FRAMES - WARM) for name, count in classes.items()})


def ours(goal: Goal, frames: np.ndarray, plugin: Path) -> dict[str, Any]:
    """Count our command."""
    core = CORES[goal.core]
    device = target.load(core.target)
    bundle = _arm_own.bundle_of(goal.model, device, goal.precision, frames, plugin.parent)
    classes = _arm_own.counted(bundle, device, core.cpu, plugin)
    return {"target": device.name, **_arm_classes.summed(classes)}


def agreement(folder: Path, expected: np.ndarray, precision: str) -> dict[str, Any]:
    """How far a peer's scores are from float32's; one that is too far has no count."""
    found = np.load(folder / "scores.npy")
    largest = float(np.abs(found - expected).max() / np.abs(expected).max())
    if not largest <= TOLERANCES[precision]:
        raise RuntimeFailure("The scores are not those of the network.", found=f"off by {largest:.3g} of the largest")
    return {"scores_off_relative": round(largest, 6)}


def built(folder: Path) -> Path:
    """The plugin."""
    return arm_instructions.plugin(target.load("raspberry-pi-4"), folder, PLUGIN)


def line(row: dict[str, Any]) -> str:
    """A row in words."""
    head = f"{row['model']} {row['core']} {row['precision']} {row['runtime']}: "
    if "not_counted" in row:
        return head + row["not_counted"]
    classes = ", ".join(f"{n} {c / 1e6:.1f}" for n, c in list(row["classes"].items())[:SHOWN])
    return head + f"{row['instructions_per_frame'] / 1e6:.1f} M ({classes})"


def show(document: dict[str, Any]) -> None:
    """The ratios, and a line for each count."""
    for row in document["counts"]:
        print(line(row))
    header = ["network", "core", "precision", "ours, M", "best peer", "its M", "ratio", "must", "aim", ""]
    rows = []
    for row in document["ratios"]:
        counts = [None if row[key] is None else row[key] / 1e6 for key in ("tsm_edge", "peer")]
        verdict = {True: "met", False: "missed", None: "not counted"}[row["met"]]
        shown = [row["model"], row["core"], row["precision"], counts[0], row["best_peer"], counts[1]]
        rows.append(
            ["-" if cell is None else cell for cell in [*shown, row["ratio"], row["must"], row["aim"], verdict]]
        )
    _common.rows(header, rows)


def listed(allowed: object) -> Any:
    """A parser of "a,b" out of known names."""

    def parse(text: str) -> list[str]:
        names = text.split(",")
        wrong = [name for name in names if name not in list(allowed)]  # type: ignore[call-overload]
        if wrong:
            raise argparse.ArgumentTypeError(f"{', '.join(wrong)}: allowed are {', '.join(allowed)}")  # type: ignore[arg-type]
        return names

    return parse


if __name__ == "__main__":
    parser = _common.parser(__doc__.partition("\n")[0])
    parser.add_argument("--peers", type=Path, metavar="DIR", help="folder of the peers' Python; filled when empty")
    parser.add_argument("--models", type=listed(models.names()), default=models.names(), metavar="A,B")
    parser.add_argument("--cores", type=listed(CORES), default=list(CORES), metavar="A,B")
    parser.add_argument("--precisions", type=listed(TOLERANCES), default=list(TOLERANCES), metavar="A,B")
    parser.add_argument("--runtimes", type=listed(RUNTIMES), default=list(RUNTIMES), metavar="A,B")
    _common.main(parser.parse_args(), measure, show)
