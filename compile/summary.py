"""The summary that `tsm-edge compile` prints, as text or JSON."""

from __future__ import annotations

import platform
import textwrap
from collections import Counter
from ctypes.util import find_library
from dataclasses import asdict
from pathlib import Path

from tsm_edge import report
from tsm_edge.bundle.manifest import Manifest
from tsm_edge.terminal import say

from .lowering.lower import GENERIC
from .pipeline import Compiled
from .precision import CHOICE

#: the library that a GPU's driver is found by
DRIVERS = {"cuda": "cuda", "opencl": "OpenCL"}


def document(compiled: Compiled) -> dict[str, object]:
    """The summary as data."""
    plan = compiled.planned.plan
    return {
        "bundle": str(compiled.folder),
        "manifest": compiled.manifest.to_json(),
        "calls": len(plan.ops),
        "copies": copies(compiled),
        "seconds": {phase: round(seconds, 3) for phase, seconds in compiled.seconds.items()},
        "layers": [
            {
                "layer": op.layer,
                "kernel": op.symbol,
                "schedule": op.schedule,
                "macs": op.macs,
                "bytes": plan.traffic(op),
            }
            for op in plan.ops
        ],
        "generic": compiled.generic_layers(),
        "resources": {kernel: asdict(found) for kernel, found in compiled.code.resources.items()},
        "modelled": compiled.modelled and compiled.modelled.document(),
    }


def show(compiled: Compiled, origin: Path | None, as_json: bool) -> None:
    """Print the summary, as data or as text; origin: the checkpoint or ONNX file, which `verify` wants again."""
    if as_json:
        report.print_json(document(compiled))
    else:
        show_text(compiled, origin)


def show_text(compiled: Compiled, origin: Path | None) -> None:
    """Print the summary as a person reads it."""
    manifest, plan = compiled.manifest, compiled.planned.plan
    target = manifest.target
    report.print_facts(
        {
            "bundle": compiled.folder,
            "model": f"{manifest.model.name}, {len(manifest.labels)} classes, {plan.macs / 1e6:.1f} M MACs a "
            f"{'window' if manifest.model.form == 'clip' else 'frame'}",
            "weights": manifest.model.weights.note,
            "target": f"{target.name} ({target.arch}{', ' + ' '.join(target.requires) if target.requires else ''})",
            "needs": f"glibc {target.glibc} or newer" if target.libc == "glibc" else "no C library (static)",
            "memory": f"arena {report.kib(plan.arena_bytes)}, states {report.kib(plan.state_bytes)} "
            f"({len(manifest.signature.states)}), weights {report.kib(plan.weights_bytes)}",
            "kernels": f"{f'{plan.launches} launches' if manifest.device else f'{len(plan.ops)} calls'} of "
            f"{len(compiled.planned.kernels)} kernels, {copies(compiled) or 'none'} to shift",
            "precision": precision_fact(compiled.manifest),
            "chosen": compiled.manifest.compiler[CHOICE],
            **delay_facts(manifest),
            **device_facts(compiled),
            **({"modelled": compiled.modelled.text} if compiled.modelled else {}),
            "time": f"{sum(compiled.seconds.values()):.1f} s",
        }
    )
    say()
    report.print_table(
        ("file", "size"), [(name, report.kib(entry.bytes)) for name, entry in manifest.files.items()]
    )
    say()
    report.print_table(("schedule", "layers", "MMACs"), schedule_rows(compiled))
    say()
    for schedule, layers in layers_of(compiled).items():
        text = f"{schedule}: {', '.join(layers)}"
        for line in textwrap.wrap(
            text, 110, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        ):
            say(line)
    generic = compiled.generic_layers()
    if generic:
        say(err=True)
        say(
            f"warning: no schedule takes {len(generic)} operations; they run as plain loops: "
            f"{', '.join(sorted(set(generic)))}",
            err=True,
        )
    say()
    again = report.shell(" --weights {}", origin) if origin else ""
    if can_be_run(manifest):
        report.print_next(report.shell("tsm-edge verify {}", compiled.folder) + again)
    else:
        report.print_next("tsm-edge inspect {}", compiled.folder)


def can_be_run(manifest: Manifest) -> bool:
    """Whether `verify` may work here: a processor has its emulator, a GPU needs its driver."""
    device = manifest.device
    if device is None:
        return True
    return manifest.target.arch == platform.machine() and find_library(DRIVERS[device.api]) is not None


def copies(compiled: Compiled) -> int:
    """Number of kernels that only shift: copies of states that no epilogue writes, and moves between frames."""
    plan = compiled.planned.plan
    return sum(
        op.schedule.startswith(("join_", "frame_join_", "frame_shift_"))
        or (op.schedule.startswith("copy_") and plan.tensor(op.writes[0]).memory == "state_out")
        for op in plan.ops
    )


def precision_fact(manifest: Manifest) -> str:
    """The types of storage and arithmetic, as text."""
    if manifest.half_sums:
        return "float16; mean over the image and classifier float32"
    if manifest.device is not None or manifest.precision == "float16":
        return f"{manifest.precision}, sums in float32"
    inside = manifest.model.float_layers
    return f"{manifest.precision}; in {inside}" if inside else manifest.precision


def delay_facts(manifest: Manifest) -> dict[str, str]:
    """The lag of a network that reads future frames, or what the first answers of one that keeps features lack."""
    late, how = manifest.model.delay_frames, manifest.preprocess
    before = manifest.model.seen_frames - 1
    if before and how is not None:
        span = f"{before / how.rate_fps:.1f} s at {how.rate_fps:g} frames a second"
        return {
            "answers": f"one a frame, from it and the {before} before it ({span}); to the first {before}, what has not "
            "come yet is zeros"
        }
    if not late or how is None:
        return {}
    seconds = f"{late / how.rate_fps:.1f} s at {how.rate_fps:g} frames a second"
    info = manifest.model
    if info.form == "clip":
        again = f"then one every {info.window_stride} frames"
        return {
            "delay": f"first answer after {info.clip_frames} frames, {seconds} later than the first; {again}"
        }
    return {"delay": f"{late} frames, {seconds}: the network looks into the future"}


def device_facts(compiled: Compiled) -> dict[str, str]:
    """Facts of a GPU bundle: precision, requirements of a device, resources of the assembled kernels."""
    device, resources = compiled.manifest.device, compiled.code.resources
    facts = {}
    if device is not None:
        driver = f"{device.driver_cuda // 1000}.{device.driver_cuda % 1000 // 10}"
        isa, sm = f"{device.ptx_isa / 10:.1f}", f"{device.compute_capability / 10:.1f}"
        required = (
            f"compute capability {sm}, a driver of CUDA {driver} (PTX ISA {isa})" if device.ptx_isa else "1.2"
        )
        facts["device"] = (
            f"{device.api} {required}, groups of {device.group_threads}, {report.kib(device.shared_bytes)} shared"
        )
    if resources:
        spilled = {name: found.spill_loads for name, found in resources.items() if found.spill_loads}
        facts["assembled"] = (
            f"{len(resources)} kernels, at most {max(found.registers for found in resources.values())} registers, "
            + (
                f"spills: {', '.join(f'{name} {size} B' for name, size in spilled.items())}"
                if spilled
                else "no spills"
            )
        )
    return facts


def layers_of(compiled: Compiled) -> dict[str, list[str]]:
    """The layers that each schedule took, in the order of the step."""
    taken: dict[str, list[str]] = {}
    for op in compiled.planned.plan.ops:
        taken.setdefault(op.schedule.partition(":")[0], []).append(op.layer)
    return dict(sorted(taken.items()))


def schedule_rows(compiled: Compiled) -> list[tuple[str, int, float]]:
    """Per schedule: operations and millions of multiply-accumulates."""
    layers: Counter[str] = Counter()
    macs: Counter[str] = Counter()
    for op in compiled.planned.plan.ops:
        name = op.schedule.partition(":")[0]
        layers[name] += 1
        macs[name] += op.macs
    return [
        (name, layers[name], round(macs[name] / 1e6, 2))
        for name in sorted(layers, key=lambda n: (n == GENERIC, n))
    ]
