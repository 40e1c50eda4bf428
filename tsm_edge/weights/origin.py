"""The network a bundle was compiled from, found again from its manifest: what `verify` and `bench` compare it with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from .. import models
from ..bundle.manifest import FLOAT_LAYERS, Manifest
from ..errors import ModelError, UsageError
from ..models import Model, clips
from ..onnx import external_data
from ..signature import Scalar
from . import checkpoints


def check_file(manifest: Manifest, weights: Path | None, verb: str) -> None:
    """Check that ``weights`` is the checkpoint or ONNX file the bundle was compiled from, or that it needs none.

    Raises:
        UsageError: the file is missing or another one; the hint is a call of ``verb``.
    """
    info = manifest.model.weights
    if weights is None and info.source in ("file", "onnx"):
        kind = "an ONNX file" if info.source == "onnx" else "a checkpoint"
        raise UsageError(
            f"This bundle was compiled from {kind}, and the comparison needs it.",
            found=info.note,
            hint=f"tsm-edge {verb} BUNDLE --weights FILE",
        )
    if weights is None and info.source == "default":
        check_default(manifest)
    if weights is not None:
        check_hash(manifest, weights)


def check_hash(manifest: Manifest, weights: Path) -> None:
    """UsageError when ``weights``, with the files that hold weights of an ONNX file beside it, is another one."""
    info = manifest.model.weights
    onnx = info.source == "onnx"
    found = external_data.digest(weights) if onnx else checkpoints.sha256(weights)
    if found == info.sha256:
        return
    beside = ", ".join(external_data.files(weights)) if onnx else ""
    which = f"'{weights}', or {beside} beside it, is not what" if beside else f"'{weights}' is not the file"
    raise UsageError(
        f"{which} this bundle was compiled from.",
        found=f"sha256 {found[:16]}…",
        allowed=f"sha256 {info.sha256[:16]}…" if info.sha256 else "no file: the weights are seeded",
        hint="give the .onnx file beside the weights that it was compiled with" if beside else None,
    )


def check_default(manifest: Manifest) -> None:
    """Check that the bundle's shipped weights are those of this tsm-edge; UsageError when they are others."""
    model = model_of(manifest)
    shipped = checkpoints.default_file(model) if isinstance(model, Model) else None
    if shipped is None or checkpoints.sha256(shipped) != manifest.model.weights.sha256:
        raise UsageError(
            f"This bundle has other shipped weights than this tsm-edge for '{manifest.model.name}'.",
            found=f"sha256 {manifest.model.weights.sha256[:16]}…",
            hint="compile it again, or give its file with --weights",
        )


def model_of(manifest: Manifest) -> Model | clips.ClipModel:
    """Return the model of the zoo with the bundle's parameters.

    Raises:
        ModelError: this version's model has another signature.
    """
    parameters = {key: value for key, value in manifest.model.parameters.items() if key != FLOAT_LAYERS}
    model = described(manifest.model.name, manifest.labels, parameters)
    if model.signature != manifest.signature:
        raise ModelError(
            f"The bundle's {model.name} is not the one of this tsm-edge.", hint="compile it again"
        )
    return model if manifest.preprocess is None else model.seeing(manifest.preprocess)


def described(name: str, labels: Sequence[str], parameters: Mapping[str, Scalar]) -> Model | clips.ClipModel:
    """A model of the zoo or of the family with the parameters of a manifest."""
    if name not in clips.names():
        return models.load_from(name, parameters, labels)
    seen = parameters.get("seen_frames")  # of a stream
    size, frames, stride = (parameters.get(key) for key in ("size", "clip_frames", "window_stride"))
    whole = [None if value is None else int(value) for value in (size, frames if seen is None else seen, stride)]
    model = clips.load(name, size=whole[0], labels=labels, frames=whole[1], window_stride=whole[2])
    return model if seen is None else model.streaming()
