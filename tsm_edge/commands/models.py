"""``tsm-edge models``: the networks that come with tsm-edge."""

from __future__ import annotations

import click

from .. import models as models_
from ..report import kib, print_facts, print_json, print_next, print_table


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of a table.")
def models(name: str | None, as_json: bool) -> None:
    """List the models, or show the model NAME with its signature and labels."""
    if name is not None:
        _show(models_.load(name), as_json)
        return
    known = [models_.load(each) for each in (*models_.names(), *models_.shipped())]
    if as_json:
        print_json({"models": [_summary(model) for model in known]})
        return
    rows = [
        (
            model.name,
            "x".join(str(extent) for extent in model.signature.inputs[0].shape[2:]),
            model.signature.outputs[0].size,
            f"{model.parameters_count / 1e6:.2f} M",
            f"{model.macs / 1e9:.3f} G",
            f"{len(model.signature.states)}, {kib(model.signature.state_bytes)}",
            model.summary,
        )
        for model in known
    ]
    print_table(("MODEL", "INPUT", "CLASSES", "WEIGHTS", "MACS/FRAME", "STATES", "NETWORK"), rows)
    print_next(f"tsm-edge compile {known[0].name} --target local")


def _show(model: models_.Model, as_json: bool) -> None:
    if as_json:
        print_json({"model": _summary(model)})
        return
    print_facts(
        {
            "name": model.name,
            "network": model.summary,
            **model.parameters,
            "weights": model.parameters_count,
            "macs a frame": model.macs,
            "preprocess": model.preprocess,
            "inputs": ", ".join(f"{tensor.name} {list(tensor.shape)}" for tensor in model.signature.inputs),
            "outputs": ", ".join(f"{tensor.name} {list(tensor.shape)}" for tensor in model.signature.outputs),
            "states": ", ".join(
                f"{pair.input.name} {list(pair.input.shape)}" for pair in model.signature.states
            ),
            "labels": ", ".join(model.labels),
        }
    )
    print_next(f"tsm-edge compile {model.name} --target local")


def _summary(model: models_.Model) -> dict[str, object]:
    return {
        "name": model.name,
        "summary": model.summary,
        "parameters": dict(model.parameters),
        "parameters_count": model.parameters_count,
        "macs": model.macs,
        "labels": list(model.labels),
        "preprocess": model.preprocess.to_json(),
        "signature": model.signature.to_json(),
    }
