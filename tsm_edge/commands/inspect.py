"""``tsm-edge inspect``: check a bundle's files and show what it holds; nothing of it is loaded."""

from __future__ import annotations

from pathlib import Path

import click

from .. import bundle as bundle_
from ..bundle.manifest import Manifest
from ..errors import BundleError
from ..files import MIB, read_bytes
from ..report import kib, print_facts, print_json, print_next, print_table, run_on_board
from ..terminal import say

_PLAN_LINES, _PLAN_COLUMNS, _PLAN_BYTES = 12, 120, 16 * MIB


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--plan", "whole_plan", is_flag=True, help="Show the whole plan, every kernel call.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
def inspect(bundle: Path, whole_plan: bool, as_json: bool) -> None:
    """Check size and sha256 of every file of BUNDLE and show model, target, states, memory and plan."""
    manifest = bundle_.verify(bundle)
    try:
        bundle_.check_host(manifest)
        runs_here, reason = True, ""
    except BundleError as error:
        runs_here, reason = False, f"{error.what} Found {error.found}; needed {error.allowed}."
    plan = _read_plan(bundle / "plan.txt")
    if as_json:
        host = {"runs_here": runs_here, "reason": reason}
        text = {"plan_text": plan} if whole_plan else {}
        print_json({"bundle": str(bundle), "checked": True, **host, "manifest": manifest.to_json(), **text})
        return
    _print_facts(manifest, "yes" if runs_here else f"no. {reason}")
    _print_memory(manifest)
    _print_states(manifest)
    _print_files(manifest)
    _print_plan(plan, whole_plan)
    # a static bundle runs here as well, but Python has no library to load
    if runs_here and manifest.target.link == "shared":
        print_next("tsm-edge demo --bundle {}", bundle)
    else:
        print_next(run_on_board(bundle))


def _read_plan(path: Path) -> list[str]:
    try:
        return read_bytes(path, _PLAN_BYTES).decode("utf-8", "replace").splitlines()
    except ValueError as error:
        return [f"not shown: {error}"]


def _print_facts(manifest: Manifest, runs_here: str) -> None:
    model, target = manifest.model, manifest.target
    libc = f"glibc {target.glibc} and newer" if target.glibc else f"{target.libc}, {target.link}"
    parameters = ", ".join(f"{key} {value}" for key, value in model.parameters.items())
    print_facts(
        {
            "model": f"{model.name} ({parameters})",
            "weights": f"{model.weights.note} ({model.weights.source})",
            "labels": ", ".join(manifest.labels) or "none",
            **_time(manifest),
            "target": f"{target.name} ({manifest.backend}, {target.arch}, {libc})",
            "requires": ", ".join(target.requires) or "nothing special",
            "precision": manifest.precision,
            **_device(manifest),
            "threads": manifest.threads,
            **_compiler(manifest),
            "runs here": runs_here,
            "files": "whole: every size and sha256 is right",
        }
    )


def _compiler(manifest: Manifest) -> dict[str, str]:
    """Why it has its precision (older bundles do not say), and the versions of what compiled it."""
    versions = dict(manifest.compiler)
    chosen = versions.pop("precision", "")
    return {
        **({"chosen": chosen} if chosen else {}),
        "compiler": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }


def _time(manifest: Manifest) -> dict[str, str]:
    """How often the model steps, and how its scores become decisions."""
    rule = manifest.decision
    names = [manifest.labels[index] if manifest.labels else f"class {index}" for index in rule.idle]
    rate = manifest.preprocess.rate_fps if manifest.preprocess is not None else 0.0
    return {
        "rate": f"{rate:g} frames per second" if rate else "unknown: the network takes no picture",
        "scores": manifest.scores,
        "decision": f"mean of {rule.window} steps, {rule.agree} that agree, "
        f"probability {rule.threshold:g} to leave idle ({', '.join(names) or 'no idle class'})",
    }


def _device(manifest: Manifest) -> dict[str, str]:
    """What the kernels ask of a GPU."""
    device = manifest.device
    if device is None:
        return {}
    names = (("compute capability", device.compute_capability / 10), ("PTX ISA", device.ptx_isa / 10))
    cuda = "".join(f", {name} {value:.1f}" for name, value in names if value)
    return {
        "device": f"{device.api}{cuda}, groups of {device.group_threads}, {kib(device.shared_bytes)} shared"
    }


def _print_memory(manifest: Manifest) -> None:
    plan = manifest.plan
    stream = plan.arena_bytes + 2 * plan.state_bytes + manifest.threads * plan.scratch_bytes
    say("")
    rows = [
        ("weights", kib(plan.weights_bytes), "once, shared by all streams"),
        ("arena", kib(plan.arena_bytes), "activations, in each stream"),
        ("states", kib(2 * plan.state_bytes), "read and written in turn, in each stream"),
        (
            "scratch",
            kib(manifest.threads * plan.scratch_bytes),
            f"{manifest.threads} threads, in each stream",
        ),
        ("one stream", kib(plan.weights_bytes + stream), f"each further one {kib(stream)}"),
    ]
    print_table(("MEMORY", "SIZE", "USE"), rows)


def _print_states(manifest: Manifest) -> None:
    rows = [
        (pair.input.name, list(pair.input.shape), kib(pair.input.nbytes))
        for pair in manifest.signature.states
    ]
    if rows:
        say("")
        print_table(("STATE", "SHAPE (NCHW)", "SIZE"), rows)


def _print_files(manifest: Manifest) -> None:
    say("")
    rows = [(name, entry.bytes, entry.sha256[:16]) for name, entry in manifest.files.items()]
    print_table(("FILE", "BYTES", "SHA256"), rows)


def _print_plan(plan: list[str], whole: bool) -> None:
    say("")
    # the kernel calls say more than the tensors that a plan lists first
    shown = plan if whole else [line for line in plan if not line.startswith("tensor ")][:_PLAN_LINES]
    for line in shown:
        say(line if whole or len(line) <= _PLAN_COLUMNS else line[: _PLAN_COLUMNS - 2] + " …")
    if len(shown) < len(plan):
        say(f"… {len(plan) - len(shown)} more lines: --plan shows them")
