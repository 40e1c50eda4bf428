"""What the user calls a source: a camera by number or device file, or a file. Streams are refused with a way out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tsm_edge.errors import UsageError

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/+(.*)", re.DOTALL)
_ALLOWED = {
    "--camera": "a number, as in /dev/videoN, or a device file such as /dev/video0 or /dev/v4l/by-id/NAME",
    "--video": "the path of a file, or of a camera's device such as /dev/video0",
}
_WAYS = "docs/demo.md, 'Streams and camera modules', has the whole line"


@dataclass(frozen=True)
class Device:
    """A camera: its device file, which may be a link that changes when it is plugged in again, and its name."""

    path: str
    name: str

    @classmethod
    def numbered(cls, number: int) -> Device:
        """Return /dev/videoN."""
        return cls(f"/dev/video{number}", f"camera {number}")


def parse_camera(text: str, *, plays_files: bool = True) -> Device:
    """Return the camera that ``--camera`` names. ``plays_files``: the command has an option ``--video``, too.

    Raises:
        UsageError: no number and no device file.
    """
    if re.fullmatch(r"[0-9]{1,9}", text):
        return Device.numbered(int(text))
    if text.startswith("/dev/"):
        return Device(text, text)
    if not Path(text).exists():
        _refuse_stream("--camera", text)
    hint = f"a video file is played with --video {text}" if plays_files and Path(text).is_file() else None
    raise UsageError("--camera needs a camera.", found=repr(text), allowed=_ALLOWED["--camera"], hint=hint)


def parse_video(text: str) -> Path | Device:
    """Return the file that ``--video`` names, or the camera if it is a device file.

    Raises:
        UsageError: a stream, which this version cannot open.
    """
    if text.startswith("/dev/"):
        return Device(text, text)
    if not text:
        raise UsageError("--video names no file.", found="''", hint="is a variable of the shell not set?")
    if not Path(text).exists():
        _refuse_stream("--video", text)
    return Path(text)


def _refuse_stream(option: str, text: str) -> None:
    """Raise UsageError for an address or a pipeline of GStreamer."""
    if re.search(r"\s!\s", text):
        raise UsageError(
            f"{option} cannot play a GStreamer pipeline.",
            found=text,
            allowed=_ALLOWED[option],
            hint="let gst-launch-1.0 run it and write raw RGB frames into the bundle's own program: gst-launch-1.0 -q "
            f"... ! fdsink | BUNDLE/tsm-edge-run --raw WxH; {_WAYS}",
        )
    match = _URL.fullmatch(text)
    if match is None:
        return
    scheme, rest = match[1].lower(), match[2]
    if scheme == "file":
        raise UsageError(
            f"{option} cannot open an address.",
            found=text,
            allowed=_ALLOWED[option],
            hint=f"--video /{rest.lstrip('/')}" if option == "--video" else None,
        )
    raise UsageError(
        f"{option} cannot open a stream by its address ({scheme}://).",
        found=without_password(text),
        allowed=_ALLOWED[option],
        hint="let ffmpeg receive it and write raw RGB frames into the bundle's own program: ffmpeg -i ADDRESS ... - | "
        f"BUNDLE/tsm-edge-run --raw WxH; {_WAYS}",
    )


def without_password(url: str) -> str:
    """Return an address that can be shown: what stands before the @ of its host is left out."""
    return re.sub(r"(?<=:/)(/*)[^/?#]*@", r"\1...@", url, count=1)
