"""How the user names a source: one grammar for ``--input`` of `demo` and `record`.

A number or a device file is a camera, an address is a stream, ``csi://N`` is a camera module on a ribbon cable,
``gst:`` a pipeline of GStreamer, ``-`` standard input, and everything else a file or a folder. ``--camera``,
``--video`` and ``--images`` are older names for parts of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from tsm_edge.errors import UsageError

from .redact import without_secrets

KINDS = ("device", "csi", "rtsp", "http", "gst", "file", "folder", "stdin")
LIVE = ("device", "csi", "rtsp", "http", "gst")
ALLOWED = (
    "N or /dev/NAME for a camera, csi://N for a camera module, rtsp://..., http://..., gst:PIPELINE, a video file, a "
    "folder of images, or - for standard input"
)
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/+(.*)", re.DOTALL)
_HALF_URL = re.compile(r"(csi|rtsps?|https?):(?!/)", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]{1,4}")
_PIPELINE = re.compile(r"\s!\s")


@dataclass(frozen=True)
class Input:
    """A source as the user named it. ``name`` can be shown; ``address``, with its password, never.

    ``address`` is the path of a device, file or folder, the number of a camera module, the address of a stream, or the
    text of a pipeline.
    """

    kind: str
    address: str = field(repr=False)
    name: str

    @property
    def path(self) -> Path:
        """The path of a device, file or folder."""
        return Path(self.address)


def device(path: str) -> Input:
    """Return the camera of a device file, which may be a link that changes when it is plugged in again."""
    return Input("device", path, path)


def numbered(number: int) -> Input:
    """Return the camera /dev/videoN."""
    return Input("device", f"/dev/video{number}", f"camera {number}")


def parse_input(text: str, option: str = "--input") -> Input:
    """Return the source that ``option`` names.

    Raises:
        UsageError: no such thing can be opened.
    """
    if not text.strip():
        raise UsageError(f"{option} names nothing.", found=repr(text), hint="is a variable of the shell not set?")
    if text == "-":
        return Input("stdin", "-", "standard input")
    if _NUMBER.fullmatch(text):
        return numbered(int(text))
    if text.startswith("/dev/"):
        return device(text)
    if Path(text).exists():
        return Input("folder" if Path(text).is_dir() else "file", text, text)
    if text.lower().startswith("gst:"):
        return _pipeline(text[4:], option)
    if _PIPELINE.search(text):
        raise UsageError(
            f"{option} needs to know that this is a pipeline.",
            found=without_secrets(text),
            allowed=ALLOWED,
            hint=f'put gst: before it: --input "gst:{without_secrets(text)}"',
        )
    half = _HALF_URL.match(text)
    if half is not None:
        raise UsageError(
            f"{option} has half an address.",
            found=without_secrets(text),
            allowed=ALLOWED,
            hint=f"{option} {half[1]}://{without_secrets(text[half.end() :])}",
        )
    match = _URL.fullmatch(text)
    return _address(match[1].lower(), match[2], text, option) if match else Input("file", text, text)


def parse_camera(text: str) -> Input:
    """Return the camera that ``--camera`` names: a number, a device file, or one of the addresses of ``--input``."""
    if Path(text).is_file() and not text.startswith("/dev/"):
        raise UsageError(
            "--camera needs a camera.",
            found=repr(text),
            allowed="a number, as in /dev/videoN, or a device file such as /dev/video0 or /dev/v4l/by-id/NAME",
            hint=f"a file is played with --input {text}",
        )
    found = parse_input(text, "--camera")
    if found.kind not in LIVE:
        raise UsageError(
            "--camera needs a camera.",
            found=repr(text),
            allowed="a number, as in /dev/videoN, a device file such as /dev/video0 or /dev/v4l/by-id/NAME, or one of "
            "the addresses of --input: csi://0, rtsp://..., http://..., gst:PIPELINE",
        )
    return found


def parse_video(text: str) -> Input:
    """Return the file that ``--video`` names, or whatever else ``--input`` takes, but no folder and no number."""
    if text and (Path(text).exists() or _NUMBER.fullmatch(text)) and not text.startswith("/dev/"):
        return Input("file", text, text)
    return parse_input(text, "--video")


def _pipeline(text: str, option: str) -> Input:
    if not text.strip():
        raise UsageError(
            f"{option} gst: has no pipeline.",
            found="'gst:'",
            allowed="elements with ! between them, as gst-launch-1.0 takes them",
            hint='--input "gst:videotestsrc is-live=true"',
        )
    return Input("gst", text.strip(), "gst:" + without_secrets(text.strip()))


def _address(scheme: str, rest: str, text: str, option: str) -> Input:
    shown = without_secrets(text)
    if scheme == "csi":
        if not _NUMBER.fullmatch(rest):
            raise UsageError(
                f"{option} names a camera module by its number.",
                found=text,
                allowed="csi://0, csi://1, ...; tsm-edge cameras lists them",
            )
        return Input("csi", rest, f"csi://{int(rest)}")
    if scheme == "file":
        raise UsageError(
            f"{option} takes a path, not the address of a file.", found=text, hint=f"{option} /{rest.lstrip('/')}"
        )
    kind = {"rtsp": "rtsp", "rtsps": "rtsp", "http": "http", "https": "http"}.get(scheme)
    if kind is None:
        raise UsageError(
            f"{option} cannot open {scheme}:// addresses.",
            found=shown,
            allowed=ALLOWED,
            hint="let ffmpeg receive it: ffmpeg -i ADDRESS -f yuv4mpegpipe - | tsm-edge demo --input -",
        )
    if not re.match(r"[^/?#]", rest.rpartition("@")[2] if "@" in rest.partition("/")[0] else rest):
        raise UsageError(f"The address of {option} names no host.", found=shown, allowed=f"{scheme}://HOST/PATH")
    return Input(kind, text, shown)
