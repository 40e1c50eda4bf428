"""`tsm-edge compile`: from a model's name or an ONNX file to a bundle, with progress and a summary."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from tsm_edge import report, target
from tsm_edge.errors import UsageError
from tsm_edge.models import read_labels

DEFAULT_MODEL = "tsm-mobilenetv2"


def state_pair(context: Any, parameter: Any, values: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Parse INPUT:OUTPUT."""
    pairs = []
    for value in values:
        source, colon, result = value.rpartition(":")
        if not (source and colon and result):
            raise UsageError("--state needs two names.", found=value, allowed="INPUT:OUTPUT")
        pairs.append((source, result))
    return tuple(pairs)


FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("model", default=DEFAULT_MODEL)
@click.option("--target", "target_name", required=True, metavar="NAME", help="Device to build for; see `tsm-edge targets`.")
@click.option("--weights", type=FILE, help="Checkpoint with trained weights (.pt, .pth, .pth.tar, .safetensors).")
@click.option("--labels", type=FILE, help="Text file with one label a line.")
@click.option("--classes", type=click.IntRange(1), help="Number of classes.")
@click.option("--width", type=float, help="Factor on the channels of tsm-mobilenetv2.")
@click.option("--size", type=int, help="Height and width of the input in pixels.")
@click.option("--state", "states", multiple=True, callback=state_pair, metavar="IN:OUT",
              help="State of an ONNX file: the input and the output that becomes it. Repeat for each.")
@click.option("--threads", type=click.IntRange(1, 64), help="Default number of threads of the bundle.")
@click.option("--output", type=click.Path(path_type=Path), help="Bundle folder to write [default: <model>-<target>].")
@click.option("--dump", type=click.Path(path_type=Path, file_okay=False), help="Folder for what each phase leaves.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of the summary.")
def compile(model: str, target_name: str, weights: Path | None, labels: Path | None, classes: int | None,
            width: float | None, size: int | None, states: tuple[tuple[str, str], ...], threads: int | None,
            output: Path | None, dump: Path | None, as_json: bool) -> None:
    """Build a bundle from MODEL for a target.

    MODEL is a name from `tsm-edge models` or an .onnx file. Without --weights a model of the zoo gets its shipped weights,
    or seeded random ones where it has none; the summary says which.
    """
    device = target.load(target_name)
    from . import networks, pipeline, summary  # torch and TVM load here, after the cheap checks

    pipeline.backend_of(device)
    names = tuple(read_labels(labels)) if labels else None
    choice = networks.Choice(model, weights, width, size, classes, names, states)
    with progress(len(pipeline.PHASES)) as advance:
        network = networks.network(choice)
        folder = output or Path(f"{network.info.name}-{device.name}")
        compiled = pipeline.compile(network, device, folder, threads=threads, dump=dump, progress=advance)
    if as_json:
        report.print_json(summary.document(compiled))
    else:
        summary.show(compiled)


@contextmanager
def progress(phases: int) -> Iterator[Any]:
    """A callback (phase, seconds): a bar on a terminal, a line a phase elsewhere; both on stderr."""
    stream = click.get_text_stream("stderr")
    if not stream.isatty():
        yield lambda phase, seconds: click.echo(f"{phase:10} {seconds:6.2f} s", err=True)
        return
    with click.progressbar(length=phases, label="compile", file=stream, show_eta=False,
                           item_show_func=lambda phase: phase or "") as bar:
        yield lambda phase, seconds: bar.update(1, f"{phase} {seconds:.1f} s")
