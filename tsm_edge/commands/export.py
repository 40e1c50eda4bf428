"""``tsm-edge export``: write a model as ONNX, one frame a step, with its states as inputs and outputs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..files import atomic
from ..report import kib, print_facts, print_json, print_next
from ..terminal import say
from .family_options import network_from
from .form_options import Asked, form_options
from .model_options import NetworkOptions, model_options

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..bundle.manifest import WeightsInfo
    from ..models import Model
    from ..models.clips import ClipModel


@click.command()
@click.argument("model")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write.  [default: MODEL.onnx]")
@model_options
@form_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
def export(
    model: str,
    output: Path | None,
    weights: Path | None,
    averaged: bool | None,
    direction: str | None,
    as_online: bool,
    seed: int,
    as_json: bool,
    form: str | None,
    clip_frames: int | None,
    window_stride: int | None,
    **parameters: Unpack[NetworkOptions],
) -> None:
    """Write MODEL as ONNX with its states.

    The file takes one frame and the caches of the frame before, and returns the scores and the caches for the next
    frame. The caches of a stream start at zero. In the form 'clip', and of a network of clips, it takes all frames of a
    clip. `tsm-edge compile` takes each of these files.
    """
    from ..onnx.file import OPSET, onnx_model, write
    from ..onnx.meta import OnnxMeta

    asked = Asked(form, clip_frames, window_stride)
    network, reorder = network_from(model, weights, averaged, direction, as_online, asked, parameters)
    path = output or Path(f"{network.name}.onnx")
    atomic.check_file(path)

    from ..weights.checkpoints import prepare, sha256  # torch loads here, after the cheap checks

    net, source = prepare(network, weights, seed, averaged, reorder)
    say(f"weights: {source.note}", err=True)
    arrays = {key: tensor.numpy() for key, tensor in net.state_dict().items()}
    size = write(path, onnx_model(network, arrays, OnnxMeta.of(network, source)))
    if as_json:
        written = {"file": str(path), "bytes": size, "sha256": sha256(path), "opset": OPSET}
        print_json({**written, **_facts(network, source)})
        return
    inputs, states, outputs = network.signature.inputs, network.signature.states, network.signature.outputs
    print_facts(
        {
            "file": f"{path} ({kib(size)}, ONNX opset {OPSET})",
            "sha256": sha256(path),
            "model": ", ".join(
                [network.name, *(f"{key} {value}" for key, value in network.parameters.items())]
            ),
            "weights": source.note,
            "inputs": _listed(f"{inputs[0].name} {list(inputs[0].shape)}", [pair.input.name for pair in states]),
            "outputs": _listed(f"{outputs[0].name} {list(outputs[0].shape)}", [pair.output_name for pair in states]),
            "states": f"{len(states)}, {kib(network.signature.state_bytes)}; the file's metadata names the pairs",
        }
    )
    print_next("tsm-edge compile {} --target local", path)


def _listed(first: str, names: list[str]) -> str:
    """The frame or the scores, and the states beside them where there are some."""
    last = [f"{names[0]} … {names[-1]}" if len(names) > 1 else names[0]] if names else []
    return ", ".join([first, *last])


def _facts(network: Model | ClipModel, source: WeightsInfo) -> dict[str, object]:
    return {
        "model": network.name,
        "parameters": dict(network.parameters),
        "weights": asdict(source),
        "labels": list(network.labels),
        "preprocess": network.preprocess.to_json(),
        "signature": network.signature.to_json(),
    }
