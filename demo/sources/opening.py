"""From what the user named to a source: what can be checked before anything is opened, and the opening itself."""

from __future__ import annotations

from collections.abc import Callable

from .. import SAMPLE_CLIP
from . import Source, stdin
from .address import reach, take_apart
from .camera import Camera, check_camera
from .files import ImageFolder, Repeated, VideoFile
from .live import GIVE_UP_S, Capture, LiveSource
from .turned import Turned
from .uri import Input
from .wanted import Wanted


def check_input(source: Input, wanted: Wanted, otherwise: str = "") -> None:
    """Raise the error a user can act on for what is not there, as far as that is seen without opening it.

    ``otherwise``: what else the command could be given, for the hint.
    """
    wanted.check(source)
    if source.kind == "device":
        check_camera(source, otherwise)
    elif source.kind == "file":
        VideoFile(source.path).close()
    elif source.kind == "folder":
        ImageFolder(source.path, 1.0)
    elif source.kind in ("rtsp", "http"):
        reach(take_apart(source.address))
    elif source.kind in ("csi", "gst"):
        connection(source, wanted)
    elif source.kind == "stdin":
        stdin.check(wanted)


def open_input(
    source: Input,
    wanted: Wanted,
    *,
    rate: float,
    loop: bool = False,
    give_up_s: float | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Source:
    """Return the opened source.

    Args:
        rate: the model's frames a second, which those of a folder of images are taken to have.
        loop: begin a file again when it ends.
        give_up_s: for how long a stream that broke off is tried again.
        stopped: whether the user wants to end, asked while something is waited for.

    Raises:
        EdgeError: it cannot be opened, in words that say why.
    """
    opened = _open(source, wanted, rate, loop, GIVE_UP_S if give_up_s is None else give_up_s, stopped)
    return Turned(opened, wanted.turn) if wanted.turn else opened


def _open(
    source: Input, wanted: Wanted, rate: float, loop: bool, give_up_s: float, stopped: Callable[[], bool]
) -> Source:
    if source.kind == "device":
        return Camera(source, wanted)
    if source.kind == "stdin":
        return stdin.StandardInput(wanted, stopped)
    if source.kind == "folder":
        return ImageFolder(source.path, wanted.rate or rate)
    if source.kind == "file":
        file = VideoFile(source.path)
        return Repeated(file, source.path) if loop else file
    return LiveSource(source.name, connection(source, wanted), give_up_s=give_up_s)


def connection(source: Input, wanted: Wanted) -> Callable[[], Capture]:
    """Return what connects to a stream."""
    from . import csi, ffmpeg_stream, gst, http_camera

    if source.kind == "csi":
        return csi.connection(source, wanted)
    if source.kind == "gst":
        return gst.connection(source, wanted)
    address = take_apart(source.address)
    if source.kind == "http":
        return lambda: http_camera.connect(address, lambda: ffmpeg_stream.FfmpegStream(address))
    return lambda: ffmpeg_stream.FfmpegStream(address)


def camera_hint() -> str:
    """What the demo could be given instead of a camera that is not there."""
    return f", or play a file: --input {SAMPLE_CLIP}"

