"""`tsm-edge compile`: from a model's name or an ONNX file to a bundle, with progress and a summary."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from tsm_edge import bundle, models, report, target
from tsm_edge.commands.form_options import NAMES, Asked, form_options
from tsm_edge.commands.model_options import check_direction, model_from, model_options
from tsm_edge.errors import UsageError
from tsm_edge.files import atomic, temporaries
from tsm_edge.models import read_labels
from tsm_edge.terminal import say

from .frontend import calibration_options, picture_options

#: of the weights in the folder for temporary files: as they are, as an object, in the library, in the program
_COPIES = 4
_LEAST_BYTES = 4 << 20  # of a bundle without its weights, roughly


def state_pair(context: Any, parameter: Any, values: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Parse INPUT:OUTPUT."""
    pairs = []
    for value in values:
        # names of TensorFlow hold colons themselves: a:0=b:0
        source, found, result = value.partition("=" if "=" in value else ":")
        if not (source and found and result) or ("=" not in value and ":" in result):
            raise UsageError("--state needs two names.", found=value, allowed="INPUT:OUTPUT or INPUT=OUTPUT")
        pairs.append((source, result))
    return tuple(pairs)


@click.command()
@click.argument("model", required=False)
@click.option(
    "--target",
    "target_name",
    required=True,
    metavar="NAME",
    help="Device to build for; see `tsm-edge targets`.",
)
@model_options
@click.option(
    "--state",
    "states",
    multiple=True,
    callback=state_pair,
    metavar="IN:OUT",
    help="State of an ONNX file: the input and the output that becomes it. Repeat for each.",
)
@picture_options.add
@click.option(
    "--backend",
    type=click.Choice(["cpu"]),
    help="cpu: build for the processor of a GPU target, its fallback.",
)
@click.option(
    "--precision",
    type=click.Choice(["fp16", "fp32", "int8"]),
    help="What numbers are stored in; a CPU with half-precision arithmetic computes in it, too.  "
    "[default: fp16 on a GPU, fp32 on a CPU]",
)
@form_options
@calibration_options.add
@click.option(
    "--cc", metavar="COMMAND", help="C compiler of the target with its options, for an Android NDK."
)
@click.option("--threads", type=click.IntRange(1, 64), help="Default number of threads of the bundle.")
@click.option(
    "--output", type=click.Path(path_type=Path), help="Bundle folder to write.  [default: <model>-<target>]"
)
@click.option(
    "--dump", type=click.Path(path_type=Path, file_okay=False), help="Folder for what each phase leaves."
)
@click.option(
    "--autotune",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Measure every kernel's candidates on this machine, use the fastest, and write them to FILE. Takes minutes.",
)
@click.option(
    "--records",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Use what --autotune wrote for the same target.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of the summary.")
def compile(
    model: str | None,
    target_name: str,
    weights: Path | None,
    averaged: bool | None,
    direction: str | None,
    as_online: bool,
    seed: int,
    states: tuple[tuple[str, str], ...],
    backend: str | None,
    precision: str | None,
    cc: str | None,
    threads: int | None,
    output: Path | None,
    dump: Path | None,
    autotune: Path | None,
    records: Path | None,
    as_json: bool,
    **parameters: Any,
) -> None:
    """Build a bundle from MODEL for a target.

    MODEL is a name from `tsm-edge models` or an .onnx file. Without --weights a model of the zoo gets its shipped
    weights, or seeded random ones where it has none; the summary says which.
    """
    if model is None:
        raise no_model(target_name)
    device = device_of(target_name, backend)
    pictures = {name: parameters.pop(name) for name in picture_options.NAMES}
    calibration = {name: parameters.pop(name) for name in calibration_options.NAMES}
    form = {name: parameters.pop(name) for name in NAMES}
    of_weights = {"ema": averaged, "direction": direction, "as-online": as_online or None}
    refuse_strangers(model, weights, states, {**parameters, **of_weights, **form, "seed": seed}, pictures)
    is_file = model.endswith(".onnx")
    if not is_file:
        described = model_from(model, weights=weights, averaged=averaged, **parameters)
        described, reorder = check_direction(
            described, weights, averaged, direction, as_online, Asked(**form)
        )
    compiler = words(cc)
    folder = output or Path(f"{Path(model).stem if is_file else described.name}-{device.name}")
    check_surroundings(folder, dump, device, compiler, Path(model) if is_file else weights)
    # torch and TVM load here, after the cheap checks
    from . import pipeline, summary
    from .frontend import calibration_data, networks, preprocessing
    from .tune.autotune import Tuning

    pipeline.precision_of(device, precision)
    given = calibration_data.Given(**calibration)
    given.check(precision)
    pipeline.check_ranges(precision, given.source)
    if is_file:
        labels = parameters["labels"] and read_labels(parameters["labels"])
        network = networks.onnx_file(Path(model), states, labels, preprocessing.Given(**pictures))
    else:
        network = networks.zoo(described, weights, seed, averaged, reorder)
    for note in network.notes:
        say(note, err=True)
    folder = output or Path(f"{network.info.name}-{device.name}")  # a file may say its name itself
    with progress(len(pipeline.PHASES) + given.source) as advance:
        compiled = pipeline.compile(
            network,
            device,
            folder,
            precision=precision,
            threads=threads,
            cc=compiler,
            dump=dump,
            tuning=Tuning(records, autotune, lambda text: say(text, err=True)),
            ranges=given.of(network, lambda text: say(text, err=True)),
            progress=advance,
        )
    if as_json:
        report.print_json(summary.document(compiled))
    else:
        summary.show(compiled, Path(model) if is_file else weights)


def device_of(name: str, backend: str | None) -> target.EdgeTarget:
    """The target, or the processor of a GPU target where that is asked for."""
    device = target.load(name)
    return target.load(device.fallback) if backend == "cpu" and device.fallback else device


def no_model(target_name: str) -> UsageError:
    """The error for a command line that names no model."""
    trained, plain = models.shipped(), models.names()
    return UsageError(
        "Which model is to be compiled?",
        found="no MODEL",
        allowed=f"{', '.join(trained)} (trained); {', '.join(plain)} (with --weights FILE); a path of an .onnx file",
        hint=f"tsm-edge compile {trained[0] if trained else plain[0]} --target {target_name}",
    )


def check_surroundings(
    output: Path, dump: Path | None, device: target.EdgeTarget, cc: list[str], weights: Path | None
) -> None:
    """Find a place that cannot be written, or a compiler that does not work, before the minute of work.

    Raises:
        OutputError: of the bundle's folder, the one of --dump, or the one for temporary files.
        ToolMissing, ExtraMissing, CompileError: of the C compiler.
    """
    from .link import toolchain

    size = weights.stat().st_size if weights is not None and weights.is_file() else 0
    bundle.check_output(output, size + _LEAST_BYTES)
    if dump is not None:
        atomic.check_folder(dump)
    temporaries.check(_COPIES * (size + _LEAST_BYTES))
    toolchain.check_compiler(device, cc)
    toolchain.try_compiler(device, cc)


def words(command: str | None) -> list[str]:
    """The words of --cc, as a shell takes them apart."""
    try:
        return shlex.split(command or "")
    except ValueError as error:
        raise UsageError(
            "--cc is no command.", found=command, allowed="a program and its options, quotes in pairs"
        ) from error


def refuse_strangers(
    model: str,
    weights: Path | None,
    states: tuple[tuple[str, str], ...],
    parameters: dict[str, Any],
    pictures: dict[str, Any],
) -> None:
    """Options that the kind of model does not have; nothing is ignored in silence."""
    if parameters.pop("seed") and (weights is not None or model.endswith(".onnx")):
        raise UsageError("--seed is for untrained weights.", found=weights or model, allowed="one of both")
    if not model.endswith(".onnx"):
        if states:
            raise UsageError("--state is for ONNX files; a model of the zoo knows its states.", found=model)
        for option in (name for name, value in pictures.items() if value is not None):
            raise UsageError(
                f"--{option} is for ONNX files; a model of the zoo knows how its pictures are prepared.",
                found=model,
            )
        return
    for option in ("width", "size", "classes", "ema", "direction", "as-online", *NAMES):
        if parameters[option] is not None:
            raise UsageError(
                f"--{option.replace('_', '-')} is for models of the zoo; an ONNX file has its own.",
                found=model,
            )
    if weights is not None:
        raise UsageError("--weights is for models of the zoo; an ONNX file holds its own.", found=model)


@contextmanager
def progress(phases: int) -> Iterator[Any]:
    """A callback (phase, seconds): a bar on a terminal, a line a phase elsewhere; both on stderr."""
    stream = sys.stderr
    if not stream.isatty():
        yield lambda phase, seconds: say(f"{phase:10} {seconds:6.2f} s", err=True)
        return
    with click.progressbar(
        length=phases, label="compile", file=stream, show_eta=False, item_show_func=lambda phase: phase or ""
    ) as bar:
        yield lambda phase, seconds: bar.update(1, f"{phase} {seconds:.1f} s")
