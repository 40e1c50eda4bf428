"""``tsm-edge convert``: a checkpoint of MIT's repository, mmaction2 or torchvision as a file of weights of ours."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import UsageError, VerificationError
from ..models import DIRECTIONS, read_labels
from ..options import FiniteRange, NamedPath
from ..records import record_of
from ..report import kib, print_facts, print_json, print_next
from .form_options import usage_errors
from .model_options import averaged_option

if TYPE_CHECKING:
    from ..weights.convert import Agreement, Converted
    from ..weights.convert_clips import ConvertedClips

#: of clip form and steps, relative to the largest score; sums in another order stay a hundred times below
TOLERANCE = 1e-3


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=NamedPath(dir_okay=False), required=True, help="File of weights (.safetensors) to write."
)
@click.option("--model", help="Network of the checkpoint.  [default: the one whose keys it has]")
@click.option("--direction", type=click.Choice(DIRECTIONS), help="Its shift, where the file does not say.")
@click.option(
    "--as-online", is_flag=True, help="Re-order a bi-directional network for the online shift, as a start."
)
@click.option(
    "--shift-div",
    type=click.IntRange(1, 1024),
    help="One channel in so many moves each way.  [default: as the file's name says, or 8]",
)
@averaged_option
@click.option("--labels", type=NamedPath(), help="Text file with the name of one class a line.")
@click.option(
    "--label-order",
    "order",
    type=click.Choice(("mit", "official")),
    help="Of Jester's 27 classes: sorted by name as in MIT's repository, or as in the official list that mmaction2 "
    "keeps.  [default: as the checkpoint's program]",
)
@click.option("--width", type=float, help="Factor on the channels.  [default: the one that fits]")
@click.option("--size", type=int, help="Height and width of the input in pixels.  [default: 224]")
@click.option(
    "--rate", "rate_fps", type=FiniteRange(0.1, 1000), help="Frames a second it was trained at.  [default: 12]"
)
@click.option("--half", is_flag=True, help="Write the weights as float16, half the size.")
@click.option("--verify", is_flag=True, help="Run a clip through the clip form and frame by frame, and compare.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
def convert(
    checkpoint: Path, output: Path, half: bool, verify: bool, as_json: bool, labels: Path | None, **options: object
) -> None:
    """Find out what CHECKPOINT is and write its weights with network, shift, labels and preprocessing.

    `compile`, `export`, `train --init` and `eval` need no more than the written file.
    """
    from ..files import atomic

    atomic.check_file(output)
    with usage_errors():
        names = read_labels(labels) if labels else None
    from ..weights import convert as conversion  # torch loads here, after the cheap checks
    from ..weights.asked import Asked
    from ..weights.writing import save_tensors

    with usage_errors():
        done = conversion.convert(checkpoint, record_of(Asked, {**options, "labels": names}))
    if verify and not isinstance(done, conversion.Converted):
        raise UsageError(
            "A network of whole clips has one form, and nothing to compare it with.",
            found=done.model.name,
            hint="leave --verify out; tsm-edge verify compares the bundle with PyTorch",
        )
    agreed = conversion.agreement(done) if verify and isinstance(done, conversion.Converted) else None
    if agreed is not None and not agreed.difference <= TOLERANCE:
        raise VerificationError(
            f"The {agreed.forms} of '{checkpoint}' differ.",
            found=f"{agreed.difference:.1e} relative",
            allowed=f"{TOLERANCE:.0e}",
            hint="nothing was written; report it with the output of `tsm-edge convert` without --verify",
        )
    save_tensors(output, done.tensors, done.meta(checkpoint.name), half=half)
    if as_json:
        print_json({"file": str(output), "bytes": output.stat().st_size, **_document(done), **_checked(agreed)})
        return
    _show(done, agreed, output)


def _checked(agreed: Agreement | None) -> dict[str, object]:
    return {"verify": asdict(agreed)} if agreed is not None else {}


def _document(done: Converted | ConvertedClips) -> dict[str, object]:
    return {
        "source": asdict(done.source),
        "model": done.model.name,
        "parameters": dict(done.model.parameters),
        "shift": asdict(done.shift),
        "labels": list(done.model.labels),
        "preprocess": done.preprocess.to_json(),
        "why": dict(done.why),
        "notes": list(done.notes),
        "sha256": done.sha256,
    }


def _show(done: Converted | ConvertedClips, agreed: Agreement | None, output: Path) -> None:
    from ..weights.checkpoints import words_of

    model, pictures = done.model, done.preprocess
    parameters = ", ".join(f"{key} {value}" for key, value in model.parameters.items())
    shown = ", ".join(model.labels[:3]) + (" …" if len(model.labels) > 3 else "")
    facts: dict[str, object] = {
        "checkpoint": f"{done.source}; weights in {done.where}, {len(done.tensors)} tensors, all mapped",
        "network": f"{model.name}, {parameters}",
        "shift": f"{words_of(done.shift)} (by {done.why['shift']})",
        "labels": f"{shown} ({done.why['labels']})",
        "pictures": f"short side to {pictures.resize[0]}, centre {pictures.crop[0]}, {pictures.color}, mean "
        f"{_numbers(pictures.mean)}, std {_numbers(pictures.std)} (by {done.why['pictures']})",
        "rate": f"{pictures.rate_fps:g} frames a second ({done.why['rate']})",
        "clip": f"there: {done.source.average}",
        "file": f"{output} ({kib(output.stat().st_size)})",
    }
    if done.notes:
        facts["notes"] = "; ".join(done.notes)
    if agreed is not None:
        late = f", {agreed.delay} frames late" if agreed.delay else ""
        facts["verify"] = f"{agreed.forms}{late}: {agreed.difference:.1e} relative on {agreed.frames} frames"
    print_facts(facts)
    print_next(f"tsm-edge compile {model.name} --target local --weights {{}}", output)


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.3f}" for value in values)
