"""``tsm-edge bench``: time a bundle on this machine, beside other runtimes where asked, checking every output."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .. import report
from ..errors import UsageError
from ..files import atomic
from ..models import clips as clip_models
from ..terminal import say

if TYPE_CHECKING:
    from ..bench.session import Results
    from ..bundle.manifest import Manifest

_FILE = click.Path(path_type=Path, dir_okay=False)


def peer_list(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    """Parse a,b,c; a name that comes twice counts once."""
    return tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--threads", type=click.IntRange(1, 64), help="Threads of every runtime.  [default: the bundle's]"
)
@click.option(
    "--per-op", is_flag=True, help="Show the time of every operation, and percent of the machine's peak."
)
@click.option(
    "--against",
    default="",
    callback=peer_list,
    metavar="A,B",
    help="Runtimes to compare with: onnxruntime, openvino, ncnn, torch.",
)
@click.option(
    "--weights", type=_FILE, help="Checkpoint or ONNX file the bundle was compiled from, for --against."
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="CLIPS",
    help="Show top-1 of every runtime on these clips: store, folder of label folders, or annotation file.",
)
@click.option(
    "--boxes", type=_FILE, help="Regions that a network of regions looks at, as for verify."
)
@click.option("--clips", type=click.IntRange(1), help="Only so many of them, spread over the data.")
@click.option("--min-runs", type=int, default=50, show_default=True, help="Least number of timed steps.")
@click.option("--min-secs", type=float, default=2.0, show_default=True, help="Least time of measuring.")
@click.option("--max-secs", type=float, default=60.0, show_default=True, help="Stop after this time anyway.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables.")
@click.option("--plot", type=_FILE, help="Write a roofline picture with a dot for every operation (.png).")
def bench(
    bundle: Path,
    threads: int | None,
    per_op: bool,
    against: tuple[str, ...],
    weights: Path | None,
    data: Path | None,
    boxes: Path | None,
    clips: int | None,
    min_runs: int,
    min_secs: float,
    max_secs: float,
    as_json: bool,
    plot: Path | None,
) -> None:
    """Time the steps of BUNDLE on this machine.

    All runtimes get the same frames in turns and in one process; their scores and states are compared all the while,
    and no time is printed when they differ (exit code 3). Without --against the bundle is compared with a second run
    of itself. Each runtime computes in the bundle's precision where it has that, or the report says why not.
    """
    from ..bench import session, stop, summary

    rule = stop.StopRule(min_runs, min_secs, max_secs)
    _check_plot(plot)
    _check_data(data, clips)
    results = session.measure(
        bundle,
        rule,
        threads=threads,
        against=against,
        weights=weights,
        operations=per_op or plot is not None,
        data=data,
        count=clips,
        boxes=boxes,
        say=lambda text: say(text, err=True),
    )
    if plot is not None:
        _plot(plot, results)
    if as_json:
        report.print_json(summary.document(results))
        return
    summary.show(results, per_op=per_op)
    manifest = results.manifest
    report.print_next(_next(bundle, bool(against), manifest.preprocess is not None, _peers(manifest)))


def _peers(manifest: Manifest) -> list[str]:
    """The peers that can run the network of a bundle: those that read ONNX files, and for a zoo model all."""
    from ..bench import peers

    stream = manifest.model.source == "zoo" and manifest.model.name not in clip_models.names()
    return peers.names() if stream else [name for name in peers.names() if name in ("onnxruntime", "openvino")]


def _next(bundle: Path, compared: bool, takes_pictures: bool, known: list[str]) -> str:
    if not compared:
        return report.shell("tsm-edge bench {} --against {}", bundle, ",".join(known))
    return report.shell(
        "tsm-edge demo --bundle {}" if takes_pictures else "tsm-edge inspect {} --plan", bundle
    )


def _check_plot(plot: Path | None) -> None:
    """Refuse a picture that could not be written before minutes are spent on it."""
    if plot is None:
        return
    if plot.suffix.lower() != ".png":
        raise UsageError("--plot writes a PNG.", found=plot, allowed="a name that ends in .png")
    atomic.check_file(plot)


def _check_data(data: Path | None, clips: int | None) -> None:
    """Refuse what cannot be meant before anything is opened."""
    if clips is not None and data is None:
        raise UsageError("--clips says how many clips of --data.", found="no --data")
    if data is not None and not data.exists():
        raise UsageError(f"'{data}' does not exist.", hint="tsm-edge synth --split test --out CLIPS renders some")


def _plot(path: Path, results: Results) -> None:
    from ..bench import roofline, summary

    manifest, total = results.manifest, sum(op.ns for op in results.ops)
    what = f"{manifest.model.name} for {manifest.target.name}, {summary.threads(results.threads)}"
    title = f"{what}: {total / 1e6:.2f} ms a step"
    assert results.ceiling is not None
    roofline.write(path, roofline.draw(results.ops, results.ceiling, title))
    say(f"wrote {path}", err=True)
