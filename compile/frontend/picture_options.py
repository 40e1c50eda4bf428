"""The options of `tsm-edge compile` that say how pictures become the input of an ONNX file."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import TypeVar

import click

from tsm_edge.errors import UsageError

#: as in preprocessing.RANGES, MODEL_COLORS and FITS, which tests hold this list to: the command's help loads nothing
RANGES = ("0..1", "0..255", "-1..1")
COLORS = ("rgb", "bgr", "grey")
FITS = ("cover", "stretch")
Command = TypeVar("Command", bound=Callable[..., object])
NAMES = ("mean", "std", "range", "color", "rate", "resize", "crop", "fit")


def numbers(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[float, ...] | None:
    """Parse N or N,N,N."""
    if value is None:
        return None
    try:
        found = tuple(float(part) for part in value.split(","))
    except ValueError:
        found = ()
    if len(found) not in (1, 3) or not all(map(math.isfinite, found)):
        raise UsageError(
            f"--{parameter.name} needs numbers.", found=value, allowed="one number, or one a channel: N,N,N"
        )
    return found


def sides(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    """Parse N or HEIGHTxWIDTH."""
    if value is None:
        return None
    parts = re.fullmatch(r"([0-9]{1,5})(?:[xX]([0-9]{1,5}))?", value)
    found = tuple(int(part) for part in parts.groups() if part) if parts else ()
    if not found or min(found) < 1:
        raise UsageError(
            f"--{parameter.name} needs a size.", found=value, allowed="N or HEIGHTxWIDTH, pixels"
        )
    return found


def rate(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """Parse frames a second."""
    if value is None:
        return None
    try:
        found = float(value)
    except ValueError:
        found = math.nan
    if not 0 < found <= 1000:
        raise UsageError("--rate needs frames a second.", found=value, allowed="above 0, 1000 at most")
    return found


def add(command: Command) -> Command:
    """Add --mean, --std, --range, --color, --rate, --resize, --crop and --fit to a click command."""
    options = (
        click.option(
            "--mean", callback=numbers, metavar="N[,N,N]", help="ONNX: what is subtracted, a channel."
        ),
        click.option("--std", callback=numbers, metavar="N[,N,N]", help="ONNX: what is divided by then."),
        click.option(
            "--range", type=click.Choice(RANGES), help="ONNX: range of the values before --mean and --std."
        ),
        click.option("--color", type=click.Choice(COLORS), help="ONNX: channels of the network's input."),
        click.option("--rate", callback=rate, metavar="FPS", help="ONNX: frames a second it was trained at."),
        click.option(
            "--resize", callback=sides, metavar="N|HxW", help="ONNX: size of the picture before the crop."
        ),
        click.option(
            "--crop", callback=sides, metavar="N|HxW", help="ONNX: size of the centre, the network's input."
        ),
        click.option(
            "--fit", type=click.Choice(FITS), help="ONNX: keep the picture's ratio (cover), or not."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command
