"""The network that a command line names, of the zoo or of the family; one of the family takes fewer options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .. import models
from ..errors import UsageError
from ..models import clips
from ..terminal import say
from ..weights.meta import read_meta
from .form_options import Asked, usage_errors
from .model_options import NetworkOptions, check_direction, model_from


def network_from(
    name: str,
    weights: Path | None,
    averaged: bool | None,
    direction: str | None,
    as_online: bool,
    asked: Asked,
    parameters: NetworkOptions,
) -> tuple[models.Model | clips.ClipModel, bool]:
    """The model of the zoo or of the family that the options describe, and whether its weights must be re-ordered.

    Raises:
        UnknownName: there is no such model.
        UsageError, CheckpointError, DirectionUnknown: see :func:`family_from`, :func:`.model_from`,
            :func:`.check_direction`.
    """
    models.check_name(name)
    if name in clips.names():
        shift = {"ema": averaged, "direction": direction, "as-online": as_online or None}
        return family_from(name, {**parameters, **shift}, asked, weights), False
    model = model_from(name, weights=weights, averaged=averaged, **parameters)
    return check_direction(model, weights, averaged, direction, as_online, asked)


def family_from(
    name: str, options: Mapping[str, object], asked: Asked, weights: Path | None = None
) -> clips.ClipModel:
    """The clip model that the options describe, and what its window costs in time, told.

    weights: a file of ours says what the options leave out: labels, input, frames, and how pictures are prepared.

    Raises:
        UsageError: an option is out of its range, or is none of this network.
    """
    for option in ("width", "ema", "direction", "as-online"):
        if options.get(option) is not None:
            raise UsageError(
                f"--{option} says nothing of {name}.", found=options[option], hint="leave the option out"
            )
    check_form(name, asked)
    meta = None if weights is None else read_meta(weights)
    if meta is not None and meta.model != name:
        raise UsageError(f"'{weights}' is of another network.", found=name, allowed=meta.model)
    said: Mapping[str, object] = {} if meta is None else meta.parameters
    with usage_errors():
        file = options.get("labels")
        labels = models.read_labels(file) if isinstance(file, Path) else None
        model = clips.load(
            name,
            size=integer(options.get("size"), said.get("size")),
            classes=integer(options.get("classes")),
            labels=labels or (None if meta is None else meta.labels),
            frames=integer(asked.clip_frames, said.get("clip_frames")),
            window_stride=asked.window_stride,
        )
        pictures = None if meta is None else meta.pictures_at(model.size)
        model = model if pictures is None else model.seeing(pictures)
        model = model.streaming() if asked.form == "stream" else model
    say(f"it runs as {running(model)}", err=True)
    return model


def check_form(name: str, asked: Asked) -> None:
    """UsageError for a form that no network of the family has, and for a stride in a stream, which has none."""
    if asked.form == "lagged":
        raise UsageError(f"{name} has no stream with a delay.", found="--form lagged", allowed="clip, stream")
    if asked.form == "stream" and asked.window_stride is not None:
        raise UsageError(
            "A stream has an answer for every frame.",
            found=f"--window-stride {asked.window_stride}",
            hint="leave the stride out, or take --form clip",
        )


def running(model: clips.ClipModel) -> str:
    """How a model runs and what that costs in time."""
    rate, late = model.preprocess.rate_fps, model.frames - 1
    late_by = f"{late / rate:.1f} s at {rate:g} frames a second"
    if model.stream is not None:
        return (
            f"a stream: an answer for every frame, computed from it and what is kept of the {late} frames before it "
            f"({late_by}); to the first {late} answers, frames that have not come yet are zeros"
        )
    return (
        f"a window of {model.frames} frames: the first answer is {late} frames ({late_by}) after the first frame, then "
        f"one every {model.parameters['window_stride']}"
    )


def integer(*values: object) -> int | None:
    """The first number of pixels, classes or frames that is said, 0 included; None where none is."""
    return next((value for value in values if isinstance(value, int)), None)
