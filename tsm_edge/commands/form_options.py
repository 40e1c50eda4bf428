"""The options that say in which form a network runs: frame by frame, or as a window that slides over the frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

import click

from .. import models
from ..errors import ModelError, UsageError
from ..terminal import say

FORMS = ("stream", "lagged", "clip")
NAMES = ("form", "clip_frames", "window_stride")
Command = TypeVar("Command", bound=Callable[..., object])
UNSHIFTED = models.TemporalShift("none")


@dataclass(frozen=True)
class Asked:
    """What the user says of the form; None where nothing."""

    form: str | None = None
    clip_frames: int | None = None
    window_stride: int | None = None

    def refuse(self, why: str) -> None:
        """UsageError where anything is said."""
        said = [f"--{name.replace('_', '-')}" for name in NAMES if getattr(self, name) is not None]
        if said:
            raise UsageError(
                "This network has no choice of forms.", found=said[0], hint=f"{why}; leave it out"
            )

    @property
    def window(self) -> models.Window:
        """The window of a clip: of 8 frames, each half of it new, where nobody says otherwise."""
        return models.Window.of(8 if self.clip_frames is None else self.clip_frames, self.window_stride)


NOTHING = Asked()


def form_options(command: Command) -> Command:
    """Add --form, --clip-frames and --window-stride to a click command."""
    options = (
        click.option(
            "--form",
            type=click.Choice(FORMS),
            help="How it runs: frame by frame; so with a delay, for a shift from both sides; or as a window over the "
            "last frames; TSN, TRN and ECO are clips or streams.  [default: clip for the family; stream for a "
            "shift from the past, else lagged, else clip]",
        ),
        click.option("--clip-frames", type=int, help="Frames that an answer is computed from.  [default: 8]"),
        click.option(
            "--window-stride", type=int, help="New frames from clip to clip.  [default: half a clip]"
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@contextmanager
def usage_errors() -> Iterator[None]:
    """Parameters of a model that come from the command line: a bad one is an error of usage."""
    try:
        yield
    except ModelError as error:
        raise UsageError(error.what, found=error.found, allowed=error.allowed, hint=error.hint) from error


def default_form(model: models.Model, shift: models.TemporalShift) -> str:
    """The form with the most answers that the shift allows: frame by frame, or a window where no stream can do it."""
    if model.pools or shift.padding != "zero":
        return "clip"
    return "lagged" if model.streaming(shift).delay else "stream"


def in_form(model: models.Model, shift: models.TemporalShift, asked: Asked) -> models.Model:
    """The model as it is to run, and what it costs in time, told.

    Raises:
        UsageError: it cannot run in that form.
    """
    usual = default_form(model, shift)
    form = asked.form or usual
    if form != "clip":
        replace(asked, form=None).refuse(f"frames and stride are those of a clip, and the form is '{form}'")
    if form not in (usual, "clip"):
        pools = ", temporal pooling" if model.pools else ""
        online = "--as-online runs a bi-directional network frame by frame, less accurately"
        raise UsageError(
            f"The network cannot run in the form '{form}'.",
            found=f"direction {shift.direction}, padding {shift.padding}{pools}",
            allowed=f"{usual}, clip" if usual != "clip" else "clip",
            hint=online if usual == "lagged" else None,
        )
    with usage_errors():
        formed = model.clips(shift, asked.window) if form == "clip" else model.streaming(shift)
    rate = model.preprocess.rate_fps
    late = f"{formed.delay} frames ({formed.delay / rate:.1f} s at {rate:g} frames a second)"
    if formed.window is not None:
        say(
            f"it runs as a window of {formed.window.frames} frames: the first answer is {late} after the first frame, "
            f"then one every {formed.window.stride}",
            err=True,
        )
    elif formed.delay:
        say(
            f"it looks into the future, so its stream lags: an answer is for the frame {late} before the newest",
            err=True,
        )
    return formed
