"""``tsm-edge compare``: networks on one target, side by side."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tsm_edge import models, report, target
from tsm_edge.commands.form_options import usage_errors
from tsm_edge.errors import UsageError
from tsm_edge.files import atomic
from tsm_edge.terminal import say

if TYPE_CHECKING:
    from . import rows

_FILE = click.Path(path_type=Path, dir_okay=False)
#: small enough to be compiled and timed in a few minutes
USUAL = ("tsm-resnet50", "tsn-resnet50", "trn-multiscale-resnet50", "eco-full", "i3d-replace")


@click.command()
@click.argument("names", nargs=-1, metavar="[MODEL]...")
@click.option("--target", "target_name", default="local", show_default=True, help="Device to compile for.")
@click.option("--size", type=int, help="Height and width of all inputs in pixels.  [default: 224]")
@click.option(
    "--threads", type=click.IntRange(1, 64), default=1, show_default=True, help="Threads of a decision."
)
@click.option(
    "--steps", type=click.IntRange(1, 10_000), default=10, show_default=True, help="Decisions to time."
)
@click.option("--gestures", type=_FILE, help="JSON file with accuracies on the rendered gestures, by model.")
@click.option(
    "--bundles", type=click.Path(path_type=Path, file_okay=False), help="Keep the bundles in this folder."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of a table.")
@click.option("--plot", type=_FILE, help="Write accuracy over GMAC and over the time of a decision (.png).")
def compare(
    names: tuple[str, ...],
    target_name: str,
    size: int | None,
    threads: int,
    steps: int,
    gestures: Path | None,
    bundles: Path | None,
    as_json: bool,
    plot: Path | None,
) -> None:
    """Compile each MODEL for a target and show what it costs there.

    A decision is a frame for a stream and a clip for a window. Its time is measured on this machine (target local), or
    modelled, and says which. Accuracies on Something-Something V1 are the papers'. Weights are seeded: no time depends
    on them.
    """
    chosen = names or USUAL
    for name in chosen:
        models.check_name(name)
    device = target.load(target_name)
    if plot is not None and plot.suffix.lower() != ".png":
        raise UsageError("--plot writes a PNG.", found=plot, allowed="a name that ends in .png")
    if plot is not None:
        atomic.check_file(plot)
    from . import picture, rows

    asked = rows.Asked(device, size, threads, steps, rows.read_gestures(gestures))
    with usage_errors():
        for name in chosen:
            models.named(name, size)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name in chosen:
            say(f"{name}: compiling for {device.name}", err=True)
            found.append(rows.row(name, asked, bundles or Path(folder), lambda text: say(text, err=True)))
    if plot is not None:
        from tsm_edge.bench.roofline import write

        write(plot, picture.draw(found, f"{device.name}, {threads} thread{'s' * (threads > 1)}"))
        say(f"wrote {plot}", err=True)
    if as_json:
        report.print_json(
            {
                "target": device.name,
                "threads": threads,
                "gestures": asked.gestures.what,
                "models": [row.document() for row in found],
            }
        )
        return
    report.print_table(HEADER, [cells(row) for row in found])
    say(sources(found, asked.gestures.what))
    report.print_next(report.shell("tsm-edge compile {} --target {}", chosen[0], device.name))


HEADER = ("MODEL", "FRAMES", "WEIGHTS", "GMAC", "MS", "FIRST AFTER", "PEAK", "BUNDLE", "SSV1", "GESTURES")


def cells(row: rows.Row) -> tuple[str | int, ...]:
    """A row of the table."""
    star = "" if row.source == "measured" else " *"
    return (
        row.model,
        row.frames,
        f"{row.parameters / 1e6:.2f} M",
        f"{row.macs / 1e9:.2f}",
        "-" if row.decision_ms is None else f"{row.decision_ms:.1f}{star}",
        f"{row.wait_frames + 1} frame{'s' * (row.wait_frames > 0)}",
        report.kib(row.peak_bytes),
        report.kib(row.bundle_bytes),
        "-" if row.published is None else f"{row.published:.1f} %",
        "-" if row.gestures is None else f"{row.gestures:.1f} %",
    )


def sources(found: Sequence[rows.Row], gestures: str) -> str:
    """Where times and accuracies come from. gestures: how those on gestures were measured."""
    lines = [f"{row.model}: {row.published_source}" for row in found if row.published_source]
    if any(row.gestures is not None for row in found):
        lines.append(f"gestures: {gestures}")
    if any(row.source == "modelled" for row in found):
        lines.append("* modelled: nothing was timed")
    return "\n".join(lines)
