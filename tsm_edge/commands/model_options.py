"""The options that say which network is meant, the same for every verb that builds one."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

import click

from .. import models
from ..errors import UsageError
from ..models import DIRECTIONS
from ..terminal import say
from ..weights.meta import WeightsMeta, read_meta
from .form_options import NOTHING, UNSHIFTED, Asked, Command, in_form, usage_errors

_FILE = click.Path(path_type=Path)


class NetworkOptions(TypedDict):
    """The options by which :func:`model_from` finds a network, beside its weights; None where not given."""

    width: float | None
    size: int | None
    classes: int | None
    labels: Path | None


#: of a checkpoint with plain weights and their average over the steps of the training, which is meant
averaged_option = click.option(
    "--ema/--no-ema",
    "averaged",
    default=None,
    help="Of a checkpoint that holds both: averaged or plain weights.  [default: plain]",
)


#: how a checkpoint shifts, where it does not say so itself
direction_option = click.option(
    "--direction",
    type=click.Choice(DIRECTIONS),
    help="What the network of a checkpoint was trained with, where the file does not say: shift from the past, from "
    "both sides (the training code of MIT and mmaction2), or none.",
)


def model_options(command: Command) -> Command:
    """Add --weights, how it is read, --seed, --width, --size, --classes and --labels to a click command."""
    options = (
        click.option("--weights", type=_FILE, help="Checkpoint of tsm-edge, MIT, mmaction2 or torchvision."),
        averaged_option,
        direction_option,
        click.option(
            "--as-online",
            is_flag=True,
            help="Run weights of a bi-directional network online all the same: without the future, less accurate.",
        ),
        click.option("--seed", type=int, default=0, show_default=True, help="Seed of untrained weights."),
        click.option("--width", type=float, help="Factor on the channels, where the network has one."),
        click.option("--size", type=int, help="Height and width of the input in pixels.  [default: 224]"),
        click.option(
            "--classes", type=int, help="Number of classes.  [default: as in --weights or --labels, or 27]"
        ),
        click.option("--labels", type=_FILE, help="Text file with the name of one class a line."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def check_averaged(averaged: bool | None, weights: Path | None) -> None:
    """--ema and --no-ema choose inside a file of weights; UsageError without one."""
    if averaged is not None and weights is None:
        option = "--ema" if averaged else "--no-ema"
        raise UsageError(
            f"{option} chooses between the weights of a checkpoint.",
            found="no checkpoint",
            hint="name it with --weights",
        )


def network_of(name: str) -> str:
    """The network behind a name: a model that comes trained is one of the networks."""
    return models.shipped_meta(name).model if name in models.shipped() else name


def _as_written(
    name: str,
    meta: WeightsMeta,
    weights: Path | None,
    width: float | None,
    size: int | None,
    classes: int | None,
    labels: tuple[str, ...] | None,
) -> models.Model:
    """The network that a file of ours names; an option may change its input or its labels, never the network."""
    if meta.model != network_of(name):
        raise UsageError(
            f"'{weights}' was trained for another network.",
            found=name,
            allowed=meta.model,
            hint=f"name it: {meta.model} --weights {weights}",
        )
    asked = {"width": width, "size": size, "classes": classes}
    shape = {**meta.shape, **{key: value for key, value in asked.items() if value is not None}}
    pictures = meta.pictures_at(meta.size if size is None else size)
    return models.load_from(name, shape, labels or meta.labels, pictures)


def model_from(
    name: str,
    *,
    weights: Path | None,
    width: float | None,
    size: int | None,
    classes: int | None,
    labels: Path | None,
    averaged: bool | None = None,
) -> models.Model:
    """Return the model that the options describe; what they leave out, a checkpoint may say.

    A file of `tsm-edge train` names its network, input and labels; of others the class count is known.

    Raises:
        UnknownName: there is no such model.
        UsageError: an option is out of its range, or two options disagree.
        CheckpointError: the class count is wanted from a file that does not tell it.
    """
    check_averaged(averaged, weights)
    with usage_errors():
        texts = None if labels is None else models.read_labels(labels)
        meta = None if weights is None else read_meta(weights)
        if meta is not None:
            return _as_written(name, meta, weights, width, size, classes, texts)
        model = models.load(name, width=width, size=size, classes=classes, labels=texts)
        if weights is None:
            return model
        from ..weights.checkpoints import class_count, pools_frames

        if classes is None and texts is None:
            classes = class_count(weights, model, averaged)
            say(f"{classes} classes, from the head of {weights}", err=True)
        pooled = pools_frames(weights, model, averaged)
        return models.load(name, width=width, size=size, classes=classes, labels=texts, temporal_pool=pooled)


def check_direction(
    model: models.Model,
    weights: Path | None,
    averaged: bool | None,
    direction: str | None,
    as_online: bool,
    asked: Asked = NOTHING,
) -> tuple[models.Model, bool]:
    """The model with the shift of its weights, and whether these must be re-ordered for the online shift.

    What is known of their shift is told, and what running them otherwise would lose. asked: the form that it is to run
    in, by default the one that its shift allows and that answers most often.

    Raises:
        DirectionUnknown: nothing says how the network of the file shifts.
        UsageError: no stream can do its shift; or there is no file.
    """
    if weights is None and asked.form is not None and model.name not in models.shipped():
        shift = {"uni": models.ONLINE, "bi": models.OFFLINE, "none": UNSHIFTED, None: models.ONLINE}[
            direction
        ]
        return in_form(model, shift, asked), False
    if weights is None:
        asked.refuse("the trained models of tsm-edge run frame by frame")
        if direction is not None or as_online:
            raise UsageError(
                f"{'--direction' if direction else '--as-online'} says something of a checkpoint.",
                found="no checkpoint",
                hint="name it with --weights",
            )
        return model, False
    from ..weights.checkpoints import no_online_order, shift_of, words_of

    shift, why = shift_of(weights, model, averaged, direction)
    if shift.online:
        say(f"the network shifts from the past only, by {why}", err=True)
        if as_online:
            raise UsageError(
                "--as-online is for networks that were trained otherwise.", found=f"online, by {why}"
            )
        return in_form(model, shift, asked), False
    if not as_online:
        say(f"the network shifts: {words_of(shift)}, by {why}", err=True)
        return in_form(model, shift, asked), False
    asked.refuse("--as-online runs a network frame by frame")
    if shift not in (models.OFFLINE, UNSHIFTED):
        raise no_online_order(shift)
    lost = (
        "what came from the future is the present"
        if shift == models.OFFLINE
        else "it was trained without a shift"
    )
    say(
        f"warning: run online, this is not the network that was trained: {lost}. Expect wrong answers where movement "
        f"decides, measure it (tsm-edge eval), and train it on: tsm-edge train --init {weights}",
        err=True,
    )
    return model, shift == models.OFFLINE
