"""``tsm-edge demo``: its command line. OpenCV is imported when it runs, so ``--help`` works without it."""

from __future__ import annotations

import os

import click

from tsm_edge.errors import ExtraMissing
from tsm_edge.options import FiniteRange, NamedPath
from tsm_edge.records import record_of

from .request import Request
from .sinks.options import sink_options
from .sources.options import parse_sources, source_options


@click.command(short_help="Recognise live from a camera, a stream, a video or a folder of images.")
@click.option(
    "--input",
    metavar="SOURCE",
    multiple=True,
    help="What is watched: N or /dev/NAME for a camera, csi://N for a camera module, rtsp://..., http://..., "
    "gst:PIPELINE, a video file, a folder of images, - for standard input. Default: 0. Given several times, all are "
    "watched with one model.",
)
@click.option("--camera", metavar="N|DEVICE", help="Camera: N for /dev/videoN, or a device file.")
@click.option("--video", metavar="FILE", help="Play a video file.")
@click.option(
    "--images", type=NamedPath(), help="Play a folder of images, each one a model frame."
)
@source_options
@click.option(
    "--bundle", type=NamedPath(), help="Bundle to run. Default: compiled once, cached."
)
@click.option(
    "--headless", is_flag=True, help="No window. A file is then replayed without a clock, always the same."
)
@click.option("--loop", is_flag=True, help="Begin the video again when it ends.")
@click.option(
    "--serve",
    metavar="HOST:PORT",
    help="No window, but a live page for browsers. 127.0.0.1:8080: this machine alone; 0.0.0.0:8080: the network, "
    "with a token.",
)
@click.option(
    "--token",
    help="Token that viewers of the page need. Default: $TSM_EDGE_TOKEN, else made up, but none for 127.0.0.1.",
)
@click.option(
    "--token-file", type=NamedPath(), help="The same, in a file: nobody sees it in a list of processes."
)
@click.option("--record", type=NamedPath(), help="Write what is shown to an .mp4 file.")
@click.option(
    "--json", is_flag=True, help="One JSON line per processed frame on stdout, then a summary line."
)
@click.option(
    "--on-change",
    metavar="CMD",
    help="Run CMD once for each gesture, in order, with TSM_EDGE_LABEL and TSM_EDGE_CONFIDENCE in its environment, and "
    "as arguments, too, if CMD ends with --. No shell.",
)
@click.option("--on-change-idle", is_flag=True, help="Run CMD at the end of a gesture, too.")
@click.option(
    "--min-confidence",
    metavar="P",
    type=FiniteRange(0, 1),
    help="Tell of gestures whose mean probability reaches P, 0 to 1, while they are shown.",
)
@sink_options
@click.option(
    "--fps",
    type=FiniteRange(min=0.1, max=240),
    help="Frames per second the model sees. Default: the rate it was made for.",
)
@click.option("--max-frames", type=click.IntRange(min=1), help="Stop after so many processed frames.")
@click.option("--mirror", is_flag=True, help="Flip frames first, for a camera that delivers a mirror image.")
@click.option(
    "--bgr", is_flag=True, help="Feed blue as red, as the TSM demo of 2019 did. Default: correct RGB."
)
@click.option(
    "--threads", type=click.IntRange(min=1, max=64), help="Threads of one step. Default: the bundle's."
)
def demo(**options: object) -> None:
    """Recognise what is happening, frame by frame, live.

    Frames reach the model at its own rate by their time stamps. A machine that is too slow drops frames and
    counts them, it never falls behind. In the window, q or Escape ends, f switches full screen and r makes the
    model forget the past. The picture is not mirrored: left and right are those of the camera, for the model and
    on the screen alike, so a person's own left is on the right. A folder of images is taken to have been recorded
    at the model's rate (or --fps). The page of --serve is not encrypted; over a network you do not trust, leave
    it on 127.0.0.1 and go through ssh -L 8080:127.0.0.1:8080 BOARD.
    """
    request = request_of(options)
    require_opencv()
    from .session import play

    play(request)


def request_of(options: dict[str, object]) -> Request:
    """Return what the options ask for.

    Raises:
        UsageError: they mean nothing, or contradict each other.
    """
    parse_sources(options)
    return record_of(Request, options)


def require_opencv() -> None:
    """Import OpenCV with its own log lines off, which would stand before our messages and say less."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    # Of a camera that hangs; OpenCV's own 10 s leave no time to try it again (`camera.GIVE_UP_S`).
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "3")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        raise ExtraMissing(
            "The demo needs OpenCV, which cannot be imported.",
            found=str(error),
            hint="pip install opencv-python; for --headless, opencv-python-headless needs fewer libraries",
        ) from error
