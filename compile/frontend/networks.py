"""The networks that can be compiled: a zoo model with its weights, or an ONNX file whose states are named pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tsm_edge import models
from tsm_edge.bundle.manifest import ModelInfo, WeightsInfo
from tsm_edge.decision import DecisionRule
from tsm_edge.errors import EdgeError, ImportFailed, ModelError, UsageError
from tsm_edge.models.clips import ClipModel
from tsm_edge.onnx import external_data
from tsm_edge.onnx.meta import OnnxMeta
from tsm_edge.signature import Signature, StatePair, TensorSpec
from tsm_edge.weights import checkpoints
from tsm_edge.weights.meta import read_meta

from ..ir.graph import Graph
from ..pipeline import Network
from ..quantize.given import Given
from . import importer, onnx_import, preprocessing, tails
from .onnx_import import frontend

if TYPE_CHECKING:
    import torch
    from onnx import ModelProto, ValueInfoProto


def zoo(
    model: models.Model | ClipModel,
    weights: Path | None = None,
    seed: int = 0,
    averaged: bool | None = None,
    reorder: bool = False,
) -> Network:
    """A model of the zoo or of the family with a checkpoint's weights or seeded ones.

    reorder: those of MIT's bi-directional shift.
    """
    net, origin = checkpoints.prepare(model, weights, seed, averaged, reorder)

    info = ModelInfo(model.name, dict(model.parameters), origin, "zoo")
    chosen = _decision(model, weights, origin)
    return Network(info, lambda: traced(net, model), model.labels, model.preprocess, chosen=chosen)


def traced(net: torch.nn.Module, model: models.Model | ClipModel) -> Graph:
    """The graph of a step of a network, before the passes."""
    import torch

    frame = torch.zeros(model.signature.inputs[0].shape)
    step, examples = models.step_module(net), (frame, *model.zero_states())
    return importer.from_torch(step, examples, model.signature, keeps_frames=isinstance(model, ClipModel))


def _decision(model: models.Model | ClipModel, weights: Path | None, origin: WeightsInfo) -> DecisionRule | None:
    """The decision that the weights carry, if they do and the classes are theirs."""
    if weights is None and origin.source == "default" and model.name in models.shipped():
        weights = models.shipped_file(model.name)
    meta = read_meta(weights) if weights is not None else None
    return meta.rule if meta is not None and meta.decision and meta.labels == model.labels else None


def onnx_file(
    path: Path,
    states: Sequence[tuple[str, str]] = (),
    labels: Sequence[str] | None = None,
    pictures: preprocessing.PictureOptions = preprocessing.NOTHING,
) -> Network:
    """An ONNX file; pairs, labels and preprocessing come from the arguments or from the file's own metadata."""
    prepared = read_onnx(path)
    meta = OnnxMeta.from_props(prepared.metadata)
    signature = onnx_signature(prepared.model, states or (meta.states if meta else ()))
    classes = signature.outputs[0].shape[-1]
    names = _labels(labels, meta, classes)
    note = f"from {path.name}" + (f": {meta.weights.note}" if meta else "")
    weights = WeightsInfo("onnx", note, external_data.digest(path))
    info = ModelInfo(meta.model if meta else path.stem, meta.parameters if meta else {}, weights, "onnx")
    decided = preprocessing.decide(signature.inputs[0], pictures, meta.preprocess if meta else None)
    scores = tails.scores_kind(prepared.model, signature.outputs[0].name, prepared.values.known_shape)
    notes = (decided.text, f"scores: {scores}, {tails.WHY[scores]}")
    given, clip = prepared.given, counts_frames(meta)
    return Network(
        info,
        lambda: load_onnx(prepared, signature, clip),
        names,
        decided.preprocess,
        scores,
        (*notes, *lowest_note(given)),
        given=None if given is None else given.ranges,
    )


def lowest_note(given: Given | None) -> tuple[str, ...]:
    """What the 8-bit kernels take otherwise than a quantised file says it."""
    if given is None or not given.lowest:
        return ()
    return (f"in 8 bits {given.lowest} weights of -128 are taken as -127",)


def _labels(given: Sequence[str] | None, meta: OnnxMeta | None, classes: int) -> tuple[str, ...]:
    """Labels from --labels, else from the file's metadata, else "class 0", "class 1" and so on."""
    names = given or (meta.labels if meta else [f"class {index}" for index in range(classes)])
    try:
        return models.checked_labels(names, classes)
    except ModelError as error:
        kind = UsageError if given else ImportFailed
        hint = error.hint if given else "give one label a line with --labels"
        raise kind(error.what, found=error.found, allowed=error.allowed, hint=hint) from error


def read_onnx(path: Path) -> onnx_import.Prepared:
    """Read, check and prepare an ONNX file."""
    import onnx

    if not path.is_file():
        raise ImportFailed(
            f"'{path}' does not exist.", found="no such file", hint="give the path of an .onnx file"
        )
    external_data.files(path)  # its errors have words of their own
    try:
        file = onnx.load(str(path))
        onnx.checker.check_model(file)
    except Exception as error:  # protobuf, checker and I/O errors have no common base
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise ImportFailed(
            f"'{path}' is not a valid ONNX file.",
            found=reason,
            allowed="a checked ONNX model",
            hint="export the network again",
        ) from error
    return onnx_import.prepare(file)


def onnx_signature(file: ModelProto, pairs: Sequence[tuple[str, str]]) -> Signature:
    """The step's signature: `pairs` are the states, the one input and output left are frame and scores."""
    constants = {tensor.name for tensor in file.graph.initializer}
    inputs = {value.name: spec_of(value) for value in file.graph.input if value.name not in constants}
    outputs = {value.name: spec_of(value) for value in file.graph.output}
    states = []
    for source, result in pairs:
        for name, known, side in ((source, inputs, "input"), (result, outputs, "output")):
            if name not in known:
                raise ImportFailed(
                    f"The state pair {source}:{result} names no {side} '{name}'.",
                    found=name,
                    allowed=", ".join(known),
                    hint="--state INPUT:OUTPUT",
                )
        if inputs[source].shape != outputs[result].shape:
            raise ImportFailed(
                f"The state pair {source}:{result} does not match in shape.",
                found=f"{inputs[source].shape} and {outputs[result].shape}",
                allowed="equal shapes",
                hint="pair each input with the output that becomes it in the next step",
            )
        states.append(StatePair(inputs[source], result))
    taken = {pair.input.name for pair in states}, {pair.output_name for pair in states}
    left = [spec for name, spec in inputs.items() if name not in taken[0]]
    results = [spec for name, spec in outputs.items() if name not in taken[1]]
    for kind, rest in (("input", left), ("output", results)):
        if len(rest) != 1:
            raise ImportFailed(
                f"One {kind} must be left that is no state.",
                found=", ".join(spec.name for spec in rest) or "none",
                allowed=f"one {kind}",
                hint="name each state with --state INPUT:OUTPUT",
            )
    return Signature((left[0],), tuple(states), (scores_of(results[0]),))


def scores_of(result: TensorSpec) -> TensorSpec:
    """The scores as [1, classes]; extents of 1 around the classes do not matter, a map of scores does."""
    if max(result.shape) != result.size:
        raise ImportFailed(
            f"'{result.name}' is no list of class scores.",
            found=str(list(result.shape)),
            allowed="one extent above 1",
            hint="pool the map to one score a class inside the network",
        )
    return TensorSpec(result.name, (1, result.size))


def spec_of(value: ValueInfoProto) -> TensorSpec:
    """Name and static shape of an ONNX value."""
    import onnx

    kind = value.type.tensor_type
    shape = onnx_import.batch.static_shape(value)
    dtype = str(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
    if dtype != "float32":
        raise ImportFailed(
            f"'{value.name}' is not float32.",
            found=dtype,
            allowed="float32",
            hint="cast it inside the network, so that inputs, states and scores are float32",
        )
    return TensorSpec(value.name, shape)


def counts_frames(meta: OnnxMeta | None) -> bool:
    """Whether the first axis of a file's input or states counts frames, by what tsm-edge wrote into it."""
    return meta is not None and not meta.parameters.keys().isdisjoint(("clip_frames", "seen_frames"))


def load_onnx(prepared: onnx_import.Prepared, signature: Signature, clip: bool = False) -> Graph:
    """Import through Relax; ImportFailed names an operator that cannot be had and its node.

    clip: the first axis counts frames.
    """
    import onnx

    file = prepared.model
    module = frontend.import_model(file, prepared.values)
    constants = {tensor.name: tensor for tensor in file.graph.initializer}
    arrays = {
        node.name or node.output[0]: onnx.numpy_helper.to_array(constants[node.input[1]])
        for node in file.graph.node
        if len(node.input) > 1 and node.input[1] in constants
    }
    inputs = [value.name for value in file.graph.input]
    outputs = [value.name for value in file.graph.output]
    try:
        return importer.from_relax(module, signature, inputs, outputs, arrays, clip)
    except EdgeError:
        raise
    except Exception as error:  # TVM's passes raise anything from InternalError to TypeError
        raise ImportFailed(
            "TVM cannot simplify this network.",
            found=f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"[
                :300
            ],
            allowed="operators in docs/onnx.md",
            hint="export it for one frame size, without control flow",
        ) from error
