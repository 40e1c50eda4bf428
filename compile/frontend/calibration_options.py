"""The options of `tsm-edge compile` that say where the ranges of a network in 8 bits come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

#: fields of `calibration_data.CalibrationOptions`; the command's help loads no more than this file
NAMES = ("calibrate", "ranges", "clips", "max_drop", "layers", "exclude", "mix")
Command = TypeVar("Command", bound=Callable[..., object])


def add(command: Command) -> Command:
    """Add --calibrate, --clips, --ranges, --max-drop, --layers, --exclude and --mix to a click command."""
    options = (
        click.option(
            "--calibrate",
            type=click.Path(path_type=Path, exists=True),
            metavar="DATA",
            help="For int8: clips that show what values the network has; any data that `tsm-edge train` reads.",
        ),
        click.option(
            "--clips",
            type=click.IntRange(1, 4096),
            default=16,
            show_default=True,
            help="How many of them calibrate; twice as many others are judged.",
        ),
        click.option(
            "--ranges",
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            help="In place of --calibrate: the ranges.json of another int8 bundle of the same weights.",
        ),
        click.option(
            "--max-drop",
            type=click.FloatRange(0, 100),
            metavar="POINTS",
            help="Exit with 3 if int8 costs more top-1 than this.",
        ),
        click.option(
            "--layers",
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            help="Draw what each layer loses in 8 bits into a .png file.",
        ),
        click.option(
            "--exclude",
            multiple=True,
            metavar="LAYER",
            help="Keep a layer of int8 in fp16 where the target has it, else in fp32. Repeat for each.",
        ),
        click.option(
            "--mix/--no-mix",
            default=True,
            show_default=True,
            help="Run 3x3 layers of int8 in fp16 where that is modelled faster; the bundle grows.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command
