"""``tsm-edge models``: the networks that come with tsm-edge."""

from __future__ import annotations

import click

from .. import models as models_
from ..models import clips
from ..report import kib, print_facts, print_json, print_next, print_table
from ..terminal import say


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables.")
def models(name: str | None, as_json: bool) -> None:
    """List the models, or show the model NAME with its signature and labels.

    The first table has the networks that run frame by frame, the second those that take whole clips, whose
    multiply-accumulates are of a clip.
    """
    if name is not None:
        _show(models_.named(name), as_json)
        return
    streams = [models_.load(each) for each in (*models_.names(), *models_.shipped())]
    family = [clips.load(each) for each in clips.names()]
    if as_json:
        print_json({"models": [*map(_summary, streams), *map(_summary, family)]})
        return
    print_table(
        ("MODEL", "INPUT", "CLASSES", "WEIGHTS", "MACS/FRAME", "STATES", "NETWORK"),
        [
            (*_counts(model), f"{len(model.signature.states)}, {kib(model.signature.state_bytes)}", model.summary)
            for model in streams
        ],
    )
    say("")
    print_table(
        ("MODEL OF CLIPS", "INPUT", "CLASSES", "WEIGHTS", "MACS/CLIP", "FRAMES", "NETWORK"),
        [(*_counts(model), model.frames, model.summary) for model in family],
    )
    print_next(f"tsm-edge compile {streams[0].name} --target local")


def _counts(model: models_.Model | clips.ClipModel) -> tuple[str | int, ...]:
    """Name, input, classes, parameters and multiply-accumulates."""
    return (
        model.name,
        "x".join(str(extent) for extent in model.signature.inputs[0].shape[2:]),
        model.signature.outputs[0].size,
        f"{model.parameters_count / 1e6:.2f} M",
        f"{model.macs / 1e9:.3f} G",
    )


def _show(model: models_.Model | clips.ClipModel, as_json: bool) -> None:
    if as_json:
        print_json({"model": _summary(model)})
        return
    clip = isinstance(model, clips.ClipModel)
    print_facts(
        {
            "name": model.name,
            "network": model.summary,
            **model.parameters,
            "weights": model.parameters_count,
            f"macs a {'clip' if clip else 'frame'}": model.macs,
            "preprocess": model.preprocess,
            "inputs": ", ".join(f"{tensor.name} {list(tensor.shape)}" for tensor in model.signature.inputs),
            "outputs": ", ".join(f"{tensor.name} {list(tensor.shape)}" for tensor in model.signature.outputs),
            "states": ", ".join(
                f"{pair.input.name} {list(pair.input.shape)}" for pair in model.signature.states
            )
            or "none",
            "labels": ", ".join(model.labels),
        }
    )
    print_next(f"tsm-edge compile {model.name} --target local")


def _summary(model: models_.Model | clips.ClipModel) -> dict[str, object]:
    return {
        "name": model.name,
        "summary": model.summary,
        "form": "clip" if isinstance(model, clips.ClipModel) else "stream",
        "parameters": dict(model.parameters),
        "parameters_count": model.parameters_count,
        "macs": model.macs,
        "labels": list(model.labels),
        "preprocess": model.preprocess.to_json(),
        "signature": model.signature.to_json(),
    }
