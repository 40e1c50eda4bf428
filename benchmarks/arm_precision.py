"""Guest instructions a frame of ours and of the peers in float32, float16 and int8, by instruction class, under qemu.

    python benchmarks/arm_precision.py --peers DIR [--models tsm-mobilenetv2] [--cores a72,a76,i8mm] [--json]

DIR receives an AArch64 Python and the peers' wheels from Debian's and Python's registries (about 350 MB), and keeps
them. One thread. Each runtime gets the same network with the same seeded weights, and states in and out. Peers are
counted inside one process, between two marking system calls around the runtime's own call; our command by the
difference of two runs, which also holds its reading of the frame. The scores of every runtime are compared with ONNX
Runtime's in float32 on this machine. The instruction classes tell which kernels ran: `fmla.4s`, `fmla.8h`, `sdot`,
`smmla`, `smlal.4s`.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _arm_ncnn
import _arm_sysroot
import _arm_tflite
import _common
import arm_instructions
import numpy as np

from tsm_edge import models, target
from tsm_edge.bench.network import Network, own_network
from tsm_edge.bench.peers._ncnn_file import ncnn_files
from tsm_edge.errors import EdgeError, RuntimeFailure

FRAMES, WARM = 3, 1
OWN_FRAMES = (2, 4)
PLUGIN = Path(__file__).with_name("count_classes.c")
GUEST = Path(__file__).with_name("_arm_peer_step.py")
SHOWN = 8  # classes a row of the table has
#: how far the scores may be from float32's, of the largest: enough to tell a wrong network from rounding. The weights
#: are seeded and the frames noise, so that scores are nearly alike; sums in float16 move ncnn's by 0.14.
TOLERANCES = {"fp32": 1e-3, "fp16": 0.25, "int8": 0.5}


@dataclass(frozen=True)
class Core:
    """A core to emulate, and our target for it."""

    cpu: str
    target: str
    precisions: tuple[str, ...]


CORES = {
    "a72": Core("cortex-a72", "raspberry-pi-4", ("fp32", "int8")),
    "a76": Core("cortex-a76", "raspberry-pi-5", ("fp32", "fp16", "int8")),
    # every extension up to Armv8.6 but scalable vectors, which no core of this kind's boards has
    "i8mm": Core("max,sve=off,sme=off", "", ("int8",)),
}
RUNTIMES = ("tsm-edge", "ncnn", "litert", "onnxruntime")


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Count every runtime on every core in every precision; one that cannot be counted says why."""
    missing = arm_instructions.what_is_missing(target.load("raspberry-pi-4"))
    if missing:
        return {"skipped": missing}
    peers = [runtime for runtime in options.runtimes if runtime != "tsm-edge"]
    if peers and options.peers is None:
        raise RuntimeFailure("The peers need a folder for their Python.", hint="--peers DIR, or --runtimes tsm-edge")
    root = _arm_sysroot.made(options.peers.resolve()) if peers else None
    plugin = built(folder)
    counted = [
        row
        for name in options.models
        for row in of_model(name, options, root, plugin, folder)
    ]
    return {
        "emulator": arm_instructions.emulator_version(target.load("raspberry-pi-4")),
        "threads": 1,
        "peers": list(_arm_sysroot.WHEELS) if peers else [],
        "tolerances_relative": TOLERANCES,
        "counts": counted,
    }


def of_model(
    name: str, options: argparse.Namespace, root: Path | None, plugin: Path, folder: Path
) -> Iterator[dict[str, Any]]:
    """The rows of one network."""
    network = own_network(models.load(name))
    frames = np.random.default_rng(0).standard_normal((FRAMES, *network.signature.inputs[0].shape), np.float32)
    np.save(folder / "frames.npy", frames)
    seen = on_this_machine(network, frames)
    for core_name in options.cores:
        core = CORES[core_name]
        for precision in [p for p in options.precisions if p in core.precisions]:
            for runtime in options.runtimes:
                row = {"model": name, "core": core_name, "cpu": core.cpu, "runtime": runtime}
                row["precision"] = precision
                try:
                    if runtime == "tsm-edge":
                        row |= ours(name, core, precision, plugin, folder)
                    elif root is not None:
                        files = peer_files(runtime, precision, network, seen, root, folder)
                        row |= peer(runtime, files, precision, core, len(network.signature.states), root, plugin)
                        row |= agreement(folder, seen.scores, precision)
                except EdgeError as error:
                    row["not_counted"] = " ".join(str(error).split())
                _common.note(line(row))
                yield row


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
        path.write_bytes(network.onnx)
        if precision == "int8":
            quantised(path, np.load(folder / "frames.npy"), network)
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
    return Peaks(peaks)


class Peaks(dict[str, float]):
    """The blobs after a Split layer are those before it."""

    def __missing__(self, name: str) -> float:
        raise RuntimeFailure("ncnn's file has a blob whose range is unknown.", found=name)


def quantised(path: Path, frames: np.ndarray, network: Network) -> None:
    """Rewrite an ONNX file in 8 bits with ONNX Runtime's own quantiser: QDQ, s8s8, per channel."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    states = {s.input.name: np.zeros(s.input.shape, np.float32) for s in network.signature.states}

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = [{"frame": frame, **states} for frame in frames]

        def get_next(self) -> dict[str, np.ndarray] | None:
            return self.left.pop() if self.left else None

    whole = path.with_suffix(".fp32.onnx")
    path.replace(whole)
    quantize_static(
        whole,
        path,
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
    )


def peer(
    runtime: str, model: Path, precision: str, core: Core, states: int, root: Path, plugin: Path
) -> dict[str, Any]:
    """Count one peer's steps in its AArch64 Python."""
    folder = plugin.parent
    start = _arm_sysroot.command(root, core.cpu, f"{plugin},marked=on")
    out = folder / "scores.npy"
    out.unlink(missing_ok=True)
    words = [*start, str(GUEST), runtime, str(model), str(folder / "frames.npy"), str(states), str(out), precision]
    done = subprocess.run(words, capture_output=True, check=False)
    classes = found_classes(done.stderr)
    if done.returncode or not classes or not out.is_file():
        raise RuntimeFailure(f"{runtime} was not counted.", found=done.stderr.decode(errors="replace")[-400:].strip())
    return summed({name: count / (FRAMES - WARM) for name, count in classes.items()})


def ours(name: str, core: Core, precision: str, plugin: Path, folder: Path) -> dict[str, Any]:
    """Count our command: the difference of two runs over the difference in frames."""
    if not core.target:
        raise RuntimeFailure("There is no target of ours with these instructions.")
    device = target.load(core.target)
    options = [] if precision == "fp32" else ["--precision", precision]
    bundle, _ = _common.compiled(folder / f"{name}-{core.target}-{precision}", name, *options, target=device.name)
    counts = [run_own(bundle, device, frames, plugin) for frames in OWN_FRAMES]
    span = OWN_FRAMES[1] - OWN_FRAMES[0]
    classes = {key: (counts[1][key] - counts[0].get(key, 0)) / span for key in counts[1]}
    stored = json.loads((bundle / "manifest.json").read_text())["precision"]
    return {"stored": stored, **summed(classes)}


def run_own(bundle: Path, device: target.EdgeTarget, frames: int, plugin: Path) -> dict[str, int]:
    """The classes of one run of so many frames."""
    assert device.emulator is not None
    shape = json.loads((bundle / "manifest.json").read_text())["signature"]["inputs"][0]["shape"]
    data = np.random.default_rng(0).standard_normal((frames, *shape), np.float32).tobytes()
    words = [device.emulator.program, "-cpu", device.emulator.cpu, "-plugin", str(plugin), "-L"]
    words += [device.emulator.sysroot, str(bundle.resolve() / "tsm-edge-run"), "--tensor", "--threads", "1"]
    done = subprocess.run(words, input=data, capture_output=True, check=False)
    classes = found_classes(done.stderr)
    if done.returncode or not classes:
        raise RuntimeFailure("The bundle was not counted.", found=done.stderr.decode(errors="replace")[-400:])
    return classes


def found_classes(text: bytes) -> dict[str, int]:
    """The plugin's lines."""
    return {name.decode(): int(count) for name, count in re.findall(rb"guest-class (\S+) (\d+)", text)}


def summed(classes: dict[str, float]) -> dict[str, Any]:
    """Instructions a frame and its most frequent classes."""
    largest = sorted(classes.items(), key=lambda item: -item[1])
    return {
        "instructions_per_frame": round(sum(classes.values())),
        "classes": {name: round(count) for name, count in largest[:40] if count >= 1},
    }


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
    """A line for each count."""
    for row in document["counts"]:
        print(line(row))


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
    parser.add_argument("--models", type=listed(models.names()), default=["tsm-mobilenetv2"], metavar="A,B")
    parser.add_argument("--cores", type=listed(CORES), default=list(CORES), metavar="A,B")
    parser.add_argument("--precisions", type=listed(TOLERANCES), default=list(TOLERANCES), metavar="A,B")
    parser.add_argument("--runtimes", type=listed(RUNTIMES), default=list(RUNTIMES), metavar="A,B")
    _common.main(parser.parse_args(), measure, show)
