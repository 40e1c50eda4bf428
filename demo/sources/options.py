"""The options that say what is played and how, the same for `demo` and `record`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from tsm_edge.options import FiniteRange

from .uri import parse_camera, parse_input, parse_video
from .wanted import FORMATS, TURNS, parse_size

Command = TypeVar("Command", bound=Callable[..., object])
_PARSERS: dict[str, Callable[[str], object]] = {
    "input": parse_input,
    "camera": parse_camera,
    "video": parse_video,
    "size": parse_size,
}
_OPTIONS = (
    click.option("--size", metavar="WxH", help="Size of the source's frames, as in 640x480."),
    click.option("--rate", type=FiniteRange(min=0.1, max=480), metavar="R", help="Frames the source gives a second."),
    click.option("--format", type=click.Choice(FORMATS), help="Format of the source's frames."),
    click.option("--rotate", type=click.Choice([str(turn) for turn in TURNS]), default="0",
                 help="Turn frames clockwise, for a camera that hangs on its side or upside down."),
    click.option("--give-up", type=FiniteRange(min=0, max=86400 * 366), metavar="S",
                 help="Seconds that a stream which broke off is tried again. Default: 60."),
)  # fmt: skip


def source_options(command: Command) -> Command:
    """Add the options that say what is asked of a source."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def parse_sources(options: dict[str, object]) -> None:
    """Replace the texts of the command line by what they mean.

    Raises:
        UsageError: they mean nothing.
    """
    for name, parse in _PARSERS.items():
        text = options.get(name)
        if isinstance(text, tuple):
            options[name] = tuple(parse(one) for one in text)
        elif isinstance(text, str):
            options[name] = parse(text)
    options["rotate"] = int(str(options["rotate"]))

