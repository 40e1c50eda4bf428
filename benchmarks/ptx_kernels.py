"""Every kernel of the CUDA targets as the assembler sees it: registers, shared memory, spills, occupancy.

    python benchmarks/ptx_kernels.py [--model tsm-mobilenetv2] [--precision fp16] [--json] [--output FILE]

Compiles the model for each CUDA target, which needs no GPU. `ptxas` of CUDA 12.6 assembles each kernel for the target's
sm from PTX whose ISA header is that of the board's driver. The latency is modelled from the target's facts and the
occupancy that follows from those registers (compile/lowering/latency_gpu.py); nothing in this document was measured on
a GPU, and "gpu" says whether there was one.
"""

from __future__ import annotations

import argparse
import ctypes
import shutil
import subprocess
from pathlib import Path
from typing import Any

import _common

from tsm_edge import target

MODEL = "tsm-mobilenetv2"
#: milliseconds a frame of the same network that the paper's authors measured (arXiv 1811.08383, table of edge devices)
PAPER_MS = {53: 13.4, 62: 8.5}


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One entry for each CUDA target."""
    boards = [name for name in target.names() if target.load(name).family == "cuda"]
    return {
        "model": options.model,
        "precision": options.precision,
        "gpu": gpu(),
        "run_on_a_gpu": "nothing here: kernels were assembled, not launched; gpu_step.py runs bundles on a GPU",
        "modelled": "from the target's facts and ptxas, not measured",
        "targets": {name: board(name, options, folder) for name in boards},
    }


def gpu() -> str:
    """What NVIDIA's driver says of this machine, where there is one."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "no NVIDIA GPU was available: this machine has no libcuda.so.1"
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value == 0:
        return "no NVIDIA GPU was available: the driver finds none"
    return f"{count.value} of NVIDIA's, not used here: tsm-edge verify and tsm-edge bench run bundles on it"


def board(name: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Compile for one target and keep what its summary says of the kernels."""
    _common.note(f"compiling for {name}")
    facts = target.load(name).gpu
    assert facts is not None
    place = folder / f"{options.model}-{name}-{options.precision}"
    document = _common.tsm_edge(
        "compile", options.model, "--target", name, "--precision", options.precision, "--output", place
    )
    modelled, resources = document["modelled"], document["resources"]
    kernels = [
        {
            "layer": layer["layer"],
            "kernel": layer["kernel"],
            "tile": layer["schedule"],
            **resources[layer["kernel"]],
            "occupancy": model["occupancy"],
            "modelled_us": model["us"],
            "bound": model["bound"],
        }
        for layer, model in zip(document["layers"], modelled["layers"], strict=True)
    ]
    return {
        "sm": facts.sm,
        "ptx_isa": facts.ptx_isa,
        "launches": len(kernels),
        "kernels_assembled": len(resources),
        "registers_most": max(found["registers"] for found in resources.values()),
        "shared_bytes_most": max(found["shared_bytes"] for found in resources.values()),
        "spill_bytes": sum(found["spill_loads"] + found["spill_stores"] for found in resources.values()),
        "modelled_ms": modelled["ms"],
        "between_launches_ms": modelled["launch_ms"],
        "roofline_ms": modelled["floor_ms"],
        "paper_ms": PAPER_MS.get(facts.sm) if options.model == MODEL else None,
        "bundle_bytes": sum(entry["bytes"] for entry in document["manifest"]["files"].values()),
        "libraries": libraries(place),
        "launched": kernels,
    }


def libraries(place: Path) -> list[str] | None:
    """The shared libraries that a bundle's files ask for by name; None without binutils."""
    if shutil.which("readelf") is None:
        return None
    command = ["readelf", "-d", place / "libtsm.so", place / "tsm-edge-run"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted({line.partition("[")[2].rstrip("]") for line in lines if "(NEEDED)" in line})


def show(document: dict[str, Any]) -> None:
    """A line a target."""
    print(
        f"{document['model']}, {document['precision']}; latency is modelled, not measured; {document['gpu']}"
    )
    print(f"{'target':18} sm  launches  registers  shared  spills  modelled ms  roofline ms  bundle MiB")
    for name, entry in document["targets"].items():
        print(
            f"{name:18} {entry['sm']} {entry['launches']:9} {entry['registers_most']:10} "
            f"{entry['shared_bytes_most']:7} {entry['spill_bytes']:7} {entry['modelled_ms']:12.2f} "
            f"{entry['roofline_ms']:12.2f} {entry['bundle_bytes'] / 2**20:11.2f}"
        )


if __name__ == "__main__":
    arguments = _common.parser((__doc__ or "").partition("\n")[0])
    arguments.add_argument("--model", default=MODEL)
    arguments.add_argument("--precision", choices=("fp16", "fp32"), default="fp16")
    _common.main(arguments.parse_args(), measure, show)
