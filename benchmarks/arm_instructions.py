"""Guest instructions per frame of a bundle for ARM, counted under qemu-user: a figure that repeats, without a board.

    python benchmarks/arm_instructions.py [--target raspberry-pi-4] [--precision fp32] [--json] [--output FILE]

The bundle's own command takes frames on stdin, once a few and once more; the difference of the two counts, over the
difference in frames, is one frame, without start-up. One thread. The bundle is compared with PyTorch under the same
emulator first. The floor is the number of multiply-accumulates over the lanes of a vector: no program that multiplies
vectors can need fewer instructions.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import _common
import numpy as np

from tsm_edge import target
from tsm_edge.errors import RuntimeFailure
from tsm_edge.target import EdgeTarget

MODEL, TARGET = "tsm-mobilenetv2", "raspberry-pi-4"
FRAMES = (2, 6)
VERIFIED_FRAMES = 4
#: ncnn 1.0.20261020, the aarch64 wheel, on the same network at 224x224 with one thread, fp16 and bf16 off; counted in
#: the same way (6 and 2 frames, -cpu cortex-a72)
NCNN_MILLIONS = 101.3
PLUGIN = Path(__file__).with_name("count_instructions.c")


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Compile, verify, count. A machine without the emulator gets a document that says so."""
    device = target.load(options.target)
    missing = what_is_missing(device)
    if missing:
        _common.note(f"skipped: {missing}")
        return {"target": device.name, "skipped": missing}
    precision = options.precision
    name = f"{options.model}-{device.name}-{precision}"
    bundle, seconds = _common.compiled(
        folder / name, options.model, "--precision", precision, target=device.name
    )
    _common.note("verifying under the emulator")
    verified = _common.tsm_edge("verify", bundle, "--frames", VERIFIED_FRAMES)
    counts = [count(bundle, device, frames, folder) for frames in FRAMES]
    per_frame = (counts[1] - counts[0]) / (FRAMES[1] - FRAMES[0])
    macs = json.loads((bundle / "manifest.json").read_text())["plan"]["macs"]
    floor = macs / device.cpu.simd_lanes
    ncnn = {}
    if precision == "fp32" and (options.model, device.cpu.llvm_cpu) == (MODEL, target.load(TARGET).cpu.llvm_cpu):
        ratio = round(per_frame / 1e6 / NCNN_MILLIONS, 4)
        ncnn = {"ncnn_instructions_per_frame": NCNN_MILLIONS * 1e6, "tsm_edge_over_ncnn": ratio}
    return {
        "model": options.model,
        "target": device.name,
        "cpu": device.cpu.llvm_cpu,
        "precision": precision,
        "emulator": emulator_version(device),
        "threads": 1,
        "frames_counted": list(FRAMES),
        "compile_seconds": seconds,
        "instructions": counts,
        "instructions_per_frame": round(per_frame),
        "multiply_add_floor_per_frame": round(floor),
        "over_floor": round(per_frame / floor, 4),
        **ncnn,
        "verified": {
            "frames": VERIFIED_FRAMES,
            "tolerance_relative": verified["tolerance"],
            "ok": verified["ok"],
        },
    }


def what_is_missing(device: EdgeTarget) -> str:
    """Return in words what this machine lacks to count for the target, or ""."""
    emulator = device.emulator
    if emulator is None:
        return f"target {device.name} has no emulator"
    if shutil.which(emulator.program) is None:
        return f"{emulator.program} is not installed: apt install {emulator.package}"
    if emulator.sysroot and device.link == "shared" and not Path(emulator.sysroot).is_dir():
        return f"there is no {emulator.sysroot}: apt install {emulator.sysroot_package}"
    return ""


def count(bundle: Path, device: EdgeTarget, frames: int, folder: Path, late: int = 0) -> int:
    """Instructions that the bundle's command executes for so many frames, from its start to its end; late: how many of
    them have no answer.
    """
    _common.note(f"counting {frames} frames")
    assert device.emulator is not None
    shape = json.loads((bundle / "manifest.json").read_text())["signature"]["inputs"][0]["shape"]
    data = np.random.default_rng(0).standard_normal((frames, *shape)).astype(np.float32).tobytes()
    command = [device.emulator.program, "-cpu", device.emulator.cpu, "-plugin", str(plugin(device, folder))]
    if device.emulator.sysroot and device.link == "shared":
        command += ["-L", device.emulator.sysroot]
    command += [str(bundle.resolve() / "tsm-edge-run"), "--tensor", "--threads", "1"]
    done = subprocess.run(command, input=data, capture_output=True, check=False)
    found = re.search(rb"guest-instructions (\d+)", done.stderr)
    if done.returncode or found is None or len(done.stdout.splitlines()) != frames - late:
        raise RuntimeFailure(
            "The bundle was not counted.",
            found=done.stderr.decode(errors="replace").strip()[-600:] or f"exit {done.returncode}",
            hint="QEMU's static build takes no plugins; Debian's package qemu-user does",
        )
    return int(found[1])


def plugin(device: EdgeTarget, folder: Path, source: Path = PLUGIN) -> Path:
    """Build a plugin for the emulator's version of the interface; RuntimeFailure without a C compiler."""
    built = (folder / source.name).with_suffix(".so")
    if built.is_file():
        return built
    major = int(re.search(r"version (\d+)", emulator_version(device))[1])  # type: ignore[index]
    compiler = [shutil.which("cc")] if shutil.which("cc") else [sys.executable, "-m", "ziglang", "cc"]
    if compiler[0] == sys.executable and importlib.util.find_spec("ziglang") is None:
        raise RuntimeFailure(
            "The plugin needs a C compiler.", hint='apt install gcc, or pip install "tsm-edge[compile]"'
        )
    flags = [
        "-std=c11",
        "-shared",
        "-fPIC",
        "-O2",
        f"-DAPI={1 if major < 9 else 2}",
        str(source),
        "-o",
        str(built),
    ]
    done = subprocess.run([*map(str, compiler), *flags], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeFailure("The plugin does not compile.", found=done.stderr.strip()[-600:])
    return built


def emulator_version(device: EdgeTarget) -> str:
    """First line of the emulator's --version."""
    assert device.emulator is not None
    done = subprocess.run([device.emulator.program, "--version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]


def show(document: dict[str, Any]) -> None:
    """Print the count, the floor and the peer."""
    millions = document["instructions_per_frame"] / 1e6
    print(
        f"{document['model']} for {document['target']} ({document['cpu']}), one thread, {document['emulator']}"
    )
    print(f"instructions a frame: {millions:.1f} M")
    floor = document["multiply_add_floor_per_frame"] / 1e6
    print(f"floor:                {floor:.1f} M; {document['over_floor']} times that")
    if "tsm_edge_over_ncnn" in document:
        print(f"ncnn:                 {NCNN_MILLIONS} M; tsm-edge / ncnn {document['tsm_edge_over_ncnn']}")


if __name__ == "__main__":
    parser = _common.parser(__doc__.partition("\n")[0])
    parser.add_argument("--target", default=TARGET, metavar="NAME", choices=target.names())
    parser.add_argument("--model", default=MODEL, metavar="NAME")
    parser.add_argument("--precision", choices=("fp32", "fp16"), default="fp32")
    _common.main(parser.parse_args(), measure, show)
