"""YUV4MPEG2, the form in which ffmpeg, mjpegtools and GStreamer hand on raw video: size, rate and planes in a head."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from tsm_edge.errors import VideoError
from tsm_edge.files import MAX_PIXELS

from . import pixels

MAGIC = b"YUV4MPEG2"
LONGEST_LINE = 1024
#: by how much the planes of colour are narrower and lower; None: there are none
_COLOURS: dict[str, tuple[int, int] | None] = {
    "420": (2, 2), "420jpeg": (2, 2), "420mpeg2": (2, 2), "420paldv": (2, 2),
    "422": (2, 1), "444": (1, 1), "411": (4, 1), "mono": None,
}  # fmt: skip
_RATES = (0.1, 480.0)


@dataclass(frozen=True)
class Header:
    """What the first line says. ``rate`` is None where it says nothing that can be."""

    size: tuple[int, int]
    rate: float | None
    colour: str
    full_range: bool

    @property
    def frame_bytes(self) -> int:
        """Bytes of the planes of a frame."""
        width, height = self.size
        wide, high = self._small
        return width * height + 2 * wide * high

    @property
    def _small(self) -> tuple[int, int]:
        """(width, height) of a plane of colour; sides are rounded up."""
        shares = _COLOURS[self.colour]
        width, height = self.size
        return (0, 0) if shares is None else (-(-width // shares[0]), -(-height // shares[1]))

    def to_bgr(self, data: bytes | bytearray) -> np.ndarray:
        """Return a frame, uint8 BGR (H, W, 3), from its planes."""
        (width, height), (wide, high) = self.size, self._small
        if self.colour.startswith("420") and not (self.full_range or width % 2 or height % 2):
            return pixels.to_bgr(data, "yuv420", self.size)
        flat, luma = np.frombuffer(data, np.uint8), width * height
        if wide:
            blue, red = flat[luma : luma + wide * high], flat[luma + wide * high :]
        else:
            wide, high = 1, 1
            blue = red = np.full(1, 128, np.uint8)
        planes = (flat[:luma].reshape(height, width), blue.reshape(high, wide), red.reshape(high, wide))
        return pixels.planes_to_bgr(planes, full_range=self.full_range)


def parse(line: bytes, name: str) -> Header:
    """Return what the first line, without its end, says.

    Raises:
        VideoError: a size, a colour or a form that is not read.
    """
    words = line.decode("ascii", "replace").split(" ")[1:]
    fields = {word[:1]: word[1:] for word in words if word and word[0] != "X"}
    sides = [fields.get(side, "") for side in "WH"]
    width, height = (int(side) if re.fullmatch(r"[0-9]{1,6}", side) else 0 for side in sides)
    if not 0 < width * height <= MAX_PIXELS:
        raise _refused(name, "size", f"W{sides[0]} H{sides[1]}", f"sides of at most {MAX_PIXELS} pixels in all")
    colour = fields.get("C", "420") or "420"
    if colour not in _COLOURS:
        raise _refused(name, "colours", f"C{colour}", ", ".join(_COLOURS) + ": eight bits for each value")
    if fields.get("I", "p") not in ("p", "?", ""):
        raise _refused(name, "scan", f"I{fields['I']}, interlaced", "Ip, progressive")
    return Header((width, height), _rate(fields.get("F", "")), colour, _is_full_range(words))


def _is_full_range(words: list[str]) -> bool:
    told = [word.partition("=")[2] for word in words if word.startswith("XCOLORRANGE=")]
    return told[-1] == "FULL" if told else False


def _rate(text: str) -> float | None:
    match = re.fullmatch(r"([0-9]{1,9}):([0-9]{1,9})", text)
    if match is None or int(match[2]) == 0:
        return None
    rate = int(match[1]) / int(match[2])
    return rate if _RATES[0] <= rate <= _RATES[1] else None


def _refused(name: str, what: str, found: str, allowed: str) -> VideoError:
    return VideoError(
        f"{name.capitalize()} is YUV4MPEG2 whose {what} cannot be read.",
        found=found,
        allowed=allowed,
        hint="let ffmpeg convert it: ffmpeg -i INPUT -pix_fmt yuv420p -f yuv4mpegpipe -",
    )
