"""``tsm-edge record``: its command line. Clips of one label from a camera, for ``tsm-edge train``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from tsm_edge.errors import UsageError
from tsm_edge.options import FiniteRange, NamedPath
from tsm_edge.records import record_of
from tsm_edge.report import print_next
from tsm_edge.terminal import say

from .command import require_opencv
from .sources.options import parse_sources, source_options
from .sources.uri import Input, numbered
from .sources.wanted import Wanted


@dataclass(frozen=True)
class Asked:
    """The options that say which source is meant, and what is asked of it; None where not given."""

    input: Input | None
    camera: Input | None
    size: tuple[int, int] | None
    rate: float | None
    format: str | None
    rotate: int


@click.command(short_help="Record clips of your own gestures with a camera.")
@click.option(
    "--input",
    metavar="SOURCE",
    help="What is recorded: N or /dev/NAME for a camera, csi://N for a camera module, rtsp://..., http://..., "
    "gst:PIPELINE, a video file, - for standard input. Default: 0.",
)
@click.option("--camera", metavar="N|DEVICE", help="Camera: N for /dev/videoN, or a device file.")
@source_options
@click.option("--label", required=True, help="What is shown in the clips, as the model shall call it.")
@click.option(
    "--out", required=True, type=NamedPath(file_okay=False), help="Folder of all labels."
)
@click.option(
    "--clips", type=click.IntRange(1), default=10, show_default=True, help="How many are to be kept."
)
@click.option(
    "--seconds", type=FiniteRange(0.5, 10), default=2.0, show_default=True, help="Length of one."
)
@click.option(
    "--countdown", type=FiniteRange(0, 10), default=3.0, show_default=True, help="Seconds before."
)
@click.option("--mirror", is_flag=True, help="Flip frames, for a camera that delivers a mirror image.")
@click.option("--headless", is_flag=True, help="No window; what to do and what to answer is on the terminal.")
@click.option("--keep-all", is_flag=True, help="Keep every clip without asking.")
def record(
    label: str,
    out: Path,
    clips: int,
    seconds: float,
    countdown: float,
    mirror: bool,
    headless: bool,
    keep_all: bool,
    give_up: float | None,
    **options: object,
) -> None:
    """Record clips of one gesture: a countdown, the clip, keep or discard.

    The clips go to OUT/LABEL/, which is what `tsm-edge train --data OUT` reads. Record every gesture with its own
    label, and also "No gesture" and "Doing other things", or the model has no word for them. The picture is not
    mirrored.
    """
    parse_sources(options)
    asked = record_of(Asked, options)
    source_name = asked.input or asked.camera or numbered(0)
    wanted = Wanted(asked.size, asked.rate, asked.format, asked.rotate)
    if asked.input and asked.camera:
        raise UsageError(
            "Clips are recorded from one source.", found="--input and --camera", allowed="one of them; camera 0 without"
        )
    require_opencv()
    from .screen import check_display
    from .sources.opening import check_input, open_input
    from .take import FPS, Session, Terminal, WindowUi

    check_input(source_name, wanted)
    if not headless:
        check_display(headless="run without a window: tsm-edge record --headless")
    ui: Terminal | WindowUi = Terminal() if headless else WindowUi()
    source = open_input(source_name, wanted, rate=FPS, give_up_s=give_up)
    try:
        session = Session(source, ui, out, label, seconds=seconds, countdown=countdown, mirror=mirror)
        kept = session.run(clips, ask=not keep_all)
    finally:
        ui.close()
        source.close()
    say(f"{len(kept)} clips of '{label}' in {session.folder}")
    if kept:
        print_next("tsm-edge train --data {} --out {}", out, Path(f"{out}-run"))
