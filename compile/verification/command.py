"""`tsm-edge verify`: proof that a bundle computes what its network computes."""

from __future__ import annotations

from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tsm_edge import boxes as regions
from tsm_edge import bundle, report
from tsm_edge.bundle.manifest import Manifest
from tsm_edge.commands.model_options import averaged_option, check_averaged
from tsm_edge.errors import UsageError, VerificationError
from tsm_edge.terminal import say

if TYPE_CHECKING:
    from .verify import Outcome

#: relative to the largest magnitude of each output. Float32 kernels that sum in another order stay 30 times below;
#: float16 rounds every activation to 11 bits, and fifty layers of that stay 3 times below. 8 bits are compared with
#: float32, of a trained network off by 0.06; exactness is tested against the integer reference.
TOLERANCES = {"float32": 1e-4, "float16": 2e-2, "int8": 0.25}
#: of float16 on a CPU that accumulates in it, too
HALF_SUMS = 4e-2


def tolerance_of(manifest: Manifest) -> float:
    """The default tolerance of a bundle."""
    return HALF_SUMS if manifest.half_sums else TOLERANCES[manifest.precision]


@click.command()
@click.argument("folder", metavar="BUNDLE", type=click.Path(path_type=Path))
@click.option(
    "--frames", type=click.IntRange(1, 4096), default=16, show_default=True, help="Length of the sequence."
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The checkpoint or ONNX file the bundle was compiled from.",
)
@averaged_option
@click.option(
    "--boxes",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Regions that a network of regions looks at: JSON [frames][boxes][4], fractions of the picture.",
)
@click.option(
    "--tolerance",
    type=float,
    help="Largest difference allowed, relative to the largest reference value.  "
    "[default: 1e-4; in float16 2e-2 on a GPU, 4e-2 on a CPU; in int8 0.25]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def verify(
    folder: Path,
    frames: int,
    weights: Path | None,
    averaged: bool | None,
    boxes: Path | None,
    tolerance: float | None,
    as_json: bool,
) -> None:
    """Compare BUNDLE with PyTorch, or an ONNX file's bundle with ONNX Runtime, number by number.

    Runs the bundle over a moving sequence from zero states, here or under an emulator for another CPU, and compares the
    scores and every state of every frame. A network of regions looks at those of --boxes, or at a fixed grid. Exit code
    3 when one of them is off.
    """
    check_averaged(averaged, weights)
    manifest = bundle.verify(folder)
    if averaged is not None and manifest.model.source == "onnx":
        raise UsageError(
            "An ONNX file holds one set of weights.", found="--ema or --no-ema", hint="leave it out"
        )
    tolerance = tolerance_of(manifest) if tolerance is None else tolerance
    if boxes is not None:
        regions.read(boxes, manifest.signature)
    from . import reference
    from . import verify as check

    step = reference.step_of(manifest, weights, averaged)
    outcome = check.compare(folder, manifest, step, frames, boxes)
    wrong = [difference.name for difference in outcome.differences if not difference.within(tolerance)]
    if as_json:
        facts = {"bundle": str(folder), "ok": not wrong, "tolerance": tolerance, "judge": step.judge}
        report.print_json({**facts, **document(outcome)})
    else:
        where = f"{frames} frames on {outcome.where}, judged by {step.judge}"
        say(f"{manifest.model.name} for {manifest.target.name}, {where}")
        show(outcome, tolerance)
    if wrong:
        raise differs(outcome, wrong, tolerance)
    if not as_json:
        report.print_next(
            report.shell("tsm-edge demo --bundle {} --camera 0", folder)
            if outcome.where == "this machine"
            else report.run_on_board(folder)
        )


def document(outcome: Outcome) -> dict[str, object]:
    """The comparison as data; JSON has no infinity: null is a difference without a number."""
    found = asdict(outcome)
    for entry in found["differences"]:
        entry |= {key: None for key in ("absolute", "relative") if not isfinite(entry[key])}
    return found


def show(outcome: Outcome, tolerance: float) -> None:
    """Print a line for each output and state."""
    rows = [
        (
            d.name,
            "x".join(map(str, d.shape)),
            f"{d.absolute:.2e}",
            f"{d.relative:.2e}",
            "ok" if d.within(tolerance) else "OFF",
        )
        for d in outcome.differences
    ]
    report.print_table(("output", "shape", "max difference", "relative", ""), rows)
    say(f"same best class: {outcome.top1} of {outcome.frames} frames")


def differs(outcome: Outcome, wrong: list[str], tolerance: float) -> VerificationError:
    """The error that names the outputs which are off."""
    names = f"{', '.join(wrong[:4])}{' and more' if len(wrong) > 4 else ''}"
    return VerificationError(
        f"The bundle differs from its reference in {names}.",
        found=f"{max(d.relative for d in outcome.differences):.2e} relative",
        allowed=f"{tolerance:.0e}",
        hint="compile it again; if it stays, report it with the bundle's manifest.json",
    )
