"""CUDA bundles on the NVIDIA GPU of this machine: are they exact, how long is a step, and how long is the peers'.

    python benchmarks/gpu_step.py BUNDLE ... [--frames 256] [--against torch,onnxruntime] [--json] [--output FILE]

BUNDLE is what `tsm-edge compile --target cuda` wrote. For each of them: `tsm-edge verify` (scores and states of every
frame against PyTorch on the processor), the native command's own times, and `tsm-edge bench --against …`, where the
peers run on the same GPU, in the same precision, as CUDA graphs, in turns with the bundle. A machine without a GPU ends
with the driver's reason and exit code 4.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from typing import Any

import _common

from tsm_edge import runtime
from tsm_edge.errors import RuntimeFailure

NATIVE_STEPS = 2000


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All bundles; what the driver says of the GPU comes first, so that without one nothing is begun."""
    with runtime.open(options.bundle[0]) as model:
        device = model.device
    return {"device": device, "bundles": [one(bundle, options) for bundle in options.bundle]}


def one(bundle: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Proof, then times."""
    _common.note(f"{bundle.name}: verify, {options.frames} frames")
    proof = _common.tsm_edge("verify", bundle, "--frames", options.frames)
    scores, *states = proof["differences"]
    _common.note(f"{bundle.name}: bench")
    native = _native(bundle)
    against = ("--against", options.against) if options.against else ()
    contest = _common.tsm_edge("bench", bundle, *against, "--min-runs", 500)
    manifest = json.loads((bundle / "manifest.json").read_text())
    return {
        "model": contest["model"],
        "target": contest["target"],
        "precision": contest["precision"],
        "launches": manifest["plan"]["steps"],
        "frames_verified": proof["frames"],
        "same_best_class": proof["top1"],
        "scores_relative": scores["relative"],
        "states_relative": max((state["relative"] for state in states), default=0.0),
        "native_ms": {
            key: native[key] for key in ("open_ms", "first_ms", "min_ms", "p5_ms", "median_ms", "p95_ms")
        },
        "native_image_ms": native["image"],
        "runners": contest["runners"],
        "checked": contest["checked"],
        "method": contest["method"],
    }


def _native(bundle: Path) -> dict[str, Any]:
    command = [str(bundle / "tsm-edge-run"), "--bench", "--frames", str(NATIVE_STEPS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeFailure("tsm-edge-run --bench failed.", found=done.stderr.strip())
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def show(document: dict[str, Any]) -> None:
    """A line a bundle, and a line a runner."""
    print(document["device"])
    for found in document["bundles"]:
        print(
            f"{found['model']['name']} for {found['target']}, {found['precision']}, {found['launches']} launches: "
            f"scores within {found['scores_relative']:.1e}, states within {found['states_relative']:.1e}, best class "
            f"equal in {found['same_best_class']} of {found['frames_verified']} frames; "
            f"{found['native_ms']['median_ms']:.3f} ms in the native command"
        )
        _common.rows(
            ("runner", "median ms", "p5", "p95", "tsm-edge/this"),
            [
                (
                    f"{runner['name']} {runner['version']}: {runner['settings']}",
                    runner["median_ms"],
                    runner["p5_ms"],
                    runner["p95_ms"],
                    runner.get("tsm_edge_over_this_ratio", 1.0),
                )
                for runner in found["runners"]
            ],
        )


if __name__ == "__main__":
    arguments = _common.parser((__doc__ or "").partition("\n")[0])
    arguments.add_argument("bundle", nargs="+", type=Path)
    arguments.add_argument("--frames", type=int, default=256)
    arguments.add_argument("--against", default="torch,onnxruntime", metavar="A,B")
    _common.main(arguments.parse_args(), measure, show)
