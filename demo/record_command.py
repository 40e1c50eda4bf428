"""``tsm-edge record``: its command line. Clips of one label from a camera, for ``tsm-edge train``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tsm_edge.options import FiniteRange, NamedPath
from tsm_edge.report import print_next
from tsm_edge.terminal import say

from .command import require_opencv
from .source_names import parse_camera


@click.command(short_help="Record clips of your own gestures with a camera.")
@click.option(
    "--camera", metavar="N|DEVICE", default="0", show_default=True, help="N for /dev/videoN, or a device file."
)
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
    camera: str,
    label: str,
    out: Path,
    clips: int,
    seconds: float,
    countdown: float,
    mirror: bool,
    headless: bool,
    keep_all: bool,
) -> None:
    """Record clips of one gesture: a countdown, the clip, keep or discard.

    The clips go to OUT/LABEL/, which is what `tsm-edge train --data OUT` reads. Record every gesture with its own
    label, and also "No gesture" and "Doing other things", or the model has no word for them. The picture is not
    mirrored.
    """
    require_opencv()
    from .camera import Camera, check_camera
    from .screen import check_display
    from .take import Session, Terminal, WindowUi

    device = parse_camera(camera, plays_files=False)
    check_camera(device)
    if not headless:
        check_display(headless="run without a window: tsm-edge record --headless")
    ui: Any = Terminal() if headless else WindowUi()
    source = Camera(device)
    try:
        session = Session(source, ui, out, label, seconds=seconds, countdown=countdown, mirror=mirror)
        kept = session.run(clips, ask=not keep_all)
    finally:
        ui.close()
        source.close()
    say(f"{len(kept)} clips of '{label}' in {session.folder}")
    if kept:
        print_next("tsm-edge train --data {} --out {}", out, Path(f"{out}-run"))
