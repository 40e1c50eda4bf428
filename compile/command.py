"""`tsm-edge compile`: from a model's name or an ONNX file to a bundle, with progress and a summary."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from tsm_edge import bundle, models, target
from tsm_edge.commands.form_options import form_options
from tsm_edge.commands.model_options import model_options
from tsm_edge.errors import UsageError
from tsm_edge.files import atomic, temporaries
from tsm_edge.terminal import say

from .frontend import calibration_options, picture_options
from .frontend.source import Source
from .ir.dtype import PRECISIONS

#: copies of the weights in the folder for temporary files: the blob, an object, the library, the program
_COPIES = 4
_LEAST_BYTES = 4 << 20  # of a bundle without its weights, roughly


def state_pair(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
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
    type=click.Choice(sorted(PRECISIONS)),
    help="What numbers are stored in; a CPU with half-precision arithmetic computes in fp16, too.  "
    "[default: int8 for a quantised file where the target has it; fp16 on a GPU, and on a CPU with that arithmetic "
    "if a trial finds little lost; else fp32]",
)
@form_options
@calibration_options.add
@click.option(
    "--cc", metavar="COMMAND", help="C compiler of the target with its options, for an Android NDK."
)
@click.option("--threads", type=click.IntRange(1, 64), help="Threads that the bundle is compiled for, its default.")
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
    backend: str | None,
    precision: str | None,
    cc: str | None,
    threads: int | None,
    output: Path | None,
    dump: Path | None,
    autotune: Path | None,
    records: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Build a bundle from MODEL for a target.

    MODEL is a name from `tsm-edge models` or an .onnx file. Without --weights a model of the zoo gets its shipped
    weights, or seeded random ones where it has none; the summary says which.
    """
    if model is None:
        raise no_model(target_name)
    device = device_of(target_name, backend)
    calibration = {name: options.pop(name) for name in calibration_options.NAMES}
    source = Source.of(model, options)
    source.check()
    described = None if source.is_file else source.described()
    compiler = words(cc)
    folder = output or Path(f"{described[0].name if described else Path(model).stem}-{device.name}")
    check_surroundings(folder, dump, device, compiler, source.file)
    # torch and TVM load here, after the cheap checks
    from . import backends, pipeline, quantize, summary
    from .frontend import calibration_data
    from .precision import precision_of, tries_half
    from .tune.autotune import Tuning

    precision_of(device, precision)
    given = calibration_data.CalibrationOptions(**calibration).with_shipped(precision, source.shipped_ranges)
    given.check(precision, source.is_file)
    network = source.network(described)
    found = quantize.preferred(precision, network.given, backends.of(device).precisions(device))
    for note in (*network.notes, *quantize.told(found, network.given)):
        say(note, err=True)
    with progress(len(pipeline.PHASES) + (found == "int8") + tries_half(device, found)) as advance:
        compiled = pipeline.compile(
            network,
            device,
            output or Path(f"{network.info.name}-{device.name}"),  # a file may say its name itself
            precision=precision,
            threads=threads,
            cc=compiler,
            dump=dump,
            tuning=Tuning(records, autotune, lambda text: say(text, err=True)),
            ranges=given.of(network, lambda text: say(text, err=True)),
            exclude=given.exclude,
            mix=given.mix,
            progress=advance,
        )
    summary.show(compiled, source.file, as_json)


def device_of(name: str, backend: str | None) -> target.EdgeTarget:
    """The target; with --backend cpu the processor of a GPU target."""
    device = target.load(name)
    return target.load(device.fallback) if backend == "cpu" and device.fallback else device


def no_model(target_name: str) -> UsageError:
    """The error for a command line that names no model."""
    trained, plain = models.shipped(), models.names()
    return UsageError(
        "Which model is to be compiled?",
        found="no MODEL",
        allowed=f"{', '.join(trained)} (trained); {', '.join(plain)} (with --weights FILE); a network of clips, see "
        "tsm-edge models; a path of an .onnx file",
        hint=f"tsm-edge compile {trained[0] if trained else plain[0]} --target {target_name}",
    )


def check_surroundings(
    output: Path, dump: Path | None, device: target.EdgeTarget, cc: list[str], weights: Path | None
) -> None:
    """Check before the minute of work that folders can be written and that the C compiler works.

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


@contextmanager
def progress(phases: int) -> Iterator[Callable[[str, float], None]]:
    """A callback (phase, seconds): a bar on a terminal, a line a phase elsewhere; both on stderr."""
    stream = sys.stderr
    if not stream.isatty():
        yield lambda phase, seconds: say(f"{phase:10} {seconds:6.2f} s", err=True)
        return
    with click.progressbar(
        length=phases, label="compile", file=stream, show_eta=False, item_show_func=lambda phase: phase or ""
    ) as bar:
        yield lambda phase, seconds: bar.update(1, f"{phase} {seconds:.1f} s")
