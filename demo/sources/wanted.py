"""What the user wants of a source: the size of its frames, their rate, their format, and how far they are turned."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tsm_edge.errors import UsageError
from tsm_edge.files import MAX_PIXELS

from .uri import Input

#: the formats of raw frames; a camera calls some of them by four letters
RAW = ("bgr", "rgb", "grey", "yuyv", "nv12", "yuv420")
FORMATS = (*RAW, "mjpeg")
TURNS = (0, 90, 180, 270)
#: what each kind of source can be told; all can be turned
_TAKES = {
    "device": ("size", "rate", "format"),
    "csi": ("size", "rate"),
    "gst": ("size", "rate"),
    "stdin": ("size", "rate", "format"),
    "folder": ("rate",),
    "rtsp": (),
    "http": (),
    "file": (),
}
_WHO_DECIDES = {
    "rtsp": "the camera decides it: choose another stream of it (many have a small one), or set it in its own settings",
    "http": "the camera decides it: many take it in their address (?width=640), or in their own settings",
    "file": "the file has it already",
    "folder": "the pictures have it already",
    "csi": "a camera module delivers its own; leave it out",
    "gst": "say it in the pipeline",
}


@dataclass(frozen=True)
class Wanted:
    """The options of a source; None is for what the source does by itself. ``turn``: degrees clockwise."""

    size: tuple[int, int] | None = None
    rate: float | None = None
    format: str | None = None
    turn: int = 0

    def check(self, source: Input) -> None:
        """Raise UsageError for what this kind of source cannot be told."""
        for name in ("size", "rate", "format"):
            if getattr(self, name) is None or name in _TAKES[source.kind]:
                continue
            able = [kind for kind, takes in _TAKES.items() if name in takes]
            words = {"device": "a camera", "csi": "csi://N", "gst": "gst:PIPELINE", "stdin": "-", "folder": "a folder"}
            raise UsageError(
                f"--{name} is not for this source.",
                found=f"--{name} with {source.name}",
                allowed=f"--{name} with " + ", ".join(words[kind] for kind in able),
                hint=_WHO_DECIDES.get(source.kind),
            )


def parse_size(text: str) -> tuple[int, int]:
    """Return (width, height) of ``640x480``.

    Raises:
        UsageError: no size, or one that no picture has.
    """
    match = re.fullmatch(r"\s*([0-9]{1,6})\s*[xX×*]\s*([0-9]{1,6})\s*", text)
    width, height = (int(match[1]), int(match[2])) if match else (0, 0)
    if not (width and height and width * height <= MAX_PIXELS):
        raise UsageError(
            "That is no size of a frame.",
            found=repr(text),
            allowed=f"WIDTHxHEIGHT, as in 640x480, at most {MAX_PIXELS} pixels",
        )
    return width, height
